"""Parquet files, by pyarrow, which is an extra: most systems read and write none."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from jobs.whole_files import written_whole
from runtime.errors import NotPossible

#: Zstandard: of a year of flights a third of the bytes of Snappy, pyarrow's default.
_COMPRESSION = "zstd"


def arrow() -> Any:
    """pyarrow, with its part for Parquet. Raises NotPossible where it is not installed."""
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError as error:
        raise NotPossible(
            "Parquet files take pyarrow, which is not installed: python -m pip install "
            "'thornback[parquet]'"
        ) from error


def write(path: Path, schema: Any, batches: Iterable[Mapping[str, Sequence[Any]]]) -> int:
    """Write a file of columns, batch by batch, which is there whole or not at all; how many rows it
    has. Raises OSError and NotPossible."""
    pa = arrow()
    rows = 0
    with (
        written_whole(path) as part,
        pa.parquet.ParquetWriter(part, schema, compression=_COMPRESSION) as writer,
    ):
        for columns in batches:
            batch = pa.RecordBatch.from_pydict(columns, schema)
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows

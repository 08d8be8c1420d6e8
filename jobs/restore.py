"""A log out of Parquet files, as `thornback export` writes them, into a database that has none."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jobs.databases import address_of
from jobs.export import MANIFEST
from jobs.migrate import claimant_of, is_given_up
from jobs.parquet import arrow
from jobs.terminal import console
from runtime.errors import NotPossible
from runtime.settings.settings import Settings
from store.postgres.event_store import PostgresEventStore
from store.postgres.migrations import migrate
from store.postgres.queries import QUERIES
from store.restoring import Restored, Restoring
from store.rows.columns import NAMES

#: Rows that are read at a time.
_BATCH = 20_000


class Exported(NamedTuple):
    """The files of an export, in their order, and the nodes of the system whose log it was."""

    files: Sequence[Path]
    nodes: Sequence[str] | None


def is_export(path: str) -> bool:
    """Is it Parquet, or a folder?"""
    return path.endswith(".parquet") or Path(path).is_dir()


def restore(config: Path | None, path: Path) -> int:
    """Restore the log of a folder, or of one file; the exit code. Raises NotRestorable,
    NotPossible, DatabaseClaimed, StoreUnavailable and OSError."""
    arrow()
    exported, settings = _exported(path), Settings.load(config)
    done = asyncio.run(_restored(settings, exported))
    console.print(
        f"{done.events:,} events: {done.new:,} new, {done.events - done.new:,} were there",
        markup=False,
    )
    return 0


def _exported(path: Path) -> Exported:
    if not path.is_dir():
        return Exported([path], None)
    manifest = path / MANIFEST
    if not manifest.exists():
        raise NotPossible(
            f"{path} has no {MANIFEST}, which an export writes last: it was interrupted, or is no "
            "export (a single file can be named, too)"
        )
    said = json.loads(manifest.read_text())
    return Exported([path / file["name"] for file in said["files"]], said["nodes"])


async def _restored(settings: Settings, exported: Exported) -> Restored:
    url, timeout_s = address_of(settings), settings.actor_system.actor_timeout_ms / 1000
    claimant = claimant_of(settings, "restoration")
    await migrate(url, timeout_s=timeout_s, claimant=claimant, may_take=is_given_up)
    store = await PostgresEventStore.connect(
        url, pool_size=2, timeout_s=timeout_s, system=claimant.holder
    )
    try:
        restoring = Restoring(store, claimant.holder, exported.nodes, _report)
        await restoring.begin()
        for columns in _columns(exported.files):
            await restoring.add(columns)
        return restoring.done
    finally:
        await store.connections.fetch(QUERIES["give_up_claim"], claimant.holder)
        await store.close()


def _columns(files: Sequence[Path]) -> Iterator[dict[str, list[Any]]]:
    pa = arrow()
    for path in files:
        try:
            opened = pa.parquet.ParquetFile(path)
        except pa.ArrowInvalid as error:
            raise NotPossible(f"{path} is no Parquet file, or a part of one: {error}") from error
        with opened as file:
            if missing := set(NAMES) - set(file.schema_arrow.names):
                raise NotPossible(f"{path} is no export: it has no column {min(missing)!r}")
            for batch in file.iter_batches(_BATCH, columns=list(NAMES)):
                moments = [
                    batch.column(name).cast(pa.int64()) if name.endswith("_at") else
                    batch.column(name) for name in NAMES
                ]  # fmt: skip
                yield {
                    name: column.to_pylist() for name, column in zip(NAMES, moments, strict=True)
                }


def _report(done: Restored) -> None:
    console.print(f"{done.events:,} events", markup=False)

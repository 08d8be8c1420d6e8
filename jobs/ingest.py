"""Ingest CloudEvents, a JSON line each, from a file or standard input into device twins.

Each source is a DeviceTwin actor (`device-twin/<source>`), each event a durable event of
it; gateways/cloud_events.py says how one is read. An event is known by its source and id, so
the same input can be ingested again and changes nothing. A line that is no good is
reported and kept in the rejects file, and the run goes on; blank lines are passed over.
What ends with `.parquet`, and a folder, is a log as `jobs/export.py` writes it: it becomes the log
of the database of the settings again, which has none and no system, and nothing of it differs.
The exit code is 0 when all was good, 1 when there were rejects, 2 when the run could not
go on (the lines it had read and could not store are then rejects too).
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateways.files.ingestion import Ingest
from gateways.files.json_lines import Readable, Rejects
from jobs.command_line import connected_by, console, parser, problems, run
from jobs.restore import is_export, restore
from jobs.terminal import IMPOSSIBLE, UNWELL

STDIN = "-"


def main() -> int:
    arguments = _options().parse_args()
    return ingest(arguments.config, arguments.file, arguments.rejects, arguments.patience)


def _options() -> argparse.ArgumentParser:
    options = parser(__doc__)
    options.add_argument("file", metavar="FILE|-", help="JSON lines; - is standard input")
    options.add_argument(
        "--rejects", type=Path, metavar="PATH",
        help="file for the lines that are no good: replaced, or with standard input added "
        "to (default: FILE.rejects or stdin.rejects)",
    )  # fmt: skip
    options.add_argument(
        "--patience", type=float, default=120.0, metavar="S",
        help="seconds that hosts or database may be away before the run ends",
    )  # fmt: skip
    return options


def ingest(config: Path | None, source: str, path: Path | None, patience_s: float) -> int:
    """Ingest a file, or standard input (STDIN), and say what became of it; the exit code.
    `path` is that of the rejects file."""
    try:
        if is_export(source):
            return restore(config, Path(source))
        return _ingest(config, source, path or _rejects_of(source), patience_s)
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        problems.print(f"error: {said}", markup=False)
        return IMPOSSIBLE


def _rejects_of(source: str) -> Path:
    return Path("stdin.rejects" if source == STDIN else f"{source}.rejects")


def _ingest(config: Path | None, source: str, path: Path, patience_s: float) -> int:
    if source != STDIN and path.exists() and path.samefile(source):
        problems.print(f"error: {path} is the file to read", markup=False)
        return IMPOSSIBLE
    with (
        _opened(source) as stream,
        connected_by(config) as system,
        Rejects(path, keep=source == STDIN) as rejects,
    ):
        run_of_it = Ingest(system, rejects, patience_s, report=_report)
        try:
            run_of_it.run(stream)
        finally:
            _report(run_of_it)
    if run_of_it.counts.rejects:
        console.print(f"rejects are in {path}", markup=False)
    return UNWELL if run_of_it.counts.rejects else 0


def _report(ingest: Ingest) -> None:
    console.print(f"{ingest.counts}; {ingest.rate:,.0f} lines/s")


@contextmanager
def _opened(source: str) -> Iterator[Readable]:
    if source == STDIN:
        yield sys.stdin.buffer  # type: ignore[misc]
    else:
        with Path(source).open("rb") as file:
            yield file


if __name__ == "__main__":
    run(main)

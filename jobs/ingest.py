"""Ingest CloudEvents, a JSON line each, from a file or standard input into device twins.

Each source is a DeviceTwin actor (`device-twin/<source>`), each event a durable event of
it; gateways/cloud_events.py says how one is read. An event is known by its source and id, so
the same input can be ingested again and changes nothing. A line that is no good is
reported and kept in the rejects file, and the run goes on; blank lines are passed over.
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
from jobs.command_line import connected, console, parser, problems, run

STDIN = "-"


def main() -> int:
    arguments = _options().parse_args()
    try:
        return _ingest(arguments)
    except OSError as error:
        problems.print(f"error: {error}", markup=False)
        return 2


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


def _ingest(arguments: argparse.Namespace) -> int:
    source, path = arguments.file, arguments.rejects
    if path is None:
        path = Path("stdin.rejects" if source == STDIN else f"{source}.rejects")
    if source != STDIN and path.exists() and path.samefile(source):
        problems.print(f"error: {path} is the file to read", markup=False)
        return 2
    with (
        _opened(source) as stream,
        connected(arguments) as system,
        Rejects(path, keep=source == STDIN) as rejects,
    ):
        ingest = Ingest(system, rejects, arguments.patience, report=_report)
        try:
            ingest.run(stream)
        finally:
            _report(ingest)
    if ingest.counts.rejects:
        console.print(f"rejects are in {path}", markup=False)
    return 1 if ingest.counts.rejects else 0


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

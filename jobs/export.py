"""Write the log, or a slice of it, to Parquet files: a folder that other programs can read.

Each file has a stretch of positions and is written by a task of its own, so they are made in
parallel over Ray. A file is there whole or not at all, and `export.json`, which says what was
exported, is there when all of them are. `thornback ingest FOLDER` reads a whole log back into an
empty one.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from actors.moments import FIRST_US, LAST_US, microseconds
from jobs.as_of import moment_of_text
from jobs.command_line import connected_by, parser, parts_of
from jobs.in_parallel import in_parallel
from jobs.parquet import arrow, write
from jobs.payload_columns import Fields, fields_of_types, struct_of, values_of
from jobs.terminal import IMPOSSIBLE, console, problems, run
from jobs.whole_files import written_whole
from runtime.driver.selecting import selection_of
from runtime.errors import NotPossible
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from store.event_store import EventStore
from store.rows.columns import columns_of
from store.selection import Selection

#: Positions of one file.
FILE_EVENTS = 250_000
#: Positions that a task reads at a time.
_PAGE = 20_000
MANIFEST = "export.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What of the log is exported: events of these types and sources that happened in this time."""

    selection: Selection
    first_us: int = FIRST_US  #: Unix microseconds
    end_us: int = LAST_US + 1  #: before this

    @classmethod
    def of(
        cls, types: tuple[str, ...], sources: tuple[str, ...], since: str | None, until: str | None
    ) -> "Slice":
        """Of what was given. Raises InvalidName, and ValueError for what is no moment."""
        return cls(
            selection=selection_of(types or "*", sources or "*"),
            first_us=FIRST_US if since is None else microseconds(moment_of_text(since)),
            end_us=LAST_US + 1 if until is None else microseconds(moment_of_text(until)),
        )


class Written(NamedTuple):
    """A file, and how many events it has."""

    name: str
    events: int


class Work(NamedTuple):
    """What one task is to do."""

    settings_json: str
    folder: str
    wanted: Slice
    fields: Mapping[str, Fields]  #: of event types that are to have columns of their own


def export(
    config: Path | None,
    folder: Path,
    wanted: Slice,
    *,
    columns: bool = False,
    everywhere: bool = False,
) -> int:
    """Export into a folder, which has to be empty or new; the exit code. Each of several partitions
    has a folder in it, `partition-0` and so on, which is an export by itself. `everywhere`: on all
    machines, which have to see that folder. Raises NotPossible."""
    arrow()  # before anything is read
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise NotPossible(f"{folder} is not empty: an export makes a folder of its own")
        with connected_by(config) as system:
            parts = parts_of(system)
            files = [
                file
                for number, part in enumerate(parts)
                for file in _export_log(
                    part,
                    folder / f"partition-{number}" if len(parts) > 1 else folder,
                    wanted,
                    columns=columns,
                    everywhere=everywhere,
                )
            ]
    except OSError as error:
        problems.print(f"error: {error}", markup=False)
        return IMPOSSIBLE
    events = sum(file.events for file in files)
    console.print(f"{events:,} events in {len(files):,} files are in {folder}", markup=False)
    return 0


def _export_log(
    system: ActorSystem, folder: Path, wanted: Slice, *, columns: bool, everywhere: bool
) -> list[Written]:
    """Export one log into a folder of its own, with what it says of itself."""
    folder.mkdir(exist_ok=True)
    settings = system.settings
    known = fields_of_types(settings.actor_system.actor_modules) if columns else {}
    work = Work(settings.model_dump_json(), str(folder.absolute()), wanted, known)
    head, nodes = asyncio.run(_looked_at(system))
    files = list(_exported(work, head, FILE_EVENTS, everywhere=everywhere))
    _write_manifest(folder, wanted, head, nodes, files)
    return files


async def _looked_at(system: ActorSystem) -> tuple[int, list[str]]:
    """How far the log goes now, and its nodes."""
    store = await system.open_store()
    try:
        return await store.head(), sorted(await store.nodes())
    finally:
        await store.close()


def _exported(work: Work, head: int, step: int, *, everywhere: bool) -> Iterator[Written]:
    stretches = ((work, after, min(after + step, head)) for after in range(0, head, step))
    columns = (TextColumn("positions"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not problems.is_terminal
    with Progress(*columns, console=problems, transient=True, disable=hidden) as bar:
        task = bar.add_task("positions", total=head)
        for written in in_parallel(_export_stretch, stretches, here=not everywhere):
            bar.advance(task, min(step, head))
            if written is not None:
                yield written


def _export_stretch(work: Work, after: int, through: int) -> Written | None:
    """The work of one task: a file of the events above one position up to another."""
    name = f"events-{after + 1:012d}-{through:012d}.parquet"
    batches = _Batches(work, after, through)
    try:
        first = next(batches, None)
        if first is None:
            return None
        path = Path(work.folder) / name
        return Written(name, write(path, _schema(work.fields), _with(first, batches)))
    finally:
        batches.close()


def _with(first: dict[str, Any], rest: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield first
    yield from rest


class _Batches(Iterator[dict[str, Any]]):
    """The columns of a stretch, page by page, without empty ones. Reads in a loop of its own."""

    def __init__(self, work: Work, after: int, through: int) -> None:
        self._work, self._at, self._through = work, after, through
        self._loop = asyncio.new_event_loop()
        self._store: EventStore | None = None

    def __next__(self) -> dict[str, Any]:
        while self._at < self._through:
            found = self._loop.run_until_complete(self._page())
            if found["position"]:
                for event_type, fields in self._work.fields.items():
                    found[event_type] = values_of(event_type, fields, found)
                return found
        raise StopIteration

    async def _page(self) -> dict[str, Any]:
        if self._store is None:
            settings = Settings.model_validate_json(self._work.settings_json)
            self._store = await World(settings.actor_system.namespace).open_store(settings)
        wanted = self._work.wanted
        limit = min(_PAGE, self._through - self._at)
        page = await self._store.read(self._at, limit, selection=wanted.selection)
        if page.through == self._at:
            raise NotPossible(f"the log ends at {self._at:,}, before {self._through:,}")
        self._at = page.through
        return columns_of(page.rows, wanted.first_us, wanted.end_us)

    def close(self) -> None:
        """Give back what was opened."""
        if self._store is not None:
            self._loop.run_until_complete(self._store.close())
        self._loop.close()


def _schema(fields: Mapping[str, Fields]) -> Any:
    pa = arrow()
    text, moment = pa.string(), pa.timestamp("us", tz="UTC")
    return pa.schema([
        ("position", pa.int64()), ("source", text), ("version", pa.int64()), ("kind", text),
        ("event_type", text), ("data", text), ("happened_at", moment), ("recorded_at", moment),
        ("event_id", text), ("aggregate_id", text), ("correlation_id", text),
        ("causation_id", text), ("vector_clock", text), ("metadata", text),
        *((event_type, struct_of(known)) for event_type, known in fields.items()),
    ])  # fmt: skip


def _write_manifest(
    folder: Path, wanted: Slice, head: int, nodes: list[str], files: list[Written]
) -> None:
    said = {
        "format": 1,
        "through": head,
        "nodes": nodes,
        "event_types": wanted.selection.event_types,
        "sources": wanted.selection.sources,
        "first_us": wanted.first_us,
        "end_us": wanted.end_us,
        "events": sum(file.events for file in files),
        "files": [{"name": file.name, "events": file.events} for file in files],
    }
    with written_whole(folder / MANIFEST) as part:
        part.write_text(json.dumps(said, indent=1) + "\n")


def main() -> int:
    options = parser(__doc__)
    options.add_argument("folder", type=Path, metavar="FOLDER", help="a new or an empty one")
    options.add_argument(
        "--type", action="append", default=[], metavar="PATTERN", help="event types"
    )
    options.add_argument("--source", action="append", default=[], metavar="PATTERN", help="whose")
    options.add_argument("--since", metavar="T", help="events that happened from then on")
    options.add_argument("--until", metavar="T", help="and before then; UTC without a zone")
    options.add_argument("--columns", action="store_true", help="columns of what events say, too")
    options.add_argument(
        "--everywhere", action="store_true", help="on all machines, which have to see that folder"
    )
    given = options.parse_args()
    try:
        wanted = Slice.of(tuple(given.type), tuple(given.source), given.since, given.until)
    except ValueError as error:
        options.error(str(error))
    return export(
        given.config, given.folder, wanted, columns=given.columns, everywhere=given.everywhere
    )


if __name__ == "__main__":
    run(main)

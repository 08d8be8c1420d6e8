"""Every actor of a type, in the state that it had at some time.

The events up to a moment, or up to a position of the log, are folded again, in parallel over Ray,
with the class of the type. Shown as a table, or written to a Parquet file.
"""

import argparse
import asyncio
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from heapq import merge
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from rich.markup import escape
from rich.table import Table

from actors.moments import moment_of
from jobs.actor_classes import class_of
from jobs.command_line import connected_by, parser, parts_of
from jobs.in_parallel import in_parallel
from jobs.parquet import arrow, write
from jobs.terminal import IMPOSSIBLE, UNWELL, as_json, console, problems, run, show
from runtime.driver.as_of import AsOf, PastState, check_in_log, past_states
from runtime.errors import NotPossible
from runtime.host.class_loading import loaded_class
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.wire.class_shipping import pickled_class
from store.event_store import EventStore

#: Actors that one task folds; it has their events in memory a page at a time.
ACTORS = 1_000
#: Rows of a Parquet file that are written at a time.
_BATCH = 10_000
#: Rows of a table on a terminal, unless somebody wants more.
ROWS = 100


class Row(NamedTuple):
    """One actor: after which of its events, when that happened, and its state as JSON; or why it
    has none."""

    source: str
    version: int
    happened_us: int | None
    state: str
    problem: str = ""


def as_of(
    config: Path | None,
    actor_type: str,
    moment: AsOf,
    *,
    module: str | None = None,
    to: Path | None = None,
    limit: int = ROWS,
    for_programs: bool = False,
) -> int:
    """Fold them and show them, or write them; the exit code, which is 1 where some could not be
    folded. Raises NotPossible where their class is not to be found, and for a position that is
    still to come."""
    if to is not None:
        arrow()  # before anything is read
    settings = Settings.load(config)
    actor = class_of(actor_type, module, settings.actor_system.actor_modules)
    with connected_by(config) as system:
        parts = parts_of(system)
        if len(parts) > 1 and moment.position is not None:
            raise NotPossible(
                f"each of {len(parts)} partitions has positions of its own: say a moment (--time), "
                f"or name the namespace of one, {system.namespace}.partition-0 and so on"
            )
        for part in parts:
            asyncio.run(_check(part, moment))
        code = pickled_class(actor)
        each = [folded(part, code, actor_type, moment) for part in parts]
        rows = merge(*each, key=lambda row: row.source.encode())
        try:
            return _written(rows, to) if to is not None else _shown(rows, limit, for_programs)
        except OSError as error:
            problems.print(f"error: {error}", markup=False)
            return IMPOSSIBLE


def folded(system: ActorSystem, code: bytes, actor_type: str, moment: AsOf) -> Iterator[Row]:
    """All actors of the type that the log has, in the order of their names, without those that
    had no event by then."""
    settings = system.settings.model_dump_json()
    pieces = ((settings, code, piece, moment) for piece in _pieces(system, actor_type))
    return chain.from_iterable(in_parallel(_fold, pieces))


async def _check(system: ActorSystem, moment: AsOf) -> None:
    store = await system.open_store()
    try:
        await check_in_log(store, moment)
    finally:
        await store.close()


def _pieces(system: ActorSystem, actor_type: str) -> Iterator[list[str]]:
    after = ""
    while True:
        found = asyncio.run(_sources(system, f"{actor_type}/", after))
        if not found:
            return
        yield found
        after = found[-1]


async def _sources(system: ActorSystem, prefix: str, after: str) -> list[str]:
    store = await system.open_store()
    try:
        return [record.source for record in await store.sources(prefix, after, ACTORS)]
    finally:
        await store.close()


def _fold(settings_json: str, code: bytes, sources: list[str], moment: AsOf) -> list[Row]:
    """The work of one task."""
    return asyncio.run(_folded(Settings.model_validate_json(settings_json), code, sources, moment))


async def _folded(settings: Settings, code: bytes, sources: list[str], moment: AsOf) -> list[Row]:
    described = loaded_class(code).described()
    store: EventStore = await World(settings.actor_system.namespace).open_store(settings)
    try:
        found = await past_states(store, described, sources, moment)
    finally:
        await store.close()
    rows = []
    for source, one in found.items():
        if not isinstance(one, PastState):
            rows.append(Row(source, 0, None, "", str(one)))
        elif one.version:
            state = described.states.text(one.state)
            rows.append(Row(source, one.version, one.happened_us, state))
    return rows


def _written(rows: Iterator[Row], path: Path) -> int:
    """To a Parquet file."""
    pa = arrow()
    schema = pa.schema([
        ("source", pa.string()), ("version", pa.int64()),
        ("happened_at", pa.timestamp("us", tz="UTC")), ("state", pa.string()),
    ])  # fmt: skip
    problem = _Problems()

    def batches() -> Iterator[dict[str, list[Any]]]:
        while some := list(islice(rows, _BATCH)):
            good = list(problem.left_out(some))
            yield {
                "source": [row.source for row in good],
                "version": [row.version for row in good],
                "happened_at": [row.happened_us for row in good],
                "state": [row.state for row in good],
            }

    count = write(path, schema, batches())
    console.print(f"{count:,} actors are in {path}", markup=False)
    return problem.code()


def _shown(rows: Iterator[Row], limit: int, for_programs: bool) -> int:
    """On the terminal: a table, or a line of JSON each."""
    problem = _Problems()
    good = problem.left_out(rows)
    if for_programs:
        for row in good:
            print(as_json(_members(row)))
        return problem.code()
    table = Table(box=None, pad_edge=False)
    for column in ("actor", "version", "happened", "state"):
        table.add_column(column, overflow="fold")
    count = 0
    for count, row in enumerate(good, 1):
        if count <= limit:
            happened = moment_of(row.happened_us or 0).strftime("%Y-%m-%d %H:%M:%S")
            table.add_row(escape(row.source), f"{row.version:,}", happened, escape(row.state))
    if count:
        show(table)
    else:
        problems.print("no actor of this type has an event by then")
    if count > limit:
        problems.print(f"and {count - limit:,} more: --limit, --to FILE, or --json shows them")
    return problem.code()


def _members(row: Row) -> dict[str, Any]:
    happened = None if row.happened_us is None else moment_of(row.happened_us)
    return {
        "source": row.source, "version": row.version, "happened_at": happened,
        "state": json.loads(row.state),
    }  # fmt: skip


class _Problems:
    """Those that could not be folded: each is said, the first few at least."""

    SHOWN = 10

    def __init__(self) -> None:
        self._count = 0

    def left_out(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows without them."""
        for row in rows:
            if not row.problem:
                yield row
                continue
            self._count += 1
            if self._count <= self.SHOWN:
                problems.print(f"left out: {row.problem}", markup=False)

    def code(self) -> int:
        """The exit code."""
        if self._count > self.SHOWN:
            problems.print(f"left out: {self._count - self.SHOWN:,} more like these")
        return UNWELL if self._count else 0


def moment_of_text(text: str) -> datetime:
    """A moment as people write it: ISO 8601, in UTC where it names no zone. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--type", required=True, metavar="TYPE", help="the actor type")
    options.add_argument("--time", type=_moment, metavar="T", help="up to when; UTC without a zone")
    options.add_argument("--position", type=int, metavar="N", help="or up to which position")
    options.add_argument("--module", metavar="MODULE", help="where the actor class is")
    options.add_argument("--to", type=Path, metavar="FILE.parquet", help="write a Parquet file")
    options.add_argument("--limit", type=int, default=ROWS, metavar="N", help="rows of the table")
    options.add_argument("--json", action="store_true", help="print JSON, for programs")
    given = options.parse_args()
    try:
        moment = AsOf.of(given.time, given.position)
    except ValueError as error:
        options.error(str(error).replace("when=", "--time").replace("position=", "--position"))
    return as_of(
        given.config, given.type, moment,
        module=given.module, to=given.to, limit=given.limit, for_programs=given.json,
    )  # fmt: skip


def _moment(text: str) -> datetime:
    try:
        return moment_of_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    run(main)

"""Projections that run in a system of one process, whose log is in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from actors.event import DeviceEvent, Event
from runtime.process.store_access import WriterMemoryStore
from runtime.processing.making_slots import make_checkpoints, slots_of
from runtime.processing.program_selection import selection_of_program
from runtime.system import ActorSystem
from runtime.topology.status import ProcessStatus, WorkerFacts
from store.appends import CheckpointMove
from store.dead_letters import LetterChange
from store.errors import AnotherTable, NoProjection
from store.event_store import EventStore
from store.projected import ProjectedTable, RefusedRow, RowChange
from streams.errors import InvalidProgram
from streams.programs import program_of
from streams.projection import Projection
from streams.scenario import happened
from tests.integration.systems import eventually
from tests.programs import Totals
from tests.projections import Presence, Present

LIMIT_S = 30.0


class Seen(DeviceEvent):
    """Something was."""

    n: int


@dataclass(frozen=True)
class Sum:
    """Of what was seen."""

    total: int
    parts: dict[str, int]


class Sums(Projection[Sum]):
    """By the name of the device; a number below nought takes the row away."""

    event_types = ("seen",)

    def project(self, event: Event, row: Sum | None) -> Sum | None:
        number = event.data["n"]
        if number < 0:
            return None
        before = row or Sum(0, {})
        return Sum(before.total + number, {**before.parts, str(number): event.position or 0})


def publish(system: ActorSystem, number: int, source: str = "counter/1") -> None:
    event = happened(Seen(n=number), source=source, at=datetime.now(UTC))
    system.publish(event).result(LIMIT_S)


def rows_of(system: ActorSystem, name: str) -> dict[str, tuple[Any, ...]]:
    async def look() -> dict[str, tuple[Any, ...]]:
        store = await system.open_store()
        try:
            tables = {table.name: table for table in await store.projections()}
            if name not in tables:
                return {}
            return dict(await store.select_projected(tables[name], [], "", 1000))
        finally:
            await store.close()

    return asyncio.run(look())


def facts(system: ActorSystem) -> list[WorkerFacts]:
    return [
        status.facts
        for status in system.status().result(LIMIT_S)
        if isinstance(status, ProcessStatus) and isinstance(status.facts, WorkerFacts)
    ]


def test_rows_follow_the_log_and_go_on_where_they_were(memory_system: ActorSystem) -> None:
    system = memory_system
    for number in (2, 3):
        publish(system, number)
    publish(system, 5, "counter/2")
    system.run(Sums, workers=2).result(LIMIT_S)
    expected: dict[str, tuple[Any, ...]] = {
        "counter/1": (5, '{"2":1,"3":2}'),
        "counter/2": (5, '{"5":3}'),
    }
    eventually(lambda: rows_of(system, "sums") == expected)
    system.stop("sums").result(LIMIT_S)
    publish(system, -1, "counter/2")
    publish(system, 7)
    system.run(Sums, workers=1).result(LIMIT_S)
    expected = {"counter/1": (12, '{"2":1,"3":2,"7":5}')}
    eventually(lambda: rows_of(system, "sums") == expected)
    # The rows are there a moment before the worker has heard of it.
    eventually(lambda: [(one.program, one.outputs) for one in facts(system)] == [("sums", 2)])


def test_one_that_was_dropped_ends_though_another_run_of_it_came_no_further_than_its_slots(
    memory_system: ActorSystem,
) -> None:
    """Whoever dies between slots and table leaves slots. A worker that begins anew there would find
    no table, and end, for ever."""
    system = memory_system
    system.run(Sums, workers=1).result(LIMIT_S)
    publish(system, 1)
    eventually(lambda: rows_of(system, "sums") == {"counter/1": (1, '{"1":1}')})

    async def drop_and_begin(store: EventStore) -> None:
        await store.drop_program("sums")
        await make_checkpoints(slots_of("sums"), selection_of_program(program_of(Sums)), 0, store)

    log = system.connection.log
    system.connection.errand("drop", lambda: log.ask(drop_and_begin)).result(LIMIT_S)
    publish(system, 2)
    eventually(lambda: facts(system) == [])
    system.run(Sums, workers=1).result(LIMIT_S)
    eventually(lambda: rows_of(system, "sums") == {"counter/1": (3, '{"1":1,"2":2}')})


def test_what_comes_to_nothing_is_finished_all_the_same(memory_system: ActorSystem) -> None:
    system = memory_system
    system.run(Presence(), workers=1).result(LIMIT_S)
    publish(system, 1)
    publish(system, 1, "elsewhere/1")
    eventually(lambda: [one.position for one in facts(system)] == [2])
    assert rows_of(system, "presence") == {"counter/1": (1,)}


class Wider(Projection[Sum]):
    """Another class of the same name."""

    name = "presence"
    sources = Presence.sources

    def project(self, event: Event, row: Sum | None) -> Sum | None:
        return row


def test_other_columns_and_names_that_are_taken_are_refused(memory_system: ActorSystem) -> None:
    system = memory_system
    system.run(Presence(), workers=1).result(LIMIT_S)
    eventually(lambda: len(facts(system)) == 1)
    with pytest.raises(AnotherTable, match="has the columns since bigint NOT NULL, and its rows"):
        system.run(Wider).result(LIMIT_S)
    with pytest.raises(InvalidProgram, match="a projection has this name"):
        system.run(Totals("presence", Presence.sources)).result(LIMIT_S)


class Spoilt(Presence):
    """Its table cannot hold every row."""

    name = "spoilt"
    on_failure = "pause"

    def project(self, event: Event, row: Present | None) -> Present | None:
        return Present("many" if event.data["n"] == 3 else 1)  # type: ignore[arg-type]


def test_a_row_that_no_table_holds_is_told_with_its_event(memory_system: ActorSystem) -> None:
    system = memory_system
    system.run(Spoilt, workers=1).result(LIMIT_S)
    for number in (1, 3, 5):
        publish(system, number, f"counter/{number}")
    [stands] = eventually(lambda: [one for one in facts(system) if one.paused])
    assert "since is 'many': no int" in (stands.trouble or "")
    assert "position 2" in (stands.trouble or "")
    assert rows_of(system, "spoilt") == {"counter/1": (1,)}
    assert system.resume("spoilt", skip=True).result(LIMIT_S) == 1
    eventually(lambda: rows_of(system, "spoilt") == {"counter/1": (1,), "counter/5": (1,)})


class Sums2(Sums):
    """Stands at what it cannot do."""

    name = "sums-2"
    on_failure = "pause"


def test_a_row_that_the_database_refuses_is_told_with_its_event(
    memory_system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, project = memory_system, WriterMemoryStore.project

    async def refusing(
        self: WriterMemoryStore,
        table: ProjectedTable,
        moves: Sequence[CheckpointMove],
        changes: Sequence[RowChange],
        letters: Sequence[LetterChange] = (),
    ) -> None:
        for key, values in changes:
            if values is not None and values[0] >= 7:
                raise RefusedRow(key, "no number is as high as that")
        await project(self, table, moves, changes, letters)

    monkeypatch.setattr(WriterMemoryStore, "project", refusing)
    for number, source in ((1, "a"), (2, "b"), (6, "a"), (3, "b"), (0, "a"), (1, "b")):
        publish(system, number, f"counter/{source}")
    system.run(Sums2, workers=1).result(LIMIT_S)
    [stands] = eventually(lambda: [one for one in facts(system) if one.paused])
    assert "does not take the row of counter/a: no number is as high as that" in (
        stands.trouble or ""
    )
    assert "position 3)" in (stands.trouble or "")
    kept = {key: values[0] for key, values in rows_of(system, "sums-2").items()}
    assert kept == {"counter/a": 1, "counter/b": 2}
    system.resume("sums-2", skip=True).result(LIMIT_S)
    eventually(
        lambda: (
            {key: values[0] for key, values in rows_of(system, "sums-2").items()}
            == {"counter/a": 1, "counter/b": 6}
        )
    )


class Hasty(Sums):
    """Stands at 13 when it comes to it first."""

    name = "hasty"
    on_failure = "pause"
    tries = 1

    def project(self, event: Event, row: Sum | None) -> Sum | None:
        if event.data["n"] == 13:
            raise ValueError("unlucky")
        return super().project(event, row)


def test_one_that_stands_has_finished_all_before_though_it_tries_but_once(
    memory_system: ActorSystem,
) -> None:
    system = memory_system
    for number, source in ((1, "a"), (2, "b"), (13, "a"), (4, "b")):
        publish(system, number, f"counter/{source}")
    system.run(Hasty, workers=1).result(LIMIT_S)
    [stands] = eventually(lambda: [one for one in facts(system) if one.paused])
    assert "position 3)" in (stands.trouble or "")
    kept = {key: values[0] for key, values in rows_of(system, "hasty").items()}
    assert kept == {"counter/a": 1, "counter/b": 2}


@dataclass(frozen=True)
class Even:
    """Of what was seen."""

    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError("it is odd")


class Evens(Projection[Even]):
    """Makes rows that nobody could make again."""

    event_types = ("seen",)
    on_failure = "pause"

    def project(self, event: Event, row: Even | None) -> Even | None:
        made = Even(0)
        object.__setattr__(made, "number", event.data["n"])
        return made


def test_a_row_that_could_not_be_read_back_is_told_with_its_event(
    memory_system: ActorSystem,
) -> None:
    system = memory_system
    for number in (2, 3, 4):  # of one key, and in one batch
        publish(system, number)
    system.run(Evens, workers=1).result(LIMIT_S)
    [stands] = eventually(lambda: [one for one in facts(system) if one.paused])
    assert "its row could not be read back: ValueError: it is odd" in (stands.trouble or "")
    assert "position 2)" in (stands.trouble or "")
    assert rows_of(system, "evens") == {"counter/1": (2,)}


class Doubled(Projection[Sum]):
    """Under the same name, other code."""

    name = "sums"
    event_types = ("seen",)

    def project(self, event: Event, row: Sum | None) -> Sum | None:
        before = row or Sum(0, {})
        return Sum(before.total + 2 * event.data["n"], {})


@dataclass(frozen=True)
class Average:
    """Of what was seen."""

    count: int
    mean: float


class Averages(Projection[Average]):
    """Under the same name, other columns."""

    name = "sums"
    event_types = ("seen",)

    def project(self, event: Event, row: Average | None) -> Average | None:
        before = row or Average(0, 0.0)
        count = before.count + 1
        return Average(count, before.mean + (event.data["n"] - before.mean) / count)


def test_one_is_built_anew_by_the_code_that_runs_or_by_other_code(
    memory_system: ActorSystem,
) -> None:
    system = memory_system
    system.run(Sums, workers=2).result(LIMIT_S)
    for number in (2, 4):
        publish(system, number)
    by_sums: dict[str, tuple[Any, ...]] = {"counter/1": (6, '{"2":1,"4":2}')}
    eventually(lambda: rows_of(system, "sums") == by_sums)
    system.rebuild("sums").result(LIMIT_S)
    assert rows_of(system, "sums") == by_sums
    publish(system, 6)
    eventually(lambda: rows_of(system, "sums") == {"counter/1": (12, '{"2":1,"4":2,"6":3}')})
    assert {one.program for one in facts(system)} == {"sums"}

    system.rebuild(Doubled).result(LIMIT_S)
    assert rows_of(system, "sums") == {"counter/1": (24, "{}")}
    with pytest.raises(AnotherTable, match=r"system\.rebuild\(Class\)"):
        system.run(Averages).result(LIMIT_S)
    system.rebuild(Averages, workers=1).result(LIMIT_S)
    assert rows_of(system, "sums") == {"counter/1": (3, 4.0)}
    publish(system, 8)
    eventually(lambda: rows_of(system, "sums") == {"counter/1": (4, 5.0)})
    assert [one.workers for one in facts(system)] == [2, 2]


class Failing(Sums):
    """Cannot go past a number."""

    name = "sums"

    def project(self, event: Event, row: Sum | None) -> Sum | None:
        if event.data["n"] == 3:
            raise ValueError("three")
        return super().project(event, row)


def test_what_cannot_be_built_is_said_and_what_is_read_stays(memory_system: ActorSystem) -> None:
    system = memory_system
    with pytest.raises(NoProjection, match="there is no projection 'sums'"):
        system.rebuild(Sums).result(LIMIT_S)
    with pytest.raises(InvalidProgram, match="totals: is no projection"):
        system.rebuild(Totals("totals", ["*"]))
    system.run(Sums, workers=1).result(LIMIT_S)
    for number in (1, 3):
        publish(system, number)
    there: dict[str, tuple[Any, ...]] = {"counter/1": (4, '{"1":1,"3":2}')}
    eventually(lambda: rows_of(system, "sums") == there)
    with pytest.raises(InvalidProgram, match=r"(?s)sums\.rebuild: fails at.*three.*Mend the code"):
        system.rebuild(Failing).result(LIMIT_S)
    assert rows_of(system, "sums") == there
    system.rebuild(Sums).result(LIMIT_S)
    assert rows_of(system, "sums") == there
    assert {one.program for one in facts(system)} == {"sums"}
    system.stop("sums").result(LIMIT_S)
    with pytest.raises(InvalidProgram, match="does not run, so nobody has its code"):
        system.rebuild("sums").result(LIMIT_S)

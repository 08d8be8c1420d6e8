"""What may come between a table that is built anew and its place."""

from typing import Any

import pytest

from runtime.driver.reply import Reply
from runtime.errors import HostUnavailable
from runtime.process.store_access import WriterMemoryStore
from runtime.processing import rebuilding
from runtime.processing.running import end_program
from runtime.system import ActorSystem
from store.errors import StoreUnavailable
from store.selection import Selection
from store.subscriptions import SubscriptionRecord
from streams.errors import InvalidProgram
from tests.integration.systems import eventually
from tests.unit.test_running_projections import LIMIT_S, Sums, facts, publish, rows_of

BUILT = "sums.rebuild"


@pytest.fixture
def system(memory_system: ActorSystem) -> ActorSystem:
    """One with a projection, whose table has something."""
    memory_system.run(Sums, workers=1).result(LIMIT_S)
    publish(memory_system, 2)
    eventually(lambda: sums(memory_system) == {"counter/1": 2})
    return memory_system


def sums(system: ActorSystem, name: str = "sums") -> dict[str, Any]:
    return {key: values[0] for key, values in rows_of(system, name).items()}


def programs(system: ActorSystem) -> set[str]:
    return {one.program for one in facts(system)}


def problem_of(asked: Reply[None]) -> str | None:
    """What it has come to; None: to a table in its place."""
    try:
        asked.result(LIMIT_S)
    except InvalidProgram as error:
        return str(error)
    return None


def test_who_asks_again_when_it_is_in_its_place_and_nobody_has_ended_what_built_it(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = list[str]()

    async def dying(connection: Any, program: str) -> None:
        ended.append(program)
        if len(ended) == 2:  # what built it before, if anything did, and what has built it now
            raise HostUnavailable("directory", "it has just died")
        await end_program(connection, program)

    monkeypatch.setattr(rebuilding, "end_program", dying)
    with pytest.raises(HostUnavailable, match="just died"):
        system.rebuild("sums").result(LIMIT_S)
    assert (ended, programs(system)) == ([BUILT, BUILT], {"sums", BUILT})
    system.rebuild("sums").result(LIMIT_S)
    assert (sums(system), programs(system)) == ({"counter/1": 2}, {"sums"})


def test_two_who_have_it_built_at_once_both_hear_what_has_become_of_it(
    system: ActorSystem,
) -> None:
    for asked in [system.rebuild("sums"), system.rebuild("sums")]:
        problem = problem_of(asked)
        assert problem is None or "ask again" in problem
    system.rebuild("sums").result(LIMIT_S)
    assert (sums(system), programs(system)) == ({"counter/1": 2}, {"sums"})


def test_who_waits_for_a_table_hears_that_its_workers_were_ended(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "_NEAR", -1)  # it never is
    asked = system.rebuild("sums")
    eventually(lambda: sums(system, BUILT) == {"counter/1": 2})
    system.stop(BUILT).result(LIMIT_S)
    with pytest.raises(InvalidProgram, match="its workers were ended before it was built"):
        asked.result(LIMIT_S)


def test_who_begins_anew_while_its_table_takes_its_place_projects_nothing_into_it(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "_NEAR", -1)
    asked = system.rebuild("sums")
    eventually(lambda: sums(system, BUILT) == {"counter/1": 2})
    swapped, lost = list[bool](), list[bool]()

    class Swapping(WriterMemoryStore):
        """Has them swapped when the worker has its table, and not its checkpoints."""

        async def open_subscription(
            self, name: str, selection: Selection, after: int, epoch: int, *, make: bool = True
        ) -> SubscriptionRecord:
            if not swapped and name.startswith(BUILT):
                swapped.append(True)
                tables = {table.name: table for table in await self.projections()}
                assert await self.swap_projection(tables[BUILT])
            return await WRITER_OPEN(self, name, selection, after, epoch, make=make)

        async def project(self, table: Any, *changes: Any) -> None:
            await WRITER_PROJECT(self, table, *changes)
            if not lost and table.name == BUILT:
                lost.append(True)
                raise StoreUnavailable("memory", "its answer is lost for once")

    for method in ("open_subscription", "project"):
        monkeypatch.setattr(WriterMemoryStore, method, Swapping.__dict__[method])
    publish(system, 4)
    asked.result(LIMIT_S)
    publish(system, 8)
    eventually(lambda: sums(system) == {"counter/1": 14})
    assert programs(system) == {"sums"}


WRITER_OPEN, WRITER_PROJECT = WriterMemoryStore.open_subscription, WriterMemoryStore.project

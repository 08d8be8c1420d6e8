"""Stream programs that run in a system of one process: what a driver is told, and what is left."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError

from actors.event import DeviceEvent, Event
from runtime.cluster.workers import Workers
from runtime.errors import NotPossible, StartFailed
from runtime.partition.writer_link import WriterAway, WriterLink
from runtime.processing.program_code import pickled_program
from runtime.processing.program_run import ProgramRun
from runtime.processing.program_selection import selection_of_program
from runtime.system import ActorSystem
from runtime.topology.names import ProcessKind
from runtime.topology.status import ProcessStatus, WorkerFacts
from store.appends import Acknowledged, Append
from store.errors import AnotherSelection, StaleEpoch
from store.event_store import EventStore
from store.memory import MemoryEventStore
from store.selection import EVERYTHING, Selection
from streams.errors import InvalidProgram
from streams.handler import Handler
from streams.program import Change
from streams.scenario import happened
from tests.integration.systems import eventually
from tests.programs import Echo, Totals

LIMIT_S = 30.0


class Seen(DeviceEvent):
    """Something was."""

    n: int


class Silent(Echo):
    """Comes to nothing but progress."""

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        return Change()


def publish(system: ActorSystem, number: int) -> None:
    event = happened(Seen(n=number), source=f"device/{number}", at=datetime.now(UTC))
    system.publish(event).result(LIMIT_S)


def facts(system: ActorSystem) -> list[WorkerFacts]:
    return [
        status.facts
        for status in system.status().result(LIMIT_S)
        if isinstance(status, ProcessStatus) and isinstance(status.facts, WorkerFacts)
    ]


def quiet(name: str = "totals", *sources: str) -> Totals:
    """One that puts nothing out for now."""
    return Totals(name, sources or ("device/*",), every=1000)


def stands_at(system: ActorSystem, position: int) -> Callable[[], bool]:
    return lambda: all(one.position == position for one in facts(system))


def test_flushing_ends_where_what_was_in_doubt_has_happened(
    memory_system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended, armed, lost = WriterLink.append, threading.Event(), threading.Event()

    async def append(link: WriterLink, one: Append) -> Acknowledged:
        done = await appended(link, one)
        if one.checkpoints and armed.is_set():
            armed.clear()
            lost.set()
            await asyncio.sleep(0)  # whoever flushes waits by now
            raise WriterAway("its answer is lost")
        return done

    monkeypatch.setattr(WriterLink, "append", append)
    memory_system.run(quiet(), workers=1).result(LIMIT_S)
    armed.set()
    publish(memory_system, 1)
    assert lost.wait(LIMIT_S)
    memory_system.stop("totals").result(5.0)  # it would be 10 s, and a line in the log
    assert facts(memory_system) == []


def test_a_worker_that_is_started_anew_says_where_it_is(memory_system: ActorSystem) -> None:
    memory_system.run(quiet(), workers=1).result(LIMIT_S)
    publish(memory_system, 1)
    eventually(stands_at(memory_system, 1))
    memory_system.stop("totals").result(LIMIT_S)
    memory_system.run(quiet(), workers=2).result(LIMIT_S)
    eventually(stands_at(memory_system, 1))
    assert len(facts(memory_system)) == 2
    publish(memory_system, 2)
    eventually(stands_at(memory_system, 2))
    assert sum(one.events for one in facts(memory_system)) == 1  # of which one has the slot


def test_another_selection_is_told_and_what_runs_runs_on(memory_system: ActorSystem) -> None:
    memory_system.run(quiet(), workers=1).result(LIMIT_S)
    with pytest.raises(AnotherSelection, match=r"totals.*device/.*elsewhere"):
        memory_system.run(quiet("totals", "elsewhere/*"), workers=1).result(LIMIT_S)
    publish(memory_system, 1)
    eventually(stands_at(memory_system, 1))


def test_one_that_is_dropped_while_it_runs_ends_and_does_not_come_back(
    memory_system: ActorSystem,
) -> None:
    system = memory_system
    system.run(quiet(), workers=2).result(LIMIT_S)
    for number in range(20):
        publish(system, number)
    eventually(stands_at(system, 20))

    async def drop(store: EventStore) -> bool:
        dropped = await store.drop_subscription("totals")
        return await store.drop_program("totals") or dropped

    async def names(store: EventStore) -> list[str]:
        return [record.name for record in await store.subscriptions()]

    log = system.connection.log
    assert system.connection.errand("drop", lambda: log.ask(drop)).result(LIMIT_S)
    for number in range(20):
        publish(system, number)  # they hear of it with what they want to commit next
    eventually(lambda: facts(system) == [])
    assert system.connection.errand("names", lambda: log.ask(names)).result(LIMIT_S) == []


def test_one_that_is_run_again_before_it_has_noticed_that_it_was_dropped_begins_anew(
    memory_system: ActorSystem,
) -> None:
    system = memory_system
    system.run(quiet(), workers=1).result(LIMIT_S)
    publish(system, 1)
    eventually(stands_at(system, 1))

    async def drop(store: EventStore) -> bool:
        return await store.drop_subscription("totals") | await store.drop_program("totals")

    system.connection.errand("drop", lambda: system.connection.log.ask(drop)).result(LIMIT_S)
    system.run(quiet(), workers=1).result(LIMIT_S)
    publish(system, 2)
    eventually(stands_at(system, 2))
    [worker] = facts(system)
    assert (worker.events, worker.trouble) == (2, None)


def test_who_waits_for_one_that_was_dropped_to_commit_what_it_has_does_so_no_longer(
    memory_system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = memory_system
    monkeypatch.setattr(ProgramRun, "QUIET_S", 10 * LIMIT_S)  # until somebody flushes it
    monkeypatch.setattr(Workers, "FLUSH_S", 10 * LIMIT_S)
    system.run(Silent("silent", ("device/*",)), workers=1).result(LIMIT_S)
    publish(system, 1)
    eventually(lambda: [one.events for one in facts(system)] == [1])

    async def drop(store: EventStore) -> bool:
        return await store.drop_program("silent")

    assert system.connection.errand("drop", lambda: system.connection.log.ask(drop)).result(LIMIT_S)
    system.stop("silent").result(LIMIT_S)
    assert facts(system) == []


async def test_one_that_hung_as_it_began_is_not_the_last_of_its_name() -> None:
    store = MemoryEventStore()
    run = ProgramRun.__new__(ProgramRun)
    run._store, run._node = store, "node-001.workers/totals/0"
    run._number = (await store.open_epoch(run._node)).number
    await run._check_last()
    await store.open_epoch(run._node)
    with pytest.raises(StaleEpoch):
        await run._check_last()


def test_all_slots_begin_where_the_first_ones_did(memory_system: ActorSystem) -> None:
    """A run that came to nothing may have made some of them, at the head of then."""

    async def make(store: EventStore) -> None:
        await store.open_subscription("totals/3", selection_of_program(quiet()), 0, 7)

    memory_system.connection.errand("slots", lambda: memory_system.connection.log.ask(make))
    publish(memory_system, 1)
    memory_system.run(quiet(), workers=2, after=None).result(LIMIT_S)
    eventually(stands_at(memory_system, 1))

    async def began(store: EventStore) -> set[int]:
        return {record.began for record in await store.subscriptions()}

    asked = memory_system.connection.errand(
        "slots", lambda: memory_system.connection.log.ask(began)
    )
    assert asked.result(LIMIT_S) == {0}


def test_a_name_that_is_taken_is_refused(memory_system: ActorSystem) -> None:
    taken = "a durable subscription has the name 'totals'"
    with memory_system.subscribe(name="totals"), pytest.raises(InvalidProgram, match=taken):
        memory_system.run(quiet(), workers=1).result(LIMIT_S)


def test_a_star_beside_others_is_everything() -> None:
    assert selection_of_program(Echo("echo", ("device/*", "*"))) == EVERYTHING
    several = selection_of_program(Echo("echo", ("b/*", "a/*", "b/*")))
    assert several == Selection(sources=("a/*", "b/*"))


class Processes:
    """The first worker does not start; the others begin to."""

    def __init__(self) -> None:
        self.there: dict[str, asyncio.Event] = {}
        self.begun = asyncio.Event()
        self.started = 0

    def others(self) -> dict[str, ProcessKind]:
        return dict.fromkeys(self.there, ProcessKind.WORKER)

    def find(self, name: str) -> Any:
        raise ValueError(name)

    def drained(self, name: str) -> Any:
        raise ValueError(name)

    def start_worker(self, name: str, code: bytes, index: int, workers: int, after: int) -> Any:
        died = self.there.setdefault(name, asyncio.Event())
        self.begun.set()
        self.started += 1

        async def ready() -> None:
            if index == 0:
                await asyncio.sleep(0)
                raise InvalidProgram("totals", "it needs a module")
            await died.wait()
            raise ActorDiedError

        return SimpleNamespace(ready=SimpleNamespace(remote=ready))

    def end(self, name: str) -> None:
        self.there.pop(name).set()


class Beside:
    """A world in which nothing blocks."""

    async def aside(self, work: Callable[[], Any]) -> Any:
        return work()


def workers_of(processes: Processes) -> Workers:
    return Workers(processes, Beside())  # type: ignore[arg-type]


async def test_nothing_of_it_runs_where_one_worker_does_not_start() -> None:
    processes = Processes()
    with pytest.raises(InvalidProgram, match="it needs a module"):
        await workers_of(processes).ensure_running("totals", pickled_program(quiet()), 3, 0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert processes.there == {}


async def test_a_system_that_ends_starts_no_worker() -> None:
    processes = Processes()
    workers = workers_of(processes)
    code = pickled_program(quiet())
    asked = asyncio.ensure_future(workers.ensure_running("totals", code, 2, 0))
    await processes.begun.wait()
    await workers.cancel()
    with pytest.raises(StartFailed, match="the system is being stopped"):
        await asked
    assert processes.started == 2
    with pytest.raises(StartFailed):
        await workers.ensure_running("totals", code, 2, 0)


async def test_nothing_is_started_where_the_system_ends_while_others_make_way() -> None:
    processes = Processes()
    processes.there["worker-7-of-totals"] = asyncio.Event()
    workers = workers_of(processes)
    flushing, flushed = asyncio.Event(), asyncio.Event()

    async def drained() -> int:
        flushing.set()
        await flushed.wait()
        return 0

    processes.drained = lambda name: drained()  # type: ignore[method-assign]
    code = pickled_program(quiet())
    asked = asyncio.ensure_future(workers.ensure_running("totals", code, 2, 0))
    await flushing.wait()
    await workers.cancel()
    flushed.set()
    with pytest.raises(StartFailed, match="the system is being stopped"):
        await asked
    assert processes.started == 0


def restarting(processes: Processes, silent: int, runs: tuple[str, int, tuple[str, ...]]) -> None:
    """A worker of `porter` that does not answer so many times, because Ray is starting it anew."""
    processes.there["worker-0-of-porter"] = asyncio.Event()
    left = [silent]

    async def says() -> tuple[str, int, tuple[str, ...]]:
        if left[0]:
            left[0] -= 1
            raise ActorUnavailableError("it is being started", None)
        return runs

    def find(name: str) -> Any:
        if name != "worker-0-of-porter":
            raise ValueError(name)
        return SimpleNamespace(runs=SimpleNamespace(remote=says))

    processes.find = find  # type: ignore[method-assign]


async def test_who_does_not_say_what_it_runs_is_asked_again() -> None:
    processes = Processes()
    restarting(processes, 3, ("code", 1, ("first", "totals")))
    workers = workers_of(processes)
    workers.PAUSE_S = 0.0
    with pytest.raises(InvalidProgram, match=r"totals runs already, together with .*'porter'"):
        await workers.ensure_running("totals", pickled_program(quiet()), 1, 0)
    assert processes.started == 0


def saying(processes: Processes, *runs: tuple[str, int, tuple[str, ...]] | None) -> None:
    """Workers of `totals`, of which each says this of what it runs; None: it does not answer."""
    said = {f"worker-{index}-of-totals": one for index, one in enumerate(runs)}
    processes.there.update((name, asyncio.Event()) for name in said)

    def find(name: str) -> Any:
        async def says() -> tuple[str, int, tuple[str, ...]]:
            if (one := said[name]) is None:
                raise ActorUnavailableError("the event store is away", None)
            return one

        return SimpleNamespace(runs=SimpleNamespace(remote=says))

    processes.find = find  # type: ignore[method-assign]


SOME = ("other code", 2, ())


@pytest.mark.parametrize("runs", [(SOME, SOME), (SOME, None), (None, None)])
async def test_what_runs_is_kept_for_who_only_needs_that_it_does(runs: tuple[Any, ...]) -> None:
    processes = Processes()
    saying(processes, *runs)
    there = dict(processes.there)
    workers, code = workers_of(processes), pickled_program(quiet())
    await workers.ensure_running("totals", code, 0, 0, keep=True)
    assert (processes.there, processes.started) == (there, 0)


@pytest.mark.parametrize("runs", [(SOME,), (SOME, ("", 2, ())), ()])
async def test_what_lacks_a_worker_or_was_dropped_is_not_kept(runs: tuple[Any, ...]) -> None:
    processes = Processes()
    saying(processes, *runs)
    with pytest.raises(InvalidProgram, match="it needs a module"):
        await workers_of(processes).ensure_running(
            "totals", pickled_program(quiet()), 0, 0, keep=True
        )
    assert processes.started == (2 if runs else 1)
    assert processes.there == {}


@pytest.mark.parametrize("fingerprint", ["", "code"])
async def test_who_was_dropped_has_its_workers_ended_unless_it_was_run_again_since(
    fingerprint: str,
) -> None:
    processes = Processes()
    restarting(processes, 0, (fingerprint, 1, ()))
    await workers_of(processes).stop("porter", dropped=True)
    assert list(processes.there) == (["worker-0-of-porter"] if fingerprint else [])


async def test_nothing_is_started_that_may_run_in_what_does_not_answer() -> None:
    processes = Processes()
    restarting(processes, 10**9, ("code", 1, ("first", "totals")))
    workers = workers_of(processes)
    workers.SAY_S = 0.05
    with pytest.raises(NotPossible, match=r"cannot say whether totals runs already.* of porter"):
        await workers.ensure_running("totals", pickled_program(quiet()), 1, 0)
    assert processes.started == 0


class First(Handler):
    event_types = ("seen",)

    def handle(self, event: Event) -> list[Any]:
        return []


class Second(First):
    event_types = ("*",)


class Third(First):
    event_types = ("se*",)


class Unlike(First):
    event_types = ("heard",)


@pytest.mark.thornback(event_bus={"max_handlers_per_type": 2})
def test_no_more_handlers_of_an_event_type_run_than_may(memory_system: ActorSystem) -> None:
    publish(memory_system, 1)
    for handler in (First, Second):
        memory_system.run(handler, workers=2).result(LIMIT_S)
    told = r"third: 2 handlers of 'seen' run.*max_handlers_per_type\): first, second"
    eventually(lambda: len(facts(memory_system)) == 4)
    with pytest.raises(InvalidProgram, match=told):
        memory_system.run(Third, workers=1).result(LIMIT_S)
    memory_system.run(Unlike, workers=1).result(LIMIT_S)
    memory_system.run(Second, workers=1).result(LIMIT_S)  # which is there already
    memory_system.stop("first").result(LIMIT_S)
    memory_system.run(Third, workers=1).result(LIMIT_S)

"""Handlers that run together in a system of one process: their order, and what each is left to."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.event import DeviceEvent, Event, Kind
from runtime.errors import NotPossible, UnknownProgram
from runtime.processing.companion import Companion
from runtime.processing.company import Company
from runtime.processing.evaluation import StepFailed
from runtime.processing.lanes import Lane
from runtime.processing.program_selection import selection_of_program
from runtime.system import ActorSystem
from runtime.topology.status import ProcessStatus, WorkerFacts
from store.event_store import EventStore
from store.slots import SLOTS, slot_of_key
from streams.errors import InvalidProgram
from streams.failures import OnFailure
from streams.handler import Handler
from streams.handlers import Handlers
from streams.program import Fact
from streams.scenario import happened
from tests.integration.systems import eventually

LIMIT_S = 30.0


class Seen(DeviceEvent):
    """Something was."""

    n: int


class Telling(Handler):
    """Says which number it has seen."""

    event_types: Sequence[str] = ("seen",)

    def handle(self, event: Event) -> Iterator[Fact]:
        yield Fact("told", Kind.BUSINESS, {"n": event.data["n"], "by": self.name})


class First(Telling):
    name = "zeal"
    priority = 200


class Second(Telling):
    name = "alarm"


class Third(Telling):
    name = "bell"


class Fussy(Telling):
    """Fails at numbers that are files of a folder, and cannot be stored at those of `odd-N`."""

    name = "fussy"
    priority = 255
    tries: int = 2
    backoff = timedelta(0)

    def __init__(self, folder: Path, on_failure: OnFailure = "park", **said: Any) -> None:
        self.folder, self.on_failure = str(folder), on_failure
        self.__dict__ |= said

    def handle(self, event: Event) -> Iterator[Fact]:
        number = event.data["n"]
        yield from super().handle(event)
        if (Path(self.folder) / f"{number}").exists():
            raise ValueError(f"not {number}")
        if (Path(self.folder) / f"odd-{number}").exists():
            yield Fact("told", Kind.BUSINESS, {"n": float("nan")})


def publish(system: ActorSystem, numbers: Sequence[int], sources: int = 3) -> None:
    replies = [
        system.publish(happened(Seen(n=n), source=f"device/{n % sources}", at=datetime.now(UTC)))
        for n in numbers
    ]
    for reply in replies:
        reply.result(LIMIT_S)


def told(system: ActorSystem) -> list[Event]:
    """What has been told so far."""
    head = system.head().result(LIMIT_S)
    if not head:
        return []
    found = []
    with system.subscribe(after=0) as events:
        for event in events:
            found.append(event)
            if event.position == head:
                break
    return [event for event in found if event.event_type == "told"]


def numbers_told(system: ActorSystem) -> dict[str, list[int]]:
    """The numbers of each handler, in the order of the log."""
    found: dict[str, list[int]] = defaultdict(list)
    for event in told(system):
        found[event.source.partition("/")[0]].append(event.data["n"])
    return found


def wait_told(system: ActorSystem, wanted: dict[str, int]) -> dict[str, list[int]]:
    """Until they have told so many; what."""

    def there() -> dict[str, list[int]]:
        found = numbers_told(system)
        return found if {name: len(theirs) for name, theirs in found.items()} == wanted else {}

    return eventually(there)


def facts(system: ActorSystem) -> list[WorkerFacts]:
    return [
        status.facts
        for status in system.status().result(LIMIT_S)
        if isinstance(status, ProcessStatus) and isinstance(status.facts, WorkerFacts)
    ]


def of_handler(system: ActorSystem, name: str) -> list[WorkerFacts]:
    return [each for one in facts(system) for each in one.handlers if each.program == name]


def order_of_each(system: ActorSystem) -> dict[int, list[str]]:
    """By number, who has told it, in the order of the log."""
    found: dict[int, list[str]] = defaultdict(list)
    for event in told(system):
        found[event.data["n"]].append(event.data["by"])
    return found


@pytest.mark.parametrize("workers", [1, 3])
def test_the_higher_one_stands_before_the_lower_one_in_the_log(
    memory_system: ActorSystem, workers: int
) -> None:
    publish(memory_system, range(20), sources=7)
    together = Handlers("porter", Third, Second, First)
    memory_system.run(together, workers=workers).result(LIMIT_S)
    wait_told(memory_system, {"zeal": 20, "alarm": 20, "bell": 20})
    publish(memory_system, range(20, 40), sources=7)
    wait_told(memory_system, {"zeal": 40, "alarm": 40, "bell": 40})
    assert order_of_each(memory_system) == {n: ["zeal", "alarm", "bell"] for n in range(40)}
    by_source = {event.source for event in told(memory_system)}
    assert by_source == {
        f"{name}/device/{n}" for n in range(7) for name in ("zeal", "alarm", "bell")
    }
    eventually(lambda: len(of_handler(memory_system, "bell")) == workers)
    assert sum(one.outputs for one in of_handler(memory_system, "bell")) == 40
    assert sum(one.events for one in facts(memory_system)) == 120


def test_one_that_waits_for_another_try_stops_no_other(
    memory_system: ActorSystem, tmp_path: Path
) -> None:
    (tmp_path / "4").touch()
    fussy = Fussy(tmp_path, backoff=timedelta(minutes=10))
    memory_system.run(Handlers("porter", fussy, Second), workers=1).result(LIMIT_S)
    publish(memory_system, range(10))
    found = wait_told(memory_system, {"fussy": 4, "alarm": 10})
    assert found["fussy"] == [0, 1, 2, 3]
    eventually(lambda: [one.failures for one in of_handler(memory_system, "fussy")] == [1])
    assert "fussy fails at event" in str(facts(memory_system)[0].trouble)
    order = order_of_each(memory_system)
    assert [order[n] for n in range(4)] == [["fussy", "alarm"]] * 4


def test_what_one_fails_at_is_parked_for_it_alone_and_replayed(
    memory_system: ActorSystem, tmp_path: Path
) -> None:
    (bad := tmp_path / "4").touch()
    together = Handlers("porter", Second, Fussy(tmp_path))
    memory_system.run(together, workers=2).result(LIMIT_S)
    publish(memory_system, range(10))
    wait_told(memory_system, {"fussy": 8, "alarm": 10})
    [letters] = eventually(lambda: memory_system.dead_letters("fussy").result(LIMIT_S))
    assert (letters.key, letters.reason, letters.tries) == ("device/1", "ValueError: not 4", 2)
    eventually(lambda: memory_system.dead_letters().result(LIMIT_S)[0].letters == 2)
    assert sum(one.parked for one in of_handler(memory_system, "fussy")) == 1
    assert sum(one.parked for one in of_handler(memory_system, "alarm")) == 0
    eventually(lambda: not any(one.trouble for one in facts(memory_system)))
    publish(memory_system, [10])  # of the same source: it queues as well, while all are together
    eventually(lambda: memory_system.dead_letters().result(LIMIT_S)[0].letters == 3)
    told = "porter is several handlers: name one of alarm, fussy"
    with pytest.raises(NotPossible, match=told):
        memory_system.replay_dead_letters("porter").result(LIMIT_S)
    with pytest.raises(NotPossible, match="have theirs under their own names"):
        memory_system.dead_letters("porter").result(LIMIT_S)
    assert memory_system.dead_letters("alarm").result(LIMIT_S) == []
    bad.unlink()
    replayed = memory_system.replay_dead_letters("fussy").result(LIMIT_S)
    assert (replayed.events, replayed.parked) == (3, {})
    assert memory_system.replay_dead_letters("fussy").result(LIMIT_S).events == 0
    publish(memory_system, [13])
    found = wait_told(memory_system, {"fussy": 12, "alarm": 12})
    assert [n for n in found["fussy"] if n % 3 == 1] == [1, 4, 7, 10, 13]
    eventually(lambda: order_of_each(memory_system)[13] == ["fussy", "alarm"])


def test_one_that_stands_is_resumed_by_its_name_and_comes_up_with_the_others(
    memory_system: ActorSystem, tmp_path: Path
) -> None:
    (tmp_path / "2").touch()
    together = Handlers("porter", Second, Fussy(tmp_path, "pause"))
    memory_system.run(together, workers=1).result(LIMIT_S)
    publish(memory_system, range(6))
    wait_told(memory_system, {"fussy": 2, "alarm": 6})
    eventually(lambda: [one.paused for one in of_handler(memory_system, "fussy")] == [True])
    assert [one.paused for one in facts(memory_system)] == [True]
    assert memory_system.resume("alarm").result(LIMIT_S) == 0
    assert memory_system.resume("fussy", skip=True).result(LIMIT_S) == 1
    wait_told(memory_system, {"fussy": 5, "alarm": 6})
    eventually(lambda: not any(one.paused for one in facts(memory_system)))
    publish(memory_system, [6])
    wait_told(memory_system, {"fussy": 6, "alarm": 7})
    order = order_of_each(memory_system)
    assert [order[n] for n in (0, 1, 2, 3, 6)] == [
        ["fussy", "alarm"], ["fussy", "alarm"], ["alarm"], ["alarm", "fussy"], ["fussy", "alarm"],
    ]  # fmt: skip


@pytest.mark.parametrize("near", [0, 1_000])
def test_a_lower_one_that_comes_up_does_not_get_before_a_higher_one(
    memory_system: ActorSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, near: int
) -> None:
    """What the higher one has made is on its way for as long as nobody waits for it."""
    opened, parted, committed = Company._open_node, Company._part, Company._commit
    going = asyncio.Event()
    going.set()

    def part(company: Company, companion: Companion, failed: StepFailed | None = None) -> None:
        parted(company, companion, failed)
        going.clear()

    async def commit(company: Company, lane: Lane) -> None:
        going.set()
        await committed(company, lane)

    async def open_node(company: Company) -> None:
        await opened(company)
        append = company._journal.append

        async def later(*what: Any) -> Any:
            await going.wait()
            return await append(*what)

        monkeypatch.setattr(
            company._journal, "append", lambda *what: asyncio.ensure_future(later(*what))
        )

    monkeypatch.setattr(Companion, "NEAR", near)
    monkeypatch.setattr(Company, "_part", part)
    monkeypatch.setattr(Company, "_commit", commit)
    monkeypatch.setattr(Company, "_open_node", open_node)
    (tmp_path / "4").touch()
    together = Handlers("porter", First, Fussy(tmp_path, "pause", priority=0, tries=1))
    memory_system.run(together, workers=1).result(LIMIT_S)
    publish(memory_system, range(6))
    eventually(lambda: [one.paused for one in of_handler(memory_system, "fussy")] == [True])
    publish(memory_system, range(6, 10))
    eventually(lambda: [one.events for one in of_handler(memory_system, "zeal")] == [10])
    assert memory_system.resume("fussy", skip=True).result(LIMIT_S) == 1
    wait_told(memory_system, {"zeal": 10, "fussy": 9})
    order = order_of_each(memory_system)
    assert [order[n] for n in (3, *range(5, 10))] == [["zeal", "fussy"]] * 6


def test_what_cannot_be_stored_is_a_failure_at_its_event_and_spoils_no_version(
    memory_system: ActorSystem, tmp_path: Path
) -> None:
    (tmp_path / "odd-7").touch()
    publish(memory_system, range(10), sources=1)
    together = Handlers("porter", Second, Fussy(tmp_path, "skip"))
    memory_system.run(together, workers=1).result(LIMIT_S)
    found = wait_told(memory_system, {"fussy": 9, "alarm": 10})
    assert found["fussy"] == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    publish(memory_system, [10], sources=1)
    wait_told(memory_system, {"fussy": 10, "alarm": 11})
    versions = [event.version for event in told(memory_system) if event.data["by"] == "fussy"]
    assert versions == list(range(1, 11))
    order = order_of_each(memory_system)
    assert [order[n] for n in range(7)] == [["fussy", "alarm"]] * 7


def test_a_handler_that_joins_others_or_leaves_them_does_nothing_twice(
    memory_system: ActorSystem,
) -> None:
    publish(memory_system, range(5))
    memory_system.run(Second, workers=2).result(LIMIT_S)
    wait_told(memory_system, {"alarm": 5})
    already = "alarm runs already, by itself: stop that first"
    with pytest.raises(InvalidProgram, match=already):
        memory_system.run(Handlers("porter", First, Second), workers=1).result(LIMIT_S)
    memory_system.stop("alarm").result(LIMIT_S)
    memory_system.run(Handlers("porter", First, Second), workers=1).result(LIMIT_S)
    publish(memory_system, range(5, 10))
    wait_told(memory_system, {"alarm": 10, "zeal": 10})
    with pytest.raises(InvalidProgram, match=r"alarm runs already, together with.*'porter': stop"):
        memory_system.run(Second).result(LIMIT_S)
    with pytest.raises(
        InvalidProgram, match=r"zeal runs already, together with others, in 'porter'"
    ):
        memory_system.run(Handlers("janitor", First, Third)).result(LIMIT_S)
    with pytest.raises(NotPossible, match=r"alarm runs together with others, in 'porter': stop"):
        memory_system.stop("alarm").result(LIMIT_S)
    memory_system.run(Handlers("porter", First, Third), workers=2).result(LIMIT_S)
    memory_system.run(Second, workers=1).result(LIMIT_S)
    publish(memory_system, range(10, 15))
    wait_told(memory_system, {"alarm": 15, "zeal": 15, "bell": 15})
    with pytest.raises(UnknownProgram):
        memory_system.stop("nobody").result(LIMIT_S)


def test_a_name_is_for_handlers_or_for_a_program(memory_system: ActorSystem) -> None:
    memory_system.run(Handlers("porter", First), workers=1).result(LIMIT_S)
    with pytest.raises(InvalidProgram, match="porter: several handlers run together under this"):
        memory_system.run(type("Porter", (Telling,), {"name": "porter"})).result(LIMIT_S)
    memory_system.run(Second, workers=1).result(LIMIT_S)
    with pytest.raises(InvalidProgram, match="alarm: a program or a durable subscription has this"):
        memory_system.run(Handlers("alarm", Third)).result(LIMIT_S)
    with memory_system.subscribe(name="third"), pytest.raises(InvalidProgram, match="'third'"):
        memory_system.run(Handlers("porter", type("T", (Telling,), {"name": "third"}))).result(
            LIMIT_S
        )


@pytest.mark.thornback(event_bus={"max_handlers_per_type": 2})
def test_each_of_them_counts_among_the_handlers_of_a_type(memory_system: ActorSystem) -> None:
    refused = (
        r"porter: 3 of its handlers listen to 'seen', as do 0 that run, and 2 may.*alarm, bell"
    )
    with pytest.raises(InvalidProgram, match=refused):
        memory_system.run(Handlers("porter", First, Second, Third)).result(LIMIT_S)
    memory_system.run(Handlers("porter", First, Second), workers=1).result(LIMIT_S)
    eventually(lambda: len(facts(memory_system)) == 1)
    with pytest.raises(InvalidProgram, match=r"bell: 2 handlers of 'seen' run.*alarm, zeal"):
        memory_system.run(Third).result(LIMIT_S)
    with pytest.raises(InvalidProgram, match=r"alarm runs already, together with others"):
        memory_system.run(Second).result(LIMIT_S)  # it is no other one that has no room
    memory_system.run(Handlers("porter", First, Third), workers=1).result(LIMIT_S)


def test_one_that_is_far_behind_is_not_waited_for_and_comes_up(
    memory_system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Company, "ABREAST", 3)
    monkeypatch.setattr(Companion, "NEAR", 2)
    monkeypatch.setattr(Companion, "ALIGNED", 4)
    publish(memory_system, range(10))
    memory_system.run(Handlers("porter", Second), workers=1).result(LIMIT_S)
    wait_told(memory_system, {"alarm": 10})
    memory_system.run(Handlers("porter", Second, First), workers=1).result(LIMIT_S)
    found = wait_told(memory_system, {"alarm": 10, "zeal": 10})
    assert found["zeal"] == list(range(10))
    eventually(lambda: len({one.position for one in facts(memory_system)[0].handlers}) == 1)
    publish(memory_system, [10])
    wait_told(memory_system, {"alarm": 11, "zeal": 11})


def test_slots_that_are_behind_are_brought_up_together_in_the_order(
    memory_system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have come differently far, as where workers were ended in their midst. Apart,
    the two might keep the order by chance."""
    part, parted = Company._part, list[str]()

    def note(company: Company, companion: Companion, *failed: Any) -> None:
        parted.append(companion.program.name)
        part(company, companion, *failed)

    monkeypatch.setattr(Company, "_part", note)

    async def make(store: EventStore) -> None:
        for handler in (First, Second):
            selection = selection_of_program(handler())
            for slot in range(SLOTS):
                await store.open_subscription(f"{handler.name}/{slot}", selection, slot, 7)

    publish(memory_system, range(24), sources=12)
    memory_system.connection.errand("slots", lambda: memory_system.connection.log.ask(make)).result(
        LIMIT_S
    )
    memory_system.run(Handlers("porter", Second, First), workers=2).result(LIMIT_S)

    def finished(number: int) -> bool:
        return number >= slot_of_key(f"device/{number % 12}")  # its position is one more

    wanted = [number for number in range(24) if finished(number)]
    wait_told(memory_system, {"alarm": len(wanted), "zeal": len(wanted)})
    assert order_of_each(memory_system) == {n: ["zeal", "alarm"] for n in wanted}
    assert parted == []


def test_a_handler_that_is_dropped_while_it_runs_ends_what_it_runs_in(
    memory_system: ActorSystem,
) -> None:
    """Begun anew, it would do everything a second time."""
    memory_system.run(Handlers("porter", First, Second), workers=2).result(LIMIT_S)
    publish(memory_system, range(10), sources=10)
    wait_told(memory_system, {"alarm": 10, "zeal": 10})
    log = memory_system.connection.log

    async def drop(store: EventStore) -> bool:
        return await store.drop_program("alarm")

    async def names(store: EventStore) -> set[str]:
        return {record.name.partition("/")[0] for record in await store.subscriptions()}

    assert memory_system.connection.errand("drop", lambda: log.ask(drop)).result(LIMIT_S)
    publish(memory_system, range(10, 30), sources=20)
    eventually(lambda: facts(memory_system) == [])
    asked = memory_system.connection.errand("names", lambda: log.ask(names))
    assert asked.result(LIMIT_S) == {"zeal"}


def dropped(system: ActorSystem, name: str) -> bool:
    """As `thornback subscriptions --drop` does it."""

    async def drop(store: EventStore) -> bool:
        return await store.drop_subscription(name) | await store.drop_program(name)

    return system.connection.errand("drop", lambda: system.connection.log.ask(drop)).result(LIMIT_S)


def checkpoints_of(system: ActorSystem) -> set[str]:
    """What has any."""

    async def names(store: EventStore) -> set[str]:
        return {record.name.partition("/")[0] for record in await store.subscriptions()}

    asked = system.connection.errand("names", lambda: system.connection.log.ask(names))
    return asked.result(LIMIT_S)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("together", [False, True])
def test_one_that_is_dropped_while_it_stands_begins_nothing_anew(
    memory_system: ActorSystem, tmp_path: Path, workers: int, together: bool
) -> None:
    (bad := tmp_path / "4").touch()
    fussy = Fussy(tmp_path, "pause")
    program = Handlers("porter", Second, fussy) if together else fussy
    memory_system.run(program, workers=workers).result(LIMIT_S)
    publish(memory_system, range(5), sources=1)
    wait_told(memory_system, {"fussy": 4} | ({"alarm": 5} if together else {}))
    eventually(lambda: any(one.paused for one in facts(memory_system)))
    assert dropped(memory_system, "fussy")
    bad.unlink()
    memory_system.resume("fussy").result(LIMIT_S)
    eventually(lambda: facts(memory_system) == [])
    assert numbers_told(memory_system)["fussy"] == [0, 1, 2, 3]
    assert checkpoints_of(memory_system) == ({"alarm"} if together else set())


@pytest.mark.parametrize("before", [0, 4])
def test_one_that_is_run_right_after_it_was_dropped_begins_anew_and_runs_on(
    memory_system: ActorSystem, before: int
) -> None:
    memory_system.run(Second, workers=2).result(LIMIT_S)
    publish(memory_system, range(before))
    if before:
        wait_told(memory_system, {"alarm": before})
    assert dropped(memory_system, "alarm")
    memory_system.run(Second, workers=2).result(LIMIT_S)
    publish(memory_system, range(before, 9))
    wait_told(memory_system, {"alarm": before + 9})
    publish(memory_system, [9])
    wait_told(memory_system, {"alarm": before + 10})


def test_of_one_that_is_refused_nothing_is_left(memory_system: ActorSystem) -> None:
    memory_system.run(Second, workers=1).result(LIMIT_S)
    with pytest.raises(InvalidProgram, match="alarm runs already"):
        memory_system.run(Handlers("porter", First, Second)).result(LIMIT_S)
    assert checkpoints_of(memory_system) == {"alarm"}
    publish(memory_system, [0])
    wait_told(memory_system, {"alarm": 1})


def test_dropped_letters_of_one_are_forgotten_while_all_are_together(
    memory_system: ActorSystem, tmp_path: Path
) -> None:
    (tmp_path / "0").touch()
    memory_system.run(Handlers("porter", Second, Fussy(tmp_path)), workers=1).result(LIMIT_S)
    publish(memory_system, range(3), sources=1)
    letters = memory_system.dead_letters
    eventually(lambda: [each.letters for each in letters("fussy").result(LIMIT_S)] == [3])
    assert memory_system.drop_dead_letters("fussy").result(LIMIT_S) == 3
    publish(memory_system, [3], sources=1)
    found = wait_told(memory_system, {"fussy": 1, "alarm": 4})
    assert found["fussy"] == [3]


async def test_slots_of_one_that_is_apart_are_brought_up_behind_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fronts, brought = iter((5, 7, 20)), list[int]()

    class Elsewhere:
        async def passed(self, position: int) -> int:
            return next(fronts)

    async def align(_: Companion, lane: Lane, position: int) -> None:
        brought.append(position)
        lane.position = position

    monkeypatch.setattr(Companion, "_align", align)
    companion = Companion.__new__(Companion)
    monkeypatch.setattr(companion, "_meeting", Elsewhere(), raising=False)
    await companion._bring_up(Lane(3, None), 10)
    assert brought == [5, 7, 10]

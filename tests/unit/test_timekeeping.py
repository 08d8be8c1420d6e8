"""The timekeeper's place in the log: it moves with what is filed, and with nothing else."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.driver import outgoing
from runtime.driver.outgoing import Outgoing
from runtime.processing import timekeeping
from runtime.processing.mailing import Mailing
from runtime.processing.timekeeping import SELECTION, Timekeeping
from runtime.processing.timer_window import Window
from runtime.telemetry.metrics import TimerMetrics
from store.appends import CheckpointMove
from store.errors import StoreUnavailable
from store.event_store import EventStore
from store.memory import MemoryEventStore
from store.timers import FIRST, Hastened, TimerChanges
from tests.contracts.timers_contract import timer
from tests.unit.test_timers_in_a_host import begun, wound
from tests.unit.test_timers_in_a_system import settings_of


class Metrics(TimerMetrics):
    """Shown to nobody."""

    def __init__(self) -> None:
        pass

    def pending(self, count: int) -> None:
        pass

    def fired(self, late_us: Any) -> None:
        pass


class SlowStore(MemoryEventStore):
    """Files timers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.goes_on = asyncio.Event(), asyncio.Event()

    async def file_timers(self, checkpoint: CheckpointMove, changes: TimerChanges) -> int:
        self.asked.set()
        await self.goes_on.wait()
        return await super().file_timers(checkpoint, changes)


def keeping_of(store: EventStore, now_us: Callable[[], int]) -> Timekeeping:
    """One that runs step by step, and is connected to nothing."""
    world: Any = SimpleNamespace(now_us=now_us)
    nowhere: Any = None
    return Timekeeping(world, settings_of(), store, nowhere, Metrics())


async def test_a_drain_moves_no_checkpoint_past_what_is_being_filed() -> None:
    host = await begun()
    await wound(host)
    page = await host.store.read(0, 100, selection=SELECTION)
    store = SlowStore()
    keeping = keeping_of(store, lambda: 0)
    clock = SimpleNamespace(observe_events=lambda clocks: None)
    keeping._connection = SimpleNamespace(clock=clock)  # type: ignore[assignment]
    keeping._mailing = Mailing(0)
    await store.open_subscription(keeping.name, SELECTION, 0, keeping._epoch)
    keeping._mailing.position = 1  # a page without any event of timers came before
    taking = asyncio.ensure_future(keeping._take(page))
    await store.asked.wait()
    draining = asyncio.ensure_future(keeping.flush())
    for _ in range(10):
        await asyncio.sleep(0)
    [record] = await store.subscriptions()
    assert (record.position, record.receipt.count) == (0, 0)
    store.goes_on.set()
    await taking
    assert await draining == page.through
    [record] = await store.subscriptions()
    assert (record.position, record.receipt.count) == (page.through, 1)


class Way:
    """A channel to a host that answers nothing."""

    moved = False

    def __init__(self, host: str = "host-0") -> None:
        self.host = host
        self.sent: list[Outgoing] = []

    def submit(self, outgoing: Outgoing) -> None:
        self.sent.append(outgoing)

    def unanswered(self) -> list[Outgoing]:
        return [one for one in self.sent if not one.finished]


class Ways:
    """Those that there are: each actor type has one."""

    def __init__(self, **ways: Way) -> None:
        self.by_type = ways
        self.table = SimpleNamespace(version=1)
        self.asked: list[str] = []  #: hosts whose actors were looked for
        self.known: dict[str, Way] = {}  #: by actor type, once that was done

    def way(self, receiver: str, _: object) -> tuple[Way, int]:
        return self.by_type[receiver.partition("/")[0]], self.table.version

    def all(self) -> list[Way]:
        return list(dict.fromkeys(self.by_type.values()))

    async def look_elsewhere(self, host: str) -> None:
        self.asked.append(host)
        if self.known:
            self.by_type |= self.known
            self.table.version += 1


class FiveAtWork(Window):
    AT_WORK = 5


async def test_a_host_that_answers_nothing_takes_no_room_from_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outgoing, "MAX_COMMANDS", 1)
    monkeypatch.setattr(timekeeping, "Window", FiveAtWork)
    ways, now_s = {"away": Way("host-0"), "there": Way("host-1")}, [100.0]
    store = MemoryEventStore()
    keeping = keeping_of(store, lambda: int(now_s[0] * 1e6))
    keeping._window = FiveAtWork()
    monkeypatch.setattr(keeping, "_now_s", lambda: now_s[0])
    keeping._connection = SimpleNamespace(channels=Ways(**ways))  # type: ignore[assignment]
    record = await store.open_subscription(keeping.name, SELECTION, 0, keeping._epoch)
    away = [timer(f"away/{number}", "k", 1, number) for number in range(7)]
    move = CheckpointMove(name=record.name, epoch=record.epoch, position=0, receipt=record.receipt)
    await store.file_timers(move, TimerChanges([*away, timer("there/1", "k", 2, 9)], [], []))
    await keeping._prepare()
    keeping._send()
    assert (len(ways["away"].sent), len(ways["there"].sent)) == (3, 0)
    for _ in range(3):
        now_s[0] += keeping.SILENT_S
        await keeping._prepare()
        keeping._send()
    assert (len(ways["away"].sent), len(ways["there"].sent)) == (3, 1)
    rest = [
        each.source for each in await store.due_timers(FIRST, 2**62, 9, 2**40) if each.look_us > 9
    ]
    # Also those that it was sent: it may have given their actors away.
    assert sorted(rest)[:7] == [f"away/{number}" for number in range(7)]


async def test_what_a_silent_host_has_given_away_is_fired_by_who_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent, there, now_s = Way("host-0"), Way("host-1"), [100.0]
    store, ways = MemoryEventStore(), Ways(bell=silent)
    keeping = keeping_of(store, lambda: int(now_s[0] * 1e6))
    monkeypatch.setattr(keeping, "_now_s", lambda: now_s[0])
    keeping._connection = SimpleNamespace(channels=ways)  # type: ignore[assignment]
    await put_off(store, keeping, 3)

    async def looked() -> None:
        await keeping._prepare()
        keeping._send()
        await asyncio.sleep(0)

    await looked()
    assert sum(len(each.commands) for each in silent.sent) == 3
    now_s[0] += keeping.SILENT_S
    await looked()
    assert ways.asked == ["host-0"]
    await looked()
    assert await still_put_off(store) == 3
    ways.known = {"bell": there}
    now_s[0] += keeping.SILENT_S
    for _ in range(3):
        await looked()
    assert ways.asked == ["host-0", "host-0"]
    assert sum(len(each.commands) for each in there.sent) == 3


async def put_off(store: EventStore, keeping: Timekeeping, count: int) -> None:
    """Timers of bells that are due, and were put off for long."""
    record = await store.open_subscription(keeping.name, SELECTION, 0, keeping._epoch)
    move = CheckpointMove(name=record.name, epoch=record.epoch, position=0, receipt=record.receipt)
    late = [
        timer(f"bell/{number}", "k", 1, number)._replace(look_us=60_000_000)
        for number in range(count)
    ]
    await store.file_timers(move, TimerChanges(late, [], []))


async def still_put_off(store: EventStore) -> int:
    return sum(
        each.look_us > each.due_us for each in await store.due_timers(FIRST, 2**62, 99, 2**40)
    )


def keeping_with_ways(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> Timekeeping:
    keeping = keeping_of(store, lambda: 2)
    monkeypatch.setattr(keeping, "PAGE", 5)
    keeping._connection = SimpleNamespace(channels=Ways(bell=Way()))  # type: ignore[assignment]
    return keeping


async def test_very_many_are_woken_a_page_at_a_time_and_all_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryEventStore()
    keeping = keeping_with_ways(store, monkeypatch)
    await put_off(store, keeping, 12)
    await keeping._prepare()
    keeping.wake(["bell"])
    left = []
    for _ in range(20):
        await keeping._prepare()
        left.append(await still_put_off(store))
    assert sorted(set(left)) == [0, 2, 7]
    assert sum(keeping._window.holds(each) for each in keeping._window._at_work.values()) == 12
    assert not keeping._calls


class Refusing(MemoryEventStore):
    """Wakes nobody."""

    async def wake_timers(self, *_: Any) -> Any:
        raise StoreUnavailable("wake_timers", "it takes too long")


async def test_a_wake_that_fails_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Refusing()
    keeping = keeping_with_ways(store, monkeypatch)
    await put_off(store, keeping, 1)
    await keeping._prepare()
    keeping.wake(["bell"])
    with pytest.raises(StoreUnavailable):
        await keeping._prepare()
    await keeping._prepare()  # the others have their turn


async def test_what_fails_again_is_not_woken_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryEventStore()
    keeping = keeping_with_ways(store, monkeypatch)
    await put_off(store, keeping, 12)
    await keeping._prepare()
    keeping.wake(["bell"])
    for _ in range(40):
        await keeping._prepare()
        for each in list(keeping._window._at_work.values()):
            keeping._put_off(timekeeping.Firing(each, b""), TimeoutError())
    assert not keeping._calls
    assert await still_put_off(store) == 12


class PutOff(MemoryEventStore):
    """Has so many timers that a wrong clock has put off, and is away where `fails` is reached."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left, self.fails = count, -1
        self.asked: list[int] = []

    async def hasten_timers(
        self, checkpoint: CheckpointMove, beyond_us: int, limit: int
    ) -> Hastened:
        if self.left == self.fails:
            raise StoreUnavailable("the log", "away")
        hastened = min(self.left, limit)
        self.left -= hastened
        self.asked.append(beyond_us)
        return Hastened(hastened, beyond_us + 10 if hastened else None)


async def test_what_a_wrong_clock_has_put_off_is_hastened_page_by_page_until_all_of_it_is() -> None:
    page = Timekeeping.PAGE
    store = PutOff(2 * page + 1)
    keeping = keeping_of(store, lambda: 0)
    store.fails = page + 1
    with pytest.raises(StoreUnavailable):
        await keeping._look_at_clock()
    assert store.left == page + 1  # the first page is due by now
    store.fails = -1
    await keeping._look_at_clock()
    assert store.left == 0
    beyond_us = store.asked[1]
    # Each goes on where the one before has ended, and the first one after a failure from the start.
    assert store.asked == [beyond_us, beyond_us, beyond_us + 9]
    store.left = 1
    await keeping._look_at_clock()  # the clock stands as it stood
    assert store.left == 1

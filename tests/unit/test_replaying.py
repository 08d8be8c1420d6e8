"""What is parked and replayed comes to what it would have come to undisturbed."""

import asyncio
from array import array
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.event import Event
from runtime.clocks import NodeClock
from runtime.processing.evaluation import Effects, Evaluation, StepFailed
from runtime.processing.key_table import KeyTable
from runtime.processing.lanes import Lane
from runtime.processing.parked_here import Failure, ParkedHere, Place
from runtime.processing.reading import OneLog
from runtime.processing.replaying import Piece, Replay, Wish
from store.dead_letters import DeadLetter, Parked
from store.memory import MemoryEventStore
from store.receipts import Receipt
from store.rows.decoding import Decoder
from store.rows.layout import EncodedRows, stamp
from store.selection import Selection
from store.slots import SLOTS
from streams.program import Change, Program
from tests.contracts.appending import RECORDED_US, Log, history, made_event
from tests.programs import Echo, Hours, Totals

DAY = datetime(2024, 1, 1, tzinfo=UTC)


class Trouble:
    """Where a program fails: at positions, in the step or in the routing, until it is mended."""

    def __init__(self, steps: Iterable[int] = (), routes: Iterable[int] = ()) -> None:
        self.steps, self.routes = set(steps), set(routes)

    def check(self, positions: set[int], event: Event) -> None:
        if event.position in positions:
            raise ValueError(f"not {event.position}")

    def mend(self) -> None:
        self.steps, self.routes = set(), set()


class BadHours(Hours):
    def __init__(self, trouble: Trouble) -> None:
        super().__init__("hours", ())
        self.trouble = trouble

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        self.trouble.check(self.trouble.routes, event)
        return super().route(event)

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        self.trouble.check(self.trouble.steps, event)
        return super().step(key, item, event, state, watermark_us)


class BadTotals(Totals):
    def __init__(self, trouble: Trouble, groups: int = 2) -> None:
        super().__init__("totals", (), groups=groups)
        self.trouble = trouble

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        self.trouble.check(self.trouble.routes, event)
        return super().route(event)

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        self.trouble.check(self.trouble.steps, event)
        return super().step(key, item, event, state, watermark_us)


class BadEcho(Echo):
    def __init__(self, trouble: Trouble) -> None:
        super().__init__("echo", ())
        self.trouble = trouble

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        self.trouble.check(self.trouble.routes, event)
        return super().route(event)


class Running:
    """One worker by hand, on a log in memory: whoever fails is parked at once, and all is
    committed after each event."""

    def __init__(self, program: Program, log: Log, *, skip: bool = False) -> None:
        self.program, self.log, self.skip = program, log, skip
        assert isinstance(log.store, MemoryEventStore)
        self.store = log.store
        self.lane = Lane(0, None)
        for slot in range(SLOTS):
            self.lane.add_slot(slot)
        self.clock = NodeClock("n.workers", 0, ["n.workers", "host-a"])
        self.outputs: list[Event] = []
        self._ids = count(2**100)
        self.verdicts: dict[Place, Failure] = {}
        self.here = ParkedHere(program.name)
        self.evaluation = self._made(self.here, self.verdicts)

    def _made(self, here: ParkedHere, verdicts: dict[Place, Failure] | None = None) -> Evaluation:
        self.keys = KeyTable(self.program.name, self.store, keeps_state=self.program.keeps_state)
        return Evaluation(
            self.program, Selection(), self.keys, self.store, self.clock,
            reading=OneLog(self.store, None), began=0,
            new_id=lambda: next(self._ids).to_bytes(16, "big"), parked=here,
            verdicts=verdicts,
        )  # fmt: skip

    async def take(self, events: Sequence[Event]) -> None:
        for event in events:
            while True:
                effects = Effects()
                watermark_us = self.lane.watermark_us
                try:
                    position = event.position or 0
                    await self.evaluation.evaluate(self.lane, [event], position, effects)
                    break
                except StepFailed as failed:
                    place = failed.event.position or 0, failed.key
                    self.verdicts[place] = Failure("no", tries=3, skip=self.skip)
                    self.lane.watermark_us = watermark_us
                    await self.begin_anew()
            await self.commit(effects)

    async def begin_anew(self) -> None:
        """As after a kill: from what is in the store."""
        lane = Lane(self.lane.position, self.lane.watermark_us)
        for slot, receipt in self.lane.receipts.items():
            lane.add_slot(slot, receipt)
        self.lane = lane
        self.here = ParkedHere(self.program.name)
        await self.here.load(self.store, frozenset(lane.slots))
        for key, due_us in await self.store.due_states(self.program.name, "", 10**6):
            if key in self.here.keys:
                self.here.keys[key] = due_us
            else:
                lane.plan(key, due_us)
        self.evaluation = self._made(self.here, self.verdicts)

    async def commit(self, effects: Effects) -> None:
        data = bytearray(b"".join(effects.rows))
        lengths = array("I", map(len, effects.rows))
        stamp(data, lengths, RECORDED_US, self.log.head + 1)
        await self.log.append_rows(EncodedRows(data, lengths))
        self.outputs += Decoder().events(bytes(data))
        self.store._states.change(list(effects.states.values()))
        self.store._letters.change(effects.letters)

    async def replay(self) -> Wish:
        """All that is parked, by somebody who has just begun."""
        wish = Wish(asyncio.get_running_loop().create_future(), None)
        await self.begin_anew()
        while (parked := wish.next_of(self.here)) is not None:
            piece = await self.piece(parked)
            wish.note(parked, piece)
            await self.begin_anew()
        return wish

    async def piece(self, parked: Parked) -> Piece:
        reading = OneLog(self.store, None)
        replay = Replay(self.store, reading, self.clock, self.lane, self.here, self._made)
        piece = await replay.piece(parked)
        await self.commit(piece.effects)
        return piece

    async def letters(self, parked: Parked) -> list[DeadLetter]:
        return await self.store.dead_letters(parked, 0, 10**6)

    @property
    def last_revisions(self) -> dict[tuple[str, int], int]:
        return {(each.source, each.data["hour"]): each.data["count"] for each in self.outputs}


def at(minutes: float, source: str, version: int) -> Event:
    return made_event(source, version, timestamp=DAY + timedelta(minutes=minutes))


async def logged(*events: Event) -> tuple[Log, list[Event]]:
    log = await Log.open(MemoryEventStore())
    return log, await log.append(*events)


async def test_later_events_of_a_key_queue_and_others_go_on() -> None:
    log, events = await logged(*history("device/a", 3), *history("device/b", 2))
    work = Running(BadHours(Trouble(steps={2})), log)
    await work.take(events)
    parked = Parked("hours", False, "device/a")
    letters = await work.letters(parked)
    assert [(each.position, each.reason, each.tries) for each in letters] == [
        (2, "no", 3), (3, None, 0),
    ]  # fmt: skip
    assert [each.event_id for each in letters] == [event.id_bytes for event in events[1:3]]
    assert sum(work.lane.receipts.values(), Receipt()) == Receipt().plus(e.id.bytes for e in events)
    state = await work.store.load_states("hours", ["device/a", "device/b"])
    assert len(state) == 2
    assert list(work.here.keys) == ["device/a"]


async def test_what_is_skipped_is_no_letter_and_its_key_goes_on() -> None:
    log, events = await logged(*history("device/a", 3))
    work = Running(BadTotals(Trouble(steps={2})), log, skip=True)
    await work.take(events)
    assert [output.data["through"] for output in work.outputs] == [1, 3]
    assert await work.store.parked_queues() == []


@given(
    st.lists(st.tuples(st.floats(0, 300), st.sampled_from("abc")), min_size=1, max_size=25),
    st.sets(st.integers(1, 25), max_size=3),
    st.sets(st.integers(1, 25), max_size=2),
    st.integers(0, 25),
)
async def test_windows_that_were_parked_come_to_what_they_would_have_undisturbed(
    happened: list[tuple[float, str]], steps: set[int], routes: set[int], replayed_after: int
) -> None:
    versions: dict[str, int] = {}
    made = []
    for minutes, name in happened:
        versions[name] = versions.get(name, 0) + 1
        made.append(at(minutes, f"device/{name}", versions[name]))
    log, events = await logged(*made)
    undisturbed = Running(BadHours(Trouble()), log)
    await undisturbed.take(events)
    log, events = await logged(*made)
    trouble = Trouble(steps, routes)
    work = Running(BadHours(trouble), log)
    await work.take(events[:replayed_after])
    trouble.mend()
    wish = await work.replay()
    assert not wish.failed
    await work.take(events[replayed_after:])
    assert work.last_revisions == undisturbed.last_revisions
    assert work.lane.receipts == undisturbed.lane.receipts
    if not routes:  # a key sees what it would have seen, and no event of a source comes late
        assert sorted((e.source, e.version, e.data) for e in work.outputs) == sorted(
            (e.source, e.version, e.data) for e in undisturbed.outputs
        )
    assert await work.store.parked_queues() == []


async def test_a_replay_is_cut_anywhere_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.processing.replaying.TOGETHER", 2)
    log, events = await logged(*history("device/a", 9))
    trouble = Trouble(steps={2})
    work = Running(BadTotals(trouble), log)
    await work.take(events[:7])
    trouble.mend()
    await work.begin_anew()
    [parked] = work.here.all()
    assert (await work.piece(parked)).replayed == 2
    await work.begin_anew()  # whoever replayed is gone, and so is his wish
    assert [each.position for each in await work.letters(parked)] == [4, 5, 6, 7]
    await work.take(events[7:])
    wish = await work.replay()
    assert wish.events == 6
    assert [output.data["count"] for output in work.outputs] == list(range(1, 10))
    assert [output.data["through"] for output in work.outputs] == list(range(1, 10))
    assert [output.version for output in work.outputs] == list(range(1, 10))


async def test_what_fails_again_stays_parked_with_the_new_reason() -> None:
    log, events = await logged(*history("device/a", 5))
    trouble = Trouble(steps={2})
    work = Running(BadTotals(trouble), log)
    await work.take(events)
    trouble.steps = {4}
    wish = await work.replay()
    [parked] = wish.failed
    assert wish.events == 2
    letters = await work.letters(parked)
    assert [(each.position, each.reason) for each in letters] == [
        (4, "ValueError: not 4"),
        (5, None),
    ]
    assert letters[0].tries == 1
    assert "test_replaying.py" in letters[0].frames[0]
    assert [output.data["through"] for output in work.outputs] == [1, 2, 3]


async def test_who_fails_before_there_is_a_key_has_its_source_parked() -> None:
    log, events = await logged(*history("device/a", 3), made_event("device/b"))
    trouble = Trouble(routes={2})
    work = Running(BadEcho(trouble), log)
    await work.take(events)
    parked = Parked("echo", True, "device/a")
    letters = await work.letters(parked)
    assert [(each.position, each.reason, each.slots) for each in letters] == [
        (2, "no", 2**SLOTS - 1), (3, None, 2**SLOTS - 1),
    ]  # fmt: skip
    assert [output.source for output in work.outputs] == ["echo/device/a", "echo/device/b"]
    trouble.mend()
    assert (await work.replay()).events == 2
    theirs = [each for each in work.outputs if each.source == "echo/device/a"]
    assert [(each.version, each.data["position"]) for each in theirs] == [(1, 1), (2, 2), (3, 3)]


async def test_who_fails_at_what_is_due_is_parked_by_the_event_that_made_it_so() -> None:
    log, events = await logged(
        at(10, "device/a", 1), at(130, "device/b", 1), at(20, "device/a", 2), at(200, "device/b", 2)
    )
    trouble = Trouble()
    program = BadHours(trouble)
    due, fails = program.due, [True]

    def failing(key: str, state: Any, watermark_us: int) -> Change:
        if key == "device/a" and fails[0]:
            raise ValueError("not due")
        return due(key, state, watermark_us)

    program.due = failing  # type: ignore[method-assign]
    work = Running(program, log)
    await work.take(events)
    letters = await work.letters(Parked("hours", False, "device/a"))
    assert [(each.position, each.reason) for each in letters] == [(2, "no"), (3, None)]
    assert work.last_revisions == {("hours/device/b", 473_354): 1}
    fails[0] = False
    assert (await work.replay()).events == 2
    assert work.last_revisions == {
        ("hours/device/a", 473_352): 2,
        ("hours/device/b", 473_354): 1,
    }


async def test_a_source_whose_key_is_parked_waits_for_that() -> None:
    log, events = await logged(*history("device/a", 2), *history("device/b", 2))
    trouble = Trouble(steps={3}, routes={2})
    work = Running(BadTotals(trouble, groups=1), log)
    await work.take(events)
    trouble.routes = set()
    wish = await work.replay()
    by_source = Parked("totals", True, "device/a")
    assert "the key 'group-0', which is parked" in wish.failed[by_source]
    assert wish.failed[Parked("totals", False, "group-0")] == "ValueError: not 3"
    trouble.mend()
    wish = await work.replay()
    assert (wish.events, wish.failed) == (3, {})
    assert [output.data["through"] for output in work.outputs] == [1, 3, 4, 2]
    assert await work.store.parked_queues() == []

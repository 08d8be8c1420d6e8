"""What a stream program makes of batches of events: the same, however they are cut."""

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.event import Event, Kind
from actors.lifecycle import ERASED
from runtime.clocks import NodeClock
from runtime.processing.evaluation import Effects, Evaluation, StepFailed
from runtime.processing.key_table import KeyTable, unpack_state
from runtime.processing.lanes import Lane
from runtime.processing.reading import OneLog
from store.event_store import Page
from store.memory import MemoryEventStore
from store.receipts import Receipt
from store.rows.decoding import Decoder
from store.selection import EVERYTHING, Selection
from store.slots import SLOTS, slot_of_key
from streams.program import Change, Fact, Output, Program
from tests.contracts.appending import Log, history, made_event
from tests.programs import Echo, Hours, Totals

DAY = datetime(2024, 1, 1, tzinfo=UTC)


class Evaluated:
    """One worker's work on a log in memory, by hand."""

    def __init__(
        self,
        program: Program,
        store: MemoryEventStore,
        slots: range = range(SLOTS),
        erased_keys: Mapping[tuple[str, int], Set[str]] | None = None,
    ) -> None:
        self.program, self.store = program, store
        self.lane = Lane(0, None)
        for slot in slots:
            self.lane.add_slot(slot)
        self.clock = NodeClock("n.workers", 0, ["n.workers", "host-a"])
        self.effects = Effects()
        numbers: Iterator[int] = count(2**100)
        self.keys = KeyTable(program.name, store, keeps_state=program.keeps_state)
        self.evaluation = Evaluation(
            program, Selection(), self.keys, store, self.clock,
            reading=OneLog(store, None), began=0, new_id=lambda: next(numbers).to_bytes(16, "big"),
            erased_keys=erased_keys,
        )  # fmt: skip

    async def take(self, *batches: Sequence[Event]) -> None:
        for batch in batches:
            left = batch
            while left:
                through = left[-1].position or 0
                taken = await self.evaluation.evaluate(self.lane, left, through, self.effects)
                left = left[taken:]
                while (event := self.evaluation.unfinished) is not None:
                    await self.evaluation.go_on(self.lane, event, self.effects)

    @property
    def outputs(self) -> list[Event]:
        return Decoder().events(b"".join(self.effects.rows), first_position=1, recorded_us=0)


def at(minutes: float, source: str, version: int) -> Event:
    return made_event(source, version, timestamp=DAY + timedelta(minutes=minutes))


async def logged(*events: Event) -> tuple[MemoryEventStore, list[Event]]:
    store = MemoryEventStore()
    log = await Log.open(store)
    return store, await log.append(*events)


async def test_outputs_have_their_causes_and_follow_on_what_the_log_has() -> None:
    store, events = await logged(
        *history("echo/device/one", 2), made_event("device/one"), made_event("device/two")
    )
    work = Evaluated(Echo("echo", ()), store)
    await work.take(events[2:])
    one, two = work.outputs
    assert (one.source, one.version, one.causation_id) == ("echo/device/one", 3, events[2].id)
    assert (two.source, two.version, two.correlation_id) == ("echo/device/two", 1, None)
    assert one.data == {"of": str(events[2].id), "position": 3}
    assert one.timestamp == events[2].timestamp
    assert (one.event_type, one.kind) == ("echoed", Kind.BUSINESS)
    assert two.vector_clock["n.workers"] == 2
    assert "echoed" in await store.event_types()
    assert work.effects.types == ["echoed", "echoed"]


async def test_a_correlation_goes_on() -> None:
    cause = made_event("device/one", correlation_id=made_event().id, causation_id=made_event().id)
    store, events = await logged(cause)
    work = Evaluated(Echo("echo", ()), store)
    await work.take(events)
    [output] = work.outputs
    assert (output.correlation_id, output.causation_id) == (cause.correlation_id, cause.id)


async def test_every_event_is_finished_in_the_slot_of_its_source() -> None:
    store, events = await logged(*[made_event(f"device/{number}") for number in range(40)])
    work = Evaluated(Totals("totals", ()), store)
    await work.take(events[:15], events[15:])
    assert sum(work.lane.receipts.values(), Receipt()) == Receipt().plus(e.id.bytes for e in events)
    for slot, receipt in work.lane.receipts.items():
        assert receipt == await store.recount(Selection(), 0, 40, slot)
    assert work.lane.position == 40


async def test_keys_of_other_slots_are_left_alone() -> None:
    store, events = await logged(*[made_event(f"device/{number}") for number in range(40)])
    found = []
    for slots in (range(0, SLOTS, 2), range(1, SLOTS, 2)):
        work = Evaluated(Totals("totals", ()), store)
        work.lane.slots = set(slots)
        await work.take(events)
        found.append({output.source: output.data["count"] for output in work.outputs})
    assert not set(found[0]) & set(found[1])
    assert sum((found[0] | found[1]).values()) == 40


@given(
    st.lists(st.tuples(st.floats(0, 300), st.sampled_from("abc")), min_size=1, max_size=25),
    st.lists(st.integers(0, 25)),
)
async def test_where_batches_end_makes_no_difference(
    happened: list[tuple[float, str]], cuts: list[int]
) -> None:
    versions: dict[str, int] = {}
    made = []
    for minutes, name in happened:
        versions[name] = versions.get(name, 0) + 1
        made.append(at(minutes, f"device/{name}", versions[name]))
    store, events = await logged(*made)
    whole, pieces = Evaluated(Hours("hours", ()), store), Evaluated(Hours("hours", ()), store)
    await whole.take(events)
    edges = sorted({0, len(events), *(cut for cut in cuts if cut <= len(events))})
    await pieces.take(*(events[start:end] for start, end in pairwise(edges)))
    assert [(e.source, e.data) for e in pieces.outputs] == [
        (e.source, e.data) for e in whole.outputs
    ]
    assert pieces.effects.states == whole.effects.states
    assert pieces.lane.watermark_us == whole.lane.watermark_us
    # And the last revisions are those of the events in order.
    last = {(e.source, e.data["hour"]): e.data["count"] for e in whole.outputs}
    for (source, hour), total in last.items():
        theirs = [e for e in events if f"hours/{e.source}" == source]
        assert total == sum(int(e.timestamp.timestamp()) // 3600 == hour for e in theirs)


async def test_many_keys_that_are_due_by_one_event_are_looked_at_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources = [f"device/{number}" for number in range(7)]
    made = [at(number, source, 1) for number, source in enumerate(sources)]
    store, events = await logged(*made, at(130, sources[0], 2), at(131, sources[1], 2))
    whole = Evaluated(Hours("hours", ()), store)
    await whole.take(events)
    monkeypatch.setattr(Evaluation, "DUE_TOGETHER", 3)
    pieces = Evaluated(Hours("hours", ()), store)
    await pieces.take(events[:7])
    assert await pieces.evaluation.evaluate(pieces.lane, events[7:], 9, pieces.effects) == 1
    assert len(pieces.outputs) == 3
    assert pieces.lane.position == 8
    sizes = []
    while (event := pieces.evaluation.unfinished) is not None:
        await pieces.evaluation.go_on(pieces.lane, event, pieces.effects)
        sizes.append(len(pieces.outputs))
    assert sizes == [6, 7]
    await pieces.take(events[8:])
    assert [(e.source, e.data, e.causation_id) for e in pieces.outputs] == [
        (e.source, e.data, e.causation_id) for e in whole.outputs
    ]
    assert pieces.lane.receipts == whole.lane.receipts


async def test_an_event_that_comes_late_is_counted_again_out_of_the_log() -> None:
    store, events = await logged(
        at(10, "device/a", 1), at(50, "device/a", 2), at(130, "device/b", 1), at(20, "device/a", 3)
    )
    work = Evaluated(Hours("hours", ()), store)
    await work.take(events[:3])
    assert [output.data["count"] for output in work.outputs] == [2]
    await work.take(events[3:])
    assert [output.data for output in work.outputs][1:] == [
        {"hour": 473352, "count": 3, "revision": 2}
    ]


async def test_states_are_those_of_the_store_and_go_there() -> None:
    store, events = await logged(made_event("device/one"), made_event("device/one", 2))
    work = Evaluated(Totals("totals", (), groups=1), store)
    await work.take(events[:1])
    [change] = work.effects.states.values()
    assert (change.program, change.key) == ("totals", "group-0")
    store._states.change([change])
    again = Evaluated(Totals("totals", (), groups=1), store)
    await again.take(events[1:])
    assert unpack_state(again.effects.states["group-0"].data or b"") == 2


class Bad(Totals):
    """Does at the second event what it is told."""

    def __init__(self, what: Any) -> None:
        super().__init__("bad", (), groups=1)
        self.what = what

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        if state == 1:
            made: Change = self.what(event)
            return made
        return super().step(key, item, event, state, watermark_us)


def raises(_: Event) -> Change:
    raise KeyError("celsius")


@pytest.mark.parametrize(
    ("what", "error"),
    [
        pytest.param(raises, "celsius", id="raises"),
        pytest.param(lambda event: Change(state={1, 2}), "set", id="state that is not plain"),
        pytest.param(
            lambda event: Change(state=(1, 2)), "tuple", id="state that comes back otherwise"
        ),
        pytest.param(
            lambda event: Change(outputs=[Output({"celsius": 1}, 0)]),  # type: ignore[arg-type]
            "payload of an event",
            id="output that is none",
        ),
        pytest.param(
            lambda event: Change(outputs=[Output(Fact("x", Kind.DEVICE, {"a": object()}), 0)]),
            "object",
            id="fact without JSON",
        ),
        pytest.param(
            lambda event: Change(outputs=[Output(Fact("x", Kind.DEVICE, {}), 2**62)]),
            "no calendar",
            id="moment that is none",
        ),
        pytest.param(lambda event: None, "NoneType", id="no change"),
        pytest.param(lambda event: Change(due_us=1), "due at no moment", id="due without a state"),
    ],
)
async def test_a_program_that_fails_is_told_with_its_event(what: Any, error: str) -> None:
    store, events = await logged(*history("device/one", 3))
    with pytest.raises(StepFailed) as failed:
        await Evaluated(Bad(what), store).take(*([event] for event in events))
    assert failed.value.event == events[1]
    assert error in str(failed.value.__cause__)


async def test_who_lags_behind_an_erasure_makes_nothing_under_its_keys_of_the_end() -> None:
    class ByName(Totals):
        def route(self, event: Event) -> list[tuple[str, Any]]:
            name = event.source.partition("/")[2]
            return [(key, None) for key in (name, f"site of {name}", event.source)]

    data = {"reason": "asked for", "events": 1}
    over = [
        made_event(source, 1, data=data, event_type=ERASED, kind=Kind.SYSTEM)
        for source in ("device/one", "device/two")
    ]
    store, [first, second] = await logged(*over)
    named = {("device/one", 1): {"device/one", "one"}}
    work = Evaluated(ByName("totals", ()), store, erased_keys=named)
    await work.take([first, second])
    assert work.effects.states.keys() == {"site of one", "two", "site of two"}


async def test_a_key_that_is_none_fails_with_its_event() -> None:
    class Keys(Echo):
        def route(self, event: Event) -> list[tuple[str, Any]]:
            return [("" if event.version == 2 else event.source, None)]

    store, events = await logged(*history("device/one", 3))
    work = Evaluated(Keys("keys", ()), store)
    await work.take(events[:1])

    class Broken(Echo):
        def route(self, event: Event) -> list[tuple[str, Any]]:
            return [("a\nb" if event.version == 2 else event.source, None)]

    with pytest.raises(StepFailed) as failed:
        await Evaluated(Broken("keys", ()), store).take(events)
    assert failed.value.event == events[1]


@pytest.mark.parametrize("slots", [range(16), range(8)], ids=["all slots", "some"])
@pytest.mark.parametrize("key", [3, None, [2], b"a"])
async def test_a_key_that_is_no_text_fails_with_its_event(key: Any, slots: range) -> None:
    class Odd(Echo):
        def route(self, event: Event) -> list[tuple[str, Any]]:
            return [(key if event.version == 2 else event.source, None)]

    store, events = await logged(*history("device/one", 3))
    work = Evaluated(Odd("odd", ()), store, slots)
    with pytest.raises(StepFailed) as failed:
        await work.take(events)
    assert failed.value.event == events[1]
    assert f"a key is a text, not {key!r}" in str(failed.value.__cause__)


async def test_whoever_asks_for_the_same_moment_again_is_stopped() -> None:
    class Restless(Hours):
        def due(self, key: str, state: Any, watermark_us: int) -> Change:
            return Change(state, (), watermark_us - 10**10)

    store, events = await logged(at(0, "device/a", 1), at(100, "device/a", 2))
    with pytest.raises(StepFailed) as failed:
        await Evaluated(Restless("hours", ()), store).take(events)
    assert "asks for" in str(failed.value.__cause__)


async def test_a_stretch_is_read_once_however_many_come_late_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = [at(20 + number, "device/a", 3 + number) for number in range(10)]
    store, events = await logged(at(10, "device/a", 1), at(130, "device/a", 2), *late)
    reads: list[tuple[int, int]] = []
    read = store.read

    async def counted(after: int, limit: int, *, selection: Selection = EVERYTHING) -> Page:
        reads.append((after, limit))
        return await read(after, limit, selection=selection)

    monkeypatch.setattr(store, "read", counted)
    work = Evaluated(Hours("hours", ()), store)
    await work.take(*([event] for event in events))
    counts = [output.data["count"] for output in work.outputs]
    assert counts == [1, *range(2, 12)]
    assert reads == [(0, 3)]


async def test_what_is_due_while_an_event_is_passed_over_is_looked_at_with_the_next() -> None:
    store, events = await logged(
        at(10, "device/a", 1), at(130, "device/b", 1), at(30, "device/c", 1)
    )
    work = Evaluated(Hours("hours", ()), store)
    await work.take(events[:1])
    store._states.change(list(work.effects.states.values()))
    again = Evaluated(Hours("hours", ()), store)
    again.lane = work.lane
    again.evaluation.pass_over(again.lane, events[1], Effects())
    await again.take(events[2:])
    assert [(each.source, each.data["count"]) for each in again.outputs] == [
        ("hours/device/c", 1),
        ("hours/device/a", 1),
    ]


async def test_what_one_lane_has_read_again_is_not_taken_for_all_of_the_next_one() -> None:
    """While slots that lag are brought up to the others, a stretch has their keys alone."""
    late = "device/a"
    other = next(
        f"device/{n}" for n in range(99) if slot_of_key(f"device/{n}") != slot_of_key(late)
    )
    store, events = await logged(
        at(10, late, 1), at(11, other, 1), at(12, other, 2), at(130, late, 2),
        at(20, late, 3), at(21, other, 3),
    )  # fmt: skip
    lagging, leading = Lane(0, None), Lane(0, None)
    lagging.add_slot(slot_of_key(late))
    for slot in {*range(SLOTS)} - lagging.slots:
        leading.add_slot(slot)
    before = Evaluated(Hours("hours", ()), store)
    before.lane = leading
    await before.take(events[:5])
    store._states.change(list(before.effects.states.values()))
    work = Evaluated(Hours("hours", ()), store)
    work.lane = lagging
    await work.take(events[:5])
    leading.join(lagging)
    work.lane = leading
    await work.take(events[5:])
    counts = [each.data["count"] for each in work.outputs if each.source == f"hours/{other}"]
    assert counts == [3]

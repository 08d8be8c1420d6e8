"""Handlers that run together: each comes to what it would come to by itself, in the order of their
priorities, and one that fails has made what comes before its event, and nothing of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.event import Event, Kind
from runtime.clocks import NodeClock
from runtime.processing.companion import Companion
from runtime.processing.making_slots import make_slots
from runtime.settings.settings import Settings
from runtime.telemetry.metrics import Metrics, ProgramMetrics
from store.memory import MemoryEventStore
from store.rows.decoding import Decoder
from store.slots import SLOTS
from streams.handler import Handler
from streams.handlers import Handlers
from streams.program import Fact
from streams.scenario import StreamScenario
from tests.contracts.appending import Log, made_event

NAMES = ("ada", "bob", "cy", "dee")
TYPES = ("rang", "knocked")


class Noting(Handler):
    """Fails at some positions, puts out at others what no log can hold, and else so many facts."""

    event_types: Sequence[str] = ("*",)

    def __init__(self, bad: set[int], odd: set[int]) -> None:
        self.bad, self.odd = bad, odd

    def handle(self, event: Event) -> Iterator[Fact]:
        position = event.position or 0
        for number in range(position % 3 + 1):
            odd = position in self.odd and number == position % 2
            yield Fact("noted", Kind.BUSINESS, {"of": position, "odd": float("nan") if odd else 0})
        if position in self.bad:
            raise ValueError(position)


@st.composite
def companies(draw: st.DrawFn) -> list[type[Handler]]:
    """Some handlers, of any priorities, each of which wants some of the events."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    return [
        type(
            "Any",
            (Noting,),
            {
                "name": name,
                "priority": draw(st.sampled_from((0, 7, 255))),
                "event_types": (draw(st.sampled_from(("*", *TYPES))),),
                "sources": draw(st.sampled_from(((), ("door/*",), ("gate/1",)))),
                "__init__": lambda self: Noting.__init__(self, set(), set()),
            },
        )
        for name in names
    ]


_sources = st.sampled_from(("door/1", "door/2", "gate/1"))


@given(companies(), st.lists(st.tuples(_sources, st.sampled_from(TYPES)), max_size=12))
def test_an_event_comes_to_each_as_by_itself_and_to_the_higher_one_first(
    handlers: list[type[Handler]], happened: list[tuple[str, str]]
) -> None:
    events = [made_event(source, event_type=event_type) for source, event_type in happened]
    together = StreamScenario(Handlers("company", *handlers)).given(*events)
    by_itself = {each.name: StreamScenario(each).given(*events) for each in handlers}
    order: dict[int, list[tuple[int, str]]] = {}
    for out in together.outputs:
        name, _, key = out.key.partition("/")
        assert by_itself[name].outputs.pop(0) == (key, out.payload, out.at_us)
        assert isinstance(out.payload, Fact)
        priority = next(each.priority for each in handlers if each.name == name)
        order.setdefault(out.payload.data["of"], []).append((-priority, name))
    assert not any(scenario.outputs for scenario in by_itself.values())
    assert all(theirs == sorted(theirs) for theirs in order.values())


async def opened(handler: Handler) -> tuple[Companion, Any]:
    """It, and its lane, in the first worker of one."""
    numbers = count(2**64)
    world: Any = SimpleNamespace(
        random=lambda size: next(numbers).to_bytes(16, "big")[-size:], now_us=lambda: 10**15
    )
    nobody: Any = None
    store = MemoryEventStore()
    await make_slots(handler, 0, store)
    companion = Companion(
        handler, 0, 1, 0, meeting=nobody, fingerprint="", world=world, settings=Settings(),
        store=store, log=nobody, metrics=ProgramMetrics(Metrics("n", None), "noting"),
    )  # fmt: skip
    [lane] = await companion.open(NodeClock("n.workers", 0, ["n.workers"]), 0)
    assert lane.slots == set(range(SLOTS))
    return companion, lane


@given(
    st.lists(_sources, min_size=1, max_size=20),
    st.sets(st.integers(1, 20), max_size=3),
    st.sets(st.integers(1, 20), max_size=3),
    st.lists(st.integers(1, 20), max_size=4),
)
async def test_one_that_fails_has_made_all_before_its_event_and_nothing_of_it(
    sources: list[str], bad: set[int], odd: set[int], ends: list[int]
) -> None:
    log = await Log.open(MemoryEventStore())
    versions: Counter[str] = Counter()
    made = []
    for source in sources:
        versions[source] += 1
        made.append(made_event(source, versions[source]))
    events = await log.append(*made)
    wrong = {position for position in bad | odd if position <= len(events)}
    handler = Noting(bad, odd)
    handler.name = "noting"
    companion, lane = await opened(handler)
    noted: list[Event] = []
    while lane.position < len(events):
        through = min([end for end in ends if end > lane.position] + [len(events)])
        through = min(through, len(events))
        effects, failed = await companion.hand(lane, events[lane.position : through], through)
        noted += Decoder().events(b"".join(effects.rows))
        first = min((at for at in wrong if lane.position < at <= through), default=None)
        assert (failed and failed.event.position) == first
        assert lane.position == (through if first is None else first - 1)
        if first is not None:  # it is mended
            wrong.discard(first)
            bad.discard(first)
            odd.discard(first)
    assert [event.data["of"] for event in noted] == [
        event.position for event in events for _ in range((event.position or 0) % 3 + 1)
    ]
    of_each: dict[str, list[int]] = {}
    for event in noted:
        of_each.setdefault(event.source, []).append(event.version or 0)
    assert all(theirs == list(range(1, len(theirs) + 1)) for theirs in of_each.values())
    ticks = [event.vector_clock["n.workers"] for event in noted]
    assert ticks == sorted(set(ticks))
    assert sum(receipt.count for receipt in lane.receipts.values()) == len(events)

"""The clocks of processes that see one another's events: whatever the order of things,
what causally precedes has the smaller clock, and no clock grows with the processes."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from actors.clock import VectorClock
from runtime.clocks import DriverClock, NodeClock

#: Processes by name, and the node each is one of.
PROCESSES = {
    "host-0": "host-0",
    "host-1": "host-1",
    "meter/a": "meter",
    "meter/b": "meter",
    "meter/c": "meter",
    "lamp/a": "lamp",
    "lamp/b": "lamp",
}
DRIVERS = ("first", "second")


@dataclass
class Made:
    """An event that was committed, and all events in its past."""

    clock: VectorClock
    past: frozenset[int]


@dataclass
class World:
    """Processes that decide, and drivers that carry what they saw from one to another."""

    events: list[Made] = field(default_factory=list)
    clocks: dict[str, NodeClock] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)  #: what the log keeps of each
    knows: dict[str, frozenset[int]] = field(default_factory=dict)
    drivers: dict[str, DriverClock] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)  #: the last event of each process

    def decide(self, driver: str, process: str) -> None:
        """A driver's command leads to an event, whose reply it gets."""
        clock = self.clocks.setdefault(
            process, NodeClock(PROCESSES[process], 0, PROCESSES.values())
        )
        carried = self.drivers.setdefault(driver, DriverClock())
        clock.observe(carried.counts())
        past = self.knows.get(process, frozenset()) | self.knows.get(driver, frozenset())
        clock.ticks += 1
        made = Made(VectorClock(clock.counts()), past)
        self.events.append(made)
        self.counters[process] = clock.ticks
        self.last[process] = len(self.events) - 1
        self.knows[process] = self.knows[driver] = past | {len(self.events) - 1}
        carried.observe(made.clock.counts)

    def read(self, driver: str, number: int) -> None:
        """A driver's subscription hands it an event."""
        if number < len(self.events):
            event = self.events[number]
            self.drivers.setdefault(driver, DriverClock()).observe_events((event.clock.counts,))
            self.knows[driver] = self.knows.get(driver, frozenset()) | event.past | {number}

    def restart(self, process: str) -> None:
        """A process forgets all but what the log keeps; its actor's last event comes back."""
        ticks = self.counters.get(process, 0)
        clock = NodeClock(PROCESSES[process], ticks, PROCESSES.values())
        self.clocks[process] = clock
        self.knows[process] = frozenset()
        if process in self.last:
            last = self.last[process]
            clock.observe(dict(self.events[last].clock.counts))
            self.knows[process] = self.events[last].past | {last}


steps = st.lists(
    st.one_of(
        st.tuples(st.just("decide"), st.sampled_from(DRIVERS), st.sampled_from(list(PROCESSES))),
        st.tuples(st.just("read"), st.sampled_from(DRIVERS), st.integers(0, 30)),
        st.tuples(st.just("restart"), st.sampled_from(list(PROCESSES)), st.none()),
    ),
    max_size=40,
)


def lived(story: list[tuple[str, str, object]]) -> World:
    """The world after all steps of a story."""
    world = World()
    for step, who, what in story:
        if step == "decide":
            assert isinstance(what, str)
            world.decide(who, what)
        elif step == "read":
            assert isinstance(what, int)
            world.read(who, what)
        else:
            world.restart(who)
    return world


@given(steps)
def test_what_causally_precedes_has_the_smaller_clock(
    story: list[tuple[str, str, object]],
) -> None:
    events = lived(story).events
    for event in events:
        for cause in event.past:
            assert events[cause].clock.happens_before(event.clock)


@given(steps)
def test_a_clock_has_an_entry_a_node_however_many_processes_there_are(
    story: list[tuple[str, str, object]],
) -> None:
    for event in lived(story).events:
        assert set(event.clock) <= set(PROCESSES.values())


def test_four_thousand_dedicated_devices_of_a_type_take_one_entry() -> None:
    driver = DriverClock()
    for number in range(4_000):
        clock = NodeClock("node-001.meter", 0, ())
        clock.observe(driver.counts())
        clock.ticks += 1
        driver.observe(clock.counts())
        assert driver.counts() == {"node-001.meter": number + 1}

"""What a seed means: the size of the system, what its drivers do, and what goes wrong.

All of it is drawn before anything runs, so that a fault can be taken out and the rest stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from actors.naming import aggregate_id_of
from tests.simulation.draws import stream

#: Seconds of virtual time in which drivers begin new work and faults strike.
ACTIVE_S = 10.0
#: When the first fault may strike, and work begins: the launch is done.
FIRST_FAULT_S = 0.2
#: Seconds after the last step in which it is answered, where nothing goes wrong.
ANSWERED_S = 0.3


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a driver does."""

    number: int
    pause_s: float  #: before it
    kind: str
    source: str = ""
    message: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    waits: bool = True  #: for the answer, before the strand goes on
    repeats: int | None = None  #: the number of the step whose id and content are sent again
    parts: tuple["Step", ...] = ()  #: of a bulk call, or of a burst
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    number: int
    at_s: float
    kind: str
    target: str = ""
    other: str = ""
    seconds: float = 0.0
    amount: float = 0.0


@dataclass(frozen=True, slots=True)
class Setup:
    """The size of everything; small, so that every bound is met."""

    hosts: int
    drivers: int
    machines: dict[str, str]
    settings: dict[str, Any]
    knobs: dict[str, int]
    dedicated: tuple[str, ...]  #: actor types whose actors have hosts of their own
    vaults: int  #: actors of one of these types

    @property
    def sources(self) -> list[str]:
        """The names of these vaults, and of their hosts."""
        return [f"vault/{n}" for n in range(self.vaults)]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is drawn from a seed beforehand."""

    seed: int
    setup: Setup
    strands: list[list[list[Step]]]  #: by driver; each strand does one step after another
    faults: list[Fault]


def plan_of(seed: int) -> Plan:
    """The plan of a seed."""
    setup = _setup(stream(seed, "setup"))
    strands = _Work(seed, setup).strands()
    faults = _faults(stream(seed, "faults"), setup, _busy_s(strands))
    if any(fault.other == "busy" for fault in faults):
        _make_room(setup)
    return Plan(seed, setup, strands, faults)


def _busy_s(strands: list[list[list[Step]]]) -> float:
    """Until about when there is work: to the last step, and while that is answered."""
    lasts_s = max(sum(step.pause_s for step in each) for driver in strands for each in driver)
    return min(FIRST_FAULT_S + lasts_s + ANSWERED_S, ACTIVE_S)


def _make_room(setup: Setup) -> None:
    """Hosts that can take a steady load: no batch is turned away, no actor evicted."""
    setup.settings["actor_system"] |= {"max_actors": 100, "mailbox_size": 1000}


def _setup(draw: Random) -> Setup:
    hosts, drivers = draw.choice((1, 2, 2, 3)), draw.choice((2, 2, 3, 4))
    spread = draw.random() < 0.3
    names = [f"host-{n}" for n in range(hosts)] + [f"driver-{n}" for n in range(drivers)]
    machines = {
        name: draw.choice(("a", "b")) if spread else "a" for name in (*names, "writer", "bus")
    }
    settings: dict[str, dict[str, Any]] = {
        "event_bus": {"buffer_size": draw.choice((1, 5, 20, 100, 1000))},
        "event_store": {
            "type": "postgres",
            "connection_string": "postgresql://simulated",
            "connection_pool_size": draw.choice((1, 2, 5, 20)),
            "batch_size": draw.choice((1, 4, 20, 1000)),
            "snapshot_frequency": draw.choice((2, 3, 5, 10, 1000)),
        },
        "actor_system": {
            "hosts": hosts,
            "max_actors": draw.choice((1, 2, 4, 100)),
            "actor_timeout_ms": draw.choice((1000, 2000, 5000)),
            "supervisor_strategy": draw.choice(("restart", "restart", "resume", "stop")),
            "mailbox_size": draw.choice((2, 5, 10, 50, 1000)),
            "actor_modules": ("tests.simulation.devices",),
        },
    }
    knobs = {
        "batch": draw.choice((2, 3, 5, 10, 2000)),
        "recent": draw.choice((3, 10, 40, 20_000)),
        "page": draw.choice((1, 3, 10, 1000)),
        # Not one row a piece: a load of a hundred would take longer than an ask may.
        "page_bytes": draw.choice((2_000, 5_000, 1_000_000)),
        "ahead": draw.choice((1, 1, 3)),
        "poll_bytes": draw.choice((1, 500, 2_000_000)),
        "unpublished": draw.choice((1, 1, 3, 64)),
        "fewest": draw.choice((1, 2, 32)),
        "unpublished_bytes": draw.choice((500, 3_000, 1_000_000)),
        "snapshot_bytes": draw.choice((500, 1_000_000)),
        "snapshot_write": draw.choice((1, 1_000_000)),
        "commit_bytes": draw.choice((500, 3_000, 1_000_000)),
        "attempt_bytes": draw.choice((500, 3_000, 1_000_000)),
    }
    dedicated = draw.choice(_DEDICATED)
    settings["actor_system"]["placement"] = dict.fromkeys(dedicated, "dedicated")
    vaults = draw.choice((1, 2, 3)) if "vault" in dedicated else 0
    machines |= {f"vault/{n}": draw.choice(("a", "b")) if spread else "a" for n in range(vaults)}
    return Setup(hosts, drivers, machines, settings, knobs, dedicated, vaults)


def _faults(draw: Random, setup: Setup, busy_s: float) -> list[Fault]:
    """Half of them strike while there is work, which is a small part of the time of most plans; the
    others whenever it is, mostly a system at rest."""
    count = draw.choice((0, 1, 2, 3, 5, 8, 12))
    hosts = [f"host-{n}" for n in range(setup.hosts)] + setup.sources
    drivers = [f"driver-{n}" for n in range(setup.drivers)]
    links = [(driver, host) for driver in drivers for host in hosts]
    links += [(host, "writer") for host in hosts] + [("writer", "bus")]
    links += [(driver, "bus") for driver in drivers]
    found = []
    for number in range(count):
        at_s = round(draw.uniform(FIRST_FAULT_S, draw.choice((ACTIVE_S, busy_s))), 4)
        kind = draw.choice(_FAULTS)
        process = draw.choice((*hosts, *hosts, "writer", "writer", "bus", "directory"))
        seconds = round(draw.choice((draw.uniform(0.01, 0.3), draw.uniform(0.3, 6.0))), 3)
        amount = round(draw.uniform(0.3, 3.0), 3)
        target, other = process, ""
        if kind in ("break", "silence"):
            target, other = draw.choice(links)
        elif kind == "jump":
            target = draw.choice((*hosts, *drivers, "writer"))
            seconds, amount = 0.0, draw.choice((-3600.0, -1.0, -0.01, 0.5, 86_400.0))
        elif kind.startswith(("store", "commit")):
            target = "database"
            if kind.startswith("commit"):
                amount = draw.choice((1, 1, 2, 5))
        elif kind == "epoch late":
            target = draw.choice((*hosts, "writer", "writer"))
            other = draw.choice(("", "replaced"))
        elif kind.startswith("call"):
            amount = draw.choice((1, 2, 4))
        elif kind == "replace":
            # Often at once, so that there is work yet when both of them live. An older directory
            # goes by what it takes Ray to start a process (Succession.HOLDS_S).
            at_once = round(draw.uniform(0.01, 0.2), 3)
            amount = draw.choice((amount, amount if process == "directory" else at_once))
        elif kind == "driver dies":
            target = draw.choice(drivers)
        elif kind == "answers lost":
            target, other = draw.choice(drivers), draw.choice(("", "writer"))
        found.append(Fault(number, at_s, kind, target, other, seconds, amount))
    chance = draw.random()
    if chance < 0.15:
        found = _drained(draw, found, setup, busy_s)
    elif chance < 0.22:
        found.append(_take_over(draw, count, setup, busy_s))
    return sorted(found, key=lambda fault: fault.at_s)


def _drained(draw: Random, beside: list[Fault], setup: Setup, busy_s: float) -> list[Fault]:
    """A drain, and what goes wrong beside it; where it is under load, that is to be all that keeps
    anybody from flushing."""
    number = len(beside)
    drain = _drain(draw, number, setup, busy_s)
    if drain.other == "busy":
        return [drain]
    strikes = draw.random()
    if strikes < 0.25:
        beside = [*beside, *_in_its_middle(draw, number + 1, drain)]
    elif strikes < 0.4:
        beside = [*beside, _at_its_end(draw, number + 1, drain)]
    return [*beside, drain]


def _drain(draw: Random, number: int, setup: Setup, busy_s: float) -> Fault:
    """The system is drained, and launched anew: often as it was, sometimes with other hosts. Under
    load, by two at once, or while somebody launches it again and again."""
    seconds = round(draw.choice((draw.uniform(0.0, 0.5), draw.uniform(0.5, 8.0))), 3)
    other = draw.choice(("", "", "impatient", "twice", "busy", "busy"))
    if other == "busy":
        seconds %= 0.3  # what is unanswered is to live to see the next system
    return Fault(
        number,
        round(draw.uniform(0.5, draw.choice((ACTIVE_S, busy_s))), 4),
        "drain",
        other=other,
        seconds=seconds,
        amount=draw.choice((setup.hosts, *(1, 2, 3) * (1 + (other == "busy")))),
    )


def _in_its_middle(draw: Random, number: int, drain: Fault) -> list[Fault]:
    """Ray makes another directory while one drains, which lives on, and goes on with that: a
    database that is slow leaves the time for it."""
    slow_s, after_s = draw.uniform(2.0, 6.0), draw.uniform(0.0, 2.0)
    down_s, lives_on_s = draw.uniform(0.3, 1.0), draw.uniform(0.3, 6.0)
    slow = Fault(
        number, round(max(drain.at_s - 0.1, 0.2), 4), "store slow", "database",
        seconds=round(slow_s, 3), amount=3.0,
    )  # fmt: skip
    replaced = Fault(
        number + 1, round(drain.at_s + after_s, 4), "replace", "directory",
        seconds=round(lives_on_s, 3), amount=round(down_s, 3),
    )  # fmt: skip
    return [slow, replaced]


def _at_its_end(draw: Random, number: int, drain: Fault) -> Fault:
    """What gives up the claim reaches the database late, perhaps after the next launch."""
    return Fault(number, drain.at_s - 0.01, "give up late", "database",
                 seconds=round(draw.uniform(0.3, 6.0), 3))  # fmt: skip


_FAULTS = (
    "crash", "crash", "crash", "replace", "stop", "break", "break", "silence",
    "calls lost", "calls unheard", "calls doubled", "calls late",
    "store away", "store silent", "store slow",
    "commit late", "commit late", "commit locked", "commit unheard", "commit unheard",
    "epoch late", "jump", "driver dies", "answers lost",
)  # fmt: skip


def _take_over(draw: Random, number: int, setup: Setup, busy_s: float) -> Fault:
    """Another system takes the database over, while the first one runs."""
    return Fault(
        number,
        round(draw.uniform(0.5, draw.choice((ACTIVE_S, busy_s))), 4),
        "take over",
        other=draw.choice(("asks", "")),
        amount=draw.choice((setup.hosts, setup.hosts, 1, 2, 3)),
    )


def door_steps(source: str, kind: str, times: int, numbers: Iterator[int]) -> tuple[Step, ...]:
    """What is rejected, and what lifts the reason, one after the other."""
    return tuple(
        Step(number, 0.0, kind, source, message, {"token": number})
        for message, number in zip(("NoteIfOpen", "Open") * times, numbers, strict=False)
    )


class _Work:
    """Draws what the drivers do."""

    def __init__(self, seed: int, setup: Setup) -> None:
        self._draw = stream(seed, "work")
        self._setup = setup
        self._number = 0
        self._repeatable: list[Step] = []
        draw = self._draw
        self._ledgers = [f"ledger/{n}" for n in range(draw.choice((1, 2, 4, 8)))]
        self._ledgers += setup.sources
        self._feeds = [f"feed/{n}" for n in range(2)]
        self._weights = {kind: draw.choice((0.3, 1.0, 1.0, 3.0)) for kind in _STEPS}
        self._upgrader = draw.randrange(setup.drivers)
        self._nasty = draw.choice((0.0, 0.15, 0.4))  #: how many commands fail in some way
        self._pace_s = draw.choice((0.02, 0.1, 0.4))

    def strands(self) -> list[list[list[Step]]]:
        """By driver, by strand."""
        found: list[list[list[Step]]] = []
        for driver in range(self._setup.drivers):
            theirs = [self._strand(driver) for _ in range(self._draw.choice((1, 2, 3)))]
            found.append(theirs)
        return found

    def _strand(self, driver: int) -> list[Step]:
        steps, passed_s = [], 0.0
        for _ in range(self._draw.choice((5, 10, 20))):
            pause_s = round(self._draw.expovariate(1 / self._pace_s), 4)
            passed_s += pause_s
            if passed_s > ACTIVE_S:
                break
            steps.append(self._step(driver, pause_s))
        return steps

    def _step(self, driver: int, pause_s: float) -> Step:
        kinds, weights = list(_STEPS), [_STEPS[kind] * self._weights[kind] for kind in _STEPS]
        (kind,) = self._draw.choices(kinds, weights)
        if kind == "repeat" and not self._repeatable:
            kind = "ask"
        if kind == "upgrade" and driver != self._upgrader:
            kind = "ask"  # a host knows one class of a type, whoever brought it last
        make = getattr(self, f"_{kind.replace(' ', '_')}", None)
        if make is not None:
            return make(pause_s, driver)  # type: ignore[no-any-return]
        return self._command(kind, pause_s)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _command(self, kind: str, pause_s: float, source: str | None = None) -> Step:
        draw, number = self._draw, self._next()
        source = source or draw.choice(self._ledgers)
        if draw.random() < self._nasty:
            message = draw.choice(("Refuse", "Refuse", "Break", "Spoil", "Poison", "Idle",
                                   "Unhandled", "Demand", "NoteUnlessFull"))  # fmt: skip
        else:
            message = draw.choice(("Note", "Note", "Note", "NoteOnce"))
        fields: dict[str, Any] = {"token": number}
        if message == "Note":
            fields["times"] = draw.choice((1, 1, 1, 2, 5))
            fields["parts"] = {"marks": [number]}
        elif message == "NoteUnlessFull":
            fields["limit"] = draw.choice((0, 3, 10))
        elif message == "Refuse":
            fields["way"] = draw.choice(("plain", "own class", "odd", "late", "unspeakable"))
        elif message == "Demand":
            fields["positive"] = draw.choice((1, "no number"))
        waits = draw.random() < 0.6
        step = Step(number, pause_s, kind, source, message, fields, waits)
        if kind in ("ask", "tell") and not source.startswith("shipped/"):
            self._repeatable.append(step)
        return step

    def _repeat(self, pause_s: float, _: int) -> Step:
        first = self._draw.choice(self._repeatable[-20:])
        return Step(
            self._next(), pause_s, "ask", first.source, first.message, first.fields,
            self._draw.random() < 0.6, repeats=first.number,
        )  # fmt: skip

    def _state(self, pause_s: float, _: int) -> Step:
        return Step(self._next(), pause_s, "state", self._draw.choice(self._ledgers))

    def _publish(self, pause_s: float, _: int) -> Step:
        draw, number = self._draw, self._next()
        fields: dict[str, Any] = {"token": number, "nodes": draw.choice((0, 0, 1, 3))}
        if draw.random() < self._nasty:
            fields["bad"] = draw.choice(("metadata", "actor", "type", "aggregate"))
        of_actor = fields.get("bad") in ("actor", "aggregate")
        source = draw.choice(self._ledgers if of_actor else self._feeds)
        if fields.get("bad") == "aggregate":
            source = str(aggregate_id_of(source))
        if "bad" not in fields and draw.random() < 0.2:
            # It gets an actor sooner or later, which its host may know by then, or not.
            source, fields["actor"] = f"shipped/{self._upgrader}", "perhaps"
        return Step(number, pause_s, "publish", source, "", fields, draw.random() < 0.6)

    def _claim(self, pause_s: float, _: int) -> Step:
        """Somebody publishes the id that a command's second event would have, and then that
        command is sent among others."""
        draw, ledger = self._draw, self._draw.choice(self._ledgers)
        numbers = [self._next() for _ in range(draw.choice((2, 4)))]
        publishing, *asking = numbers
        parts = [Step(publishing, 0.0, "publish", draw.choice(self._feeds), "",
                      {"token": publishing})]  # fmt: skip
        culprit = draw.choice(asking)
        for number in asking:
            fields = {"token": number, "times": 2 if number == culprit else 1}
            source = ledger if draw.random() < 0.7 else draw.choice(self._ledgers)
            parts.append(Step(number, 0.0, "ask", source, "Note", fields))
        return Step(self._next(), pause_s, "claim", parts=tuple(parts), more={"culprit": culprit})

    def _burst(self, pause_s: float, _: int) -> Step:
        draw = self._draw
        kind = draw.choice(("ask", "tell"))
        source = draw.choice((None, draw.choice(self._ledgers)))
        parts = tuple(self._command(kind, 0.0, source) for _ in range(draw.choice((3, 8, 20))))
        return Step(self._next(), pause_s, "burst", parts=parts, waits=draw.random() < 0.5)

    def _door(self, pause_s: float, _: int) -> Step:
        """What is rejected, and what lifts the reason, one after the other."""
        draw = self._draw
        source, number = draw.choice(self._ledgers), draw.choice((1, 3, 6))
        kind = draw.choice(("ask", "tell"))
        parts = door_steps(source, kind, number, iter(self._next, None))
        return Step(self._next(), pause_s, "burst", parts=parts, waits=draw.random() < 0.5)

    def _bulk(self, pause_s: float, _: int) -> Step:
        draw = self._draw
        parts: list[Step] = []
        for _ in range(draw.choice((5, 20, 40))):
            if self._repeatable and draw.random() < 0.15:
                parts.append(self._repeat(0.0, 0))
            else:
                parts.append(self._command("ask", 0.0))
        more = {"way": draw.choice(("tell", "tell", "ask")), "progress": draw.random() < 0.3}
        return Step(self._next(), pause_s, "bulk", parts=tuple(parts), more=more)

    def _feed(self, pause_s: float, _: int) -> Step:
        """Batches of which each is to repeat something of the last, as any feed that delivers
        at least once sends them."""
        parts = tuple(self._command("part", 0.0) for _ in range(self._draw.choice((6, 12))))
        return Step(self._next(), pause_s, "feed", parts=parts)

    def _subscribe(self, pause_s: float, driver: int) -> Step:
        draw = self._draw
        more = {
            "after": draw.choice((None, 0, 0, "last")),
            "types": draw.choice(("*", "*", "noted", "p*")),
            "sources": draw.choice(("*", "*", "ledger/*", "feed/*", "ledger/0")),
            "reads": [draw.choice(_READS) for _ in range(draw.choice((1, 3, 6)))],
            "stays": draw.random() < 0.7,
        }
        return Step(self._next(), pause_s, "subscribe", more=more, waits=False)

    def _close(self, pause_s: float, _: int) -> Step:
        number, source = self._next(), self._draw.choice(self._ledgers)
        fields = {"token": number, "times": 1}
        return Step(number, pause_s, "close", source, "Note", fields)

    def _upgrade(self, pause_s: float, driver: int) -> Step:
        number = self._next()
        parts = tuple(
            self._command("ask", 0.0, f"shipped/{driver}") for _ in range(self._draw.choice((2, 5)))
        )
        return Step(number, pause_s, "upgrade", parts=parts)

    def _flush(self, pause_s: float, _: int) -> Step:
        return Step(self._next(), pause_s, "flush")


#: How often each kind of step is taken, before a seed weighs them again.
_STEPS = {
    "ask": 10.0, "tell": 4.0, "repeat": 3.0, "state": 3.0, "publish": 2.0, "burst": 1.5,
    "bulk": 1.0, "feed": 1.0, "subscribe": 1.0, "close": 0.2, "upgrade": 0.7, "flush": 0.3,
    "claim": 0.5, "door": 2.0,
}  # fmt: skip

#: Actor types whose actors have hosts of their own; of each plan one of these.
_DEDICATED: tuple[tuple[str, ...], ...] = (
    (), (), (), ("vault",), ("vault",), ("shipped",), ("vault", "shipped"),
)  # fmt: skip

_READS = ("some", "some", "give up", "pause", "another reader")

"""What goes wrong in a simulation, and when: drawn from the seed."""

from random import Random

from tests.simulation.plan import ACTIVE_S, Fault, Setup

#: When the first fault may strike, and work begins: the launch is done.
FIRST_FAULT_S = 0.2

#: Each is as likely as any other.
_FAULTS = (
    "crash", "crash", "crash", "replace", "hang", "cut", "cut", "silence",
    "calls lost", "calls unheard", "calls doubled", "calls late",
    "database away", "database silent", "database slow",
    "commit late", "commit late", "commit locked", "commit unheard", "commit unheard",
    "epoch late", "set clock", "driver dies", "answers lost",
)  # fmt: skip


def faults_of(draw: Random, setup: Setup, busy_s: float) -> list[Fault]:
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
        if kind in ("cut", "silence"):
            target, other = draw.choice(links)
        elif kind == "set clock":
            target = draw.choice((*hosts, *drivers, "writer"))
            seconds, amount = 0.0, draw.choice((-3600.0, -1.0, -0.01, 0.5, 86_400.0))
        elif kind.startswith(("database", "commit")):
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
        number, round(max(drain.at_s - 0.1, 0.2), 4), "database slow", "database",
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


def _take_over(draw: Random, number: int, setup: Setup, busy_s: float) -> Fault:
    """Another system takes the database over, while the first one runs."""
    return Fault(
        number,
        round(draw.uniform(0.5, draw.choice((ACTIVE_S, busy_s))), 4),
        "take over",
        other=draw.choice(("asks", "")),
        amount=draw.choice((setup.hosts, setup.hosts, 1, 2, 3)),
    )

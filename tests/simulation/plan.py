"""What a seed means: the size of the system, what its drivers do, and what goes wrong.

All of it is drawn before anything runs (planning.py), so that a fault can be taken out and the rest
stays.
"""

from dataclasses import dataclass, field
from typing import Any

from thornback.simulation import striking

#: Seconds of virtual time in which drivers begin new work and faults strike.
ACTIVE_S = 10.0


@dataclass(frozen=True, slots=True)
class Fault(striking.Fault):
    """One thing that goes wrong, perhaps with something that a driver does."""

    with_step: int | None = None  #: then `at_s` counts from when the step of this number begins


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


def lasts_s(fault: Fault) -> float:
    """Until when it may last."""
    return fault.at_s + fault.seconds + (0.0 if fault.with_step is None else ACTIVE_S)


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
    members: list[Step] = field(default_factory=list)  #: of groups, each a program of its own

"""The timers that are still to fire, as whoever fires them keeps them: a table behind the log.

What a timer is says the log alone. The table has what it takes to fire one, in the order in which
that is to be, so that only what is due soon is ever read.
"""

from typing import NamedTuple


class Timer(NamedTuple):
    """One timer of an actor that is to fire."""

    source: str  #: its actor
    key: str
    timer: bytes  #: its id: another timer of this key has another one
    event_id: bytes  #: of the TimerSet
    correlation_id: bytes | None  #: of that
    occurrence: int
    due_us: int  #: when that is to fire, Unix microseconds
    look_us: int  #: when somebody is to look at it: then, or later, where firing it failed
    message_type: str
    message: bytes  #: JSON text

    @property
    def place(self) -> "Place":
        """Where it stands among those that are to be looked at."""
        return Place(self.look_us, self.source, self.key)


class Place(NamedTuple):
    """In the order in which timers are looked at; that of texts is the order of their UTF-8."""

    look_us: int
    source: str
    key: str


class TimerMove(NamedTuple):
    """A timer has fired and will again, or is to be looked at later."""

    source: str
    key: str
    timer: bytes  #: of this id alone; where the key has another one, nothing moves
    occurrence: int
    due_us: int
    look_us: int


class Hastened(NamedTuple):
    """Timers that were put off beyond a moment, and are looked at when they are due after all."""

    timers: int  #: so many, those that were put off least first
    #: Until when the last of them was put off: where there are more, they are beyond this less one,
    #: and whoever asks for those does not meet again what was hastened.
    last_us: int | None


class Woken(NamedTuple):
    """Timers that were put off, and are looked at when they are due after all."""

    timers: int  #: so many
    first_us: int | None  #: when the first of them is; None where there are none


class TimerChanges(NamedTuple):
    """What becomes of some timers; none of them is in two of these."""

    kept: list[Timer]  #: in the place of whatever had their keys
    moved: list[TimerMove]
    gone: list[tuple[str, str]]  #: sources and keys; there need be no such timers


#: Before every other one.
FIRST = Place(-(2**63), "", "")

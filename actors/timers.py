"""Timers: messages of an actor to itself, later. What a handler yields beside its events.

    @handles
    def report(self, message: Report) -> Iterator[Payload | Schedule]:
        yield Reported(value=message.value)
        yield Schedule(after=timedelta(minutes=10), message=GoOffline(), key="silence")

    @handles
    def retire(self, message: Retire) -> Iterator[Payload | Cancel]:
        yield Retired()
        yield Cancel("silence")

They commit with the events, or not at all. A timer fires once in effect, at its time or later,
whoever was killed meanwhile: docs/semantics.md, G13.
"""

from datetime import datetime, timedelta
from typing import Literal

from actors.command import Command
from actors.messages import Yielded
from actors.moments import checked_us

#: What becomes of occurrences whose successor is due as well before they could fire.
Missed = Literal["once", "all", "skip"]
_MISSED = ("once", "all", "skip")

#: Letters of a key.
MAX_KEY = 200
#: The shortest time between two occurrences, and the longest of any: ten thousand years.
_LEAST_US, _MOST_US = 1_000, 10_000 * 366 * 86_400 * 1_000_000


class Schedule(Yielded):
    """A message that the actor is to have `after` so long (a timedelta, or seconds), which counts
    from the moment in which its host decides, or `at` a moment (an aware datetime); and then
    `every` so long, if that is said.

    A key names one timer of the actor: another Schedule of the key takes its place. The actor's own
    class handles the message. `missed` says what becomes of occurrences of an `every` that could
    not fire before the next one was due: one firing stands for them all (`"once"`), each fires
    (`"all"`), or none does (`"skip"`).

    Raises TypeError and ValueError for what is no timer.
    """

    __slots__ = ("after_us", "at_us", "every_us", "key", "message", "missed")

    def __init__(
        self,
        *,
        message: Command,
        key: str,
        after: timedelta | float | None = None,
        at: datetime | None = None,
        every: timedelta | float | None = None,
        missed: Missed = "once",
    ) -> None:
        if not isinstance(message, Command):
            raise TypeError(f"a Schedule carries a Command, not {message!r:.120}")
        if (after is None) == (at is None):
            raise ValueError("a Schedule says after or at, one of both")
        if at is not None and not isinstance(at, datetime):
            raise TypeError(f"at is an aware datetime, not {at!r:.80}; so long from now is after=")
        if missed not in _MISSED:
            raise ValueError(f'missed is "once", "all" or "skip", not {missed!r:.80}')
        if missed != "once" and every is None:
            raise ValueError("missed is about a timer with every; one without fires, however late")
        self.message = message
        self.key = checked_key(key)
        self.after_us = None if after is None else span_us("after", after, 0)
        self.at_us = None if at is None else checked_us(at)
        self.every_us = None if every is None else span_us("every", every, _LEAST_US)
        self.missed = missed

    def due_us(self, now_us: int) -> int:
        """When it is due, if it is decided now. Raises ValueError for what no calendar has."""
        if self.at_us is not None:
            return self.at_us
        assert self.after_us is not None
        return checked_us(now_us + self.after_us)

    def _told(self) -> tuple[object, ...]:
        return (self.message, self.key, self.after_us, self.at_us, self.every_us, self.missed)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schedule):
            return NotImplemented
        return self._told() == other._told()

    def __hash__(self) -> int:
        return hash(self._told()[1:])

    def __repr__(self) -> str:
        when = f"after_us={self.after_us}" if self.at_us is None else f"at_us={self.at_us}"
        every = "" if self.every_us is None else f", every_us={self.every_us}, {self.missed!r}"
        return f"Schedule({self.key!r}, {when}{every}, {self.message!r})"


class Cancel(Yielded):
    """The actor's timer of this key is not to fire any more; where there is none, nothing is
    changed. Raises TypeError and ValueError for what is no key."""

    __slots__ = ("key",)

    def __init__(self, key: str) -> None:
        self.key = checked_key(key)

    def __eq__(self, other: object) -> bool:
        return self.key == other.key if isinstance(other, Cancel) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Cancel({self.key!r})"


def checked_key(key: str) -> str:
    """Return the key of a timer. Raises TypeError and ValueError."""
    if not isinstance(key, str):
        raise TypeError(f"the key of a timer is a text, not {key!r:.80}")
    if not key.isprintable() or not 0 < len(key) <= MAX_KEY or key.isspace():
        raise ValueError(
            f"the key of a timer is one line of at most {MAX_KEY} characters that can be seen, "
            f"not {key[:80]!r}"
        )
    return key


def span_us(what: str, span: timedelta | float, least_us: int) -> int:
    """A span that somebody gave, in microseconds, and no less than so many. Raises TypeError and
    ValueError."""
    if isinstance(span, timedelta):
        us = span // timedelta(microseconds=1)
    elif type(span) in (int, float):
        try:
            us = round(span * 1_000_000)
        except (OverflowError, ValueError) as error:
            raise ValueError(f"{what} is a timedelta or seconds, not {span}") from error
    else:
        raise TypeError(f"{what} is a timedelta or a number of seconds, not {span!r:.80}")
    if not least_us <= us <= _MOST_US:
        least = "0" if not least_us else "a millisecond"
        raise ValueError(f"{what} is at least {least}, and no more than calendars have, not {span}")
    return us

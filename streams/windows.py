"""Windows in event time, and what comes out of them.

A window is a stretch of event time, its start within it and its end not. Its result comes out when
the watermark reaches its end. Events that come later correct it: a result has a **revision**, 1, 2,
3 ..., and names those that it **replaces**. The terms are those of the Dataflow model (Akidau et
al. 2015); what is different is that no event is too late, because the log has all of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from actors.moments import moment_of
from streams.stage import span_us

_NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True)
class Tumbling:
    """Windows of one size, one after the other, from 1970-01-01 UTC plus `offset` on."""

    size: timedelta
    offset: timedelta = _NOTHING
    size_us: int = field(init=False, repr=False)
    every_us: int = field(init=False, repr=False)
    offset_us: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        size_us = span_us(self.size, "the size of a window")
        object.__setattr__(self, "size_us", size_us)
        object.__setattr__(self, "every_us", size_us)
        object.__setattr__(self, "offset_us", span_us(self.offset, "an offset", least=0) % size_us)

    def starts(self, at_us: int) -> tuple[int, ...]:
        """The starts of the windows that a moment is in, ascending."""
        return (at_us - (at_us - self.offset_us) % self.size_us,)


@dataclass(frozen=True, slots=True)
class Sliding:
    """Windows of one size, one beginning `every` so often: each moment is in several."""

    size: timedelta
    every: timedelta
    offset: timedelta = _NOTHING
    size_us: int = field(init=False, repr=False)
    every_us: int = field(init=False, repr=False)
    offset_us: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        size_us = span_us(self.size, "the size of a window")
        every_us = span_us(self.every, "what a window slides by")
        if every_us > size_us:
            raise ValueError(
                f"windows of {self.size} that slide by {self.every} would leave moments out"
            )
        object.__setattr__(self, "size_us", size_us)
        object.__setattr__(self, "every_us", every_us)
        object.__setattr__(self, "offset_us", span_us(self.offset, "an offset", least=0) % every_us)

    def starts(self, at_us: int) -> tuple[int, ...]:
        """The starts of the windows that a moment is in, ascending."""
        last = at_us - (at_us - self.offset_us) % self.every_us
        first = last - (self.size_us - 1 - (at_us - last)) // self.every_us * self.every_us
        return tuple(range(first, last + 1, self.every_us))


@dataclass(frozen=True, slots=True)
class Session:
    """Windows of activity: each event reaches `gap` far, and those that meet are one window. It
    ends `gap` after its last event."""

    gap: timedelta
    gap_us: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gap_us", span_us(self.gap, "the gap of a session"))


class Replaced(NamedTuple):
    """A result that another one takes the place of."""

    start_us: int
    end_us: int
    revision: int

    @property
    def data(self) -> dict[str, Any]:
        """As JSON values."""
        return {**span(self.start_us, self.end_us), "revision": self.revision}


class WindowResult(NamedTuple):
    """The n-th result of one window of one key."""

    key: str
    start_us: int
    end_us: int
    revision: int  #: 1, 2, 3 ...
    replaces: tuple[Replaced, ...]  #: what no longer holds; a session may replace several
    value: Any  #: what the aggregation came to, or a dict of them by name

    @property
    def at_us(self) -> int:
        """The moment of what is put out: the window's last one, so that windows of the same size
        over these outputs are the same windows."""
        return self.end_us - 1

    @property
    def data(self) -> dict[str, Any]:
        """All of it as JSON values: key, window, revision, replaces, and the value, or the values
        by their names."""
        values = self.value if isinstance(self.value, Mapping) else {"value": self.value}
        return {
            "key": self.key,
            "window": span(self.start_us, self.end_us),
            "revision": self.revision,
            "replaces": [each.data for each in self.replaces],
            **values,
        }


#: The names in a result's data that its values cannot have.
TAKEN = frozenset(("key", "window", "revision", "replaces"))


def last_revisions(results: Iterable[WindowResult]) -> list[WindowResult]:
    """Those that nothing has replaced, in the order in which they came."""
    standing: dict[tuple[str, Replaced], WindowResult] = {}
    for result in results:
        for replaced in result.replaces:
            standing.pop((result.key, replaced), None)
        itself = Replaced(result.start_us, result.end_us, result.revision)
        standing[result.key, itself] = result
    return list(standing.values())


def span(start_us: int, end_us: int) -> dict[str, str]:
    """A window as JSON values."""
    return {"start": moment_text(start_us), "end": moment_text(end_us)}


def moment_text(us: int) -> str:
    """A moment as JSON, in ISO 8601."""
    return moment_of(us).isoformat().replace("+00:00", "Z")

"""What a stage is: the part of a pipeline that keeps a state for each key.

A pipeline has at most one. Before it, and behind it, items are mapped and filtered without a state.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

from actors.event import Event
from streams.program import Stretch

_MICROSECOND = timedelta(microseconds=1)


class Turn(NamedTuple):
    """What one call of a stage comes to; the fields are those of a Change, but for what comes out,
    which goes on through the pipeline: each item with the moment that its outputs have."""

    state: Any = None
    out: Sequence[tuple[Any, int]] = ()
    due_us: int | None = None
    again: Sequence[Stretch] = ()


#: Events with the items that came of each, in the order of their moments.
Read = Sequence[tuple[list[Any], Event]]


class Stage(Protocol):
    """Pure, and it never changes a state that it was given: see Program, whose methods of the same
    names call these. `items` are what an item has come to on its way through the pipeline: none
    where it was filtered out."""

    def step(
        self, key: str, items: list[Any], event: Event, state: Any, watermark_us: int
    ) -> Turn: ...

    def due(self, key: str, state: Any, watermark_us: int) -> Turn: ...

    def again(
        self, key: str, stretch: Stretch, read: Read, state: Any, watermark_us: int
    ) -> Turn: ...


class NothingAgain:
    """For a stage that never asks for a stretch of the log."""

    def again(self, key: str, stretch: Stretch, read: Read, state: Any, watermark_us: int) -> Turn:
        """See Stage."""
        raise AssertionError("nothing was asked for")


def span_us(span: timedelta, what: str, *, least: int = 1) -> int:
    """A span of time in microseconds. Raises ValueError for what is none, or too short."""
    if not isinstance(span, timedelta):
        raise ValueError(f"{what} is a timedelta, not {span!r:.80}")
    us = span // _MICROSECOND
    if us < least:
        raise ValueError(f"{what} is {'more than nothing' if least else 'not negative'}: {span}")
    return us

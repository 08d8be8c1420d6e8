"""Stages that go by the order of the log: a state of the user's, and batches."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, NamedTuple

from actors.event import Event
from streams.plain import item_of, not_plain, plain_of
from streams.stage import NothingAgain, Turn


class Folded(NamedTuple):
    """What the state of a key has come to with an item."""

    key: str
    value: Any

    @property
    def data(self) -> dict[str, Any]:
        """As JSON values."""
        return {"key": self.key, "value": self.value}


class Fold(NothingAgain):
    """A state for each key, which the user's function makes of the one before and an item, in the
    order of the log. With a time to live it is forgotten when the watermark is so far beyond the
    latest event of the key. The state of a key is `[latest, value]`.
    """

    def __init__(
        self, initial: Any, function: Callable[[Any, Any], Any], ttl_us: int | None
    ) -> None:
        if (problem := not_plain(initial)) is not None:
            raise ValueError(f"the state that a fold begins with is plain, and {problem}")
        self._initial, self._function, self._ttl_us = initial, function, ttl_us

    def step(self, key: str, items: list[Any], event: Event, state: Any, watermark_us: int) -> Turn:
        """Each item makes a value, and each comes out."""
        if not items:
            return Turn(state, (), self._due(state))
        latest_us, value = state or (event.timestamp_us, deepcopy(self._initial))
        out = []
        for item in items:
            value = self._function(value, item)
            out.append((Folded(key, value), event.timestamp_us))
        kept = [max(latest_us, event.timestamp_us), value]
        return Turn(kept, out, self._due(kept))

    def due(self, key: str, state: Any, watermark_us: int) -> Turn:
        """The state has lived."""
        return Turn()

    def _due(self, state: Any) -> int | None:
        return state[0] + self._ttl_us if state and self._ttl_us is not None else None


class Batch(NamedTuple):
    """Items of one key that came one after the other."""

    key: str
    items: list[Any]

    @property
    def data(self) -> dict[str, Any]:
        """As JSON values, if its items are."""
        return {"key": self.key, "items": self.items}


class Batches(NothingAgain):
    """Items of a key by so many, or what there is when the watermark is so far beyond the moment
    of the first one. The state of a key is `[first, latest, items]`.
    """

    def __init__(
        self,
        size: int,
        timeout_us: int | None,
        process: Callable[[list[Any]], Iterable[Any]] | None = None,
    ) -> None:
        if type(size) is not int or size < 1:
            raise ValueError(f"a batch has at least one item, not {size!r:.40}")
        self._size, self._timeout_us, self._process = size, timeout_us, process

    def step(self, key: str, items: list[Any], event: Event, state: Any, watermark_us: int) -> Turn:
        """Full batches come out."""
        if not items:
            return Turn(state, (), self._due(state))
        at_us = event.timestamp_us
        out: list[tuple[Any, int]] = []
        kept = state
        for item in items:
            first_us, latest_us, held = kept or (at_us, at_us, [])
            kept = [first_us, max(latest_us, at_us), [*held, plain_of(item)]]
            if len(kept[2]) == self._size:
                out += self._out(key, kept)
                kept = None
        return Turn(kept, out, self._due(kept))

    def due(self, key: str, state: Any, watermark_us: int) -> Turn:
        """What there is comes out."""
        return Turn(None, self._out(key, state) if state else ())

    def _out(self, key: str, state: Any) -> list[tuple[Any, int]]:
        items = [item_of(plain) for plain in state[2]]
        found = [Batch(key, items)] if self._process is None else self._process(items)
        return [(each, state[1]) for each in found]

    def _due(self, state: Any) -> int | None:
        return state[0] + self._timeout_us if state and self._timeout_us is not None else None

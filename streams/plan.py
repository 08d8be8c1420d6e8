"""A pipeline as it is run: what comes before the key, between key and stage, and behind it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from actors.event import Event
from actors.patterns import matcher
from streams.chain import Chain, Operator
from streams.errors import InvalidProgram
from streams.join import Other
from streams.outputs import output_of
from streams.program import Change, Output, Stretch
from streams.stage import Stage, Turn


class Joining(NamedTuple):
    """The other stream of a join: its types, and what reads a key off its events."""

    patterns: tuple[str, ...]
    key: Callable[[Event], Any]


class Plan:
    """What EventPipeline does as a Program; see there.

    All that comes before the key is run by every worker for every event; so without `key_by`, and
    where it is the first step, that is nothing.
    """

    def __init__(
        self,
        name: str,
        *,
        before: Sequence[Operator],
        key: Callable[[Any], Any] | None,
        between: Sequence[Operator],
        stage: Stage | None,
        joining: Joining | None,
        behind: Sequence[Operator],
    ) -> None:
        self._name, self._key, self._stage = name, key, stage
        self._own = f"{name}/"  # what the sources of its outputs begin with
        self._before = Chain(name, before) if before else None
        self._between = Chain(name, between) if between else None
        self._behind = Chain(name, behind)
        self._joining = joining
        self._is_other = matcher(joining.patterns) if joining is not None else None

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        """See Program."""
        if event.source.startswith(self._own):
            return ()
        if self._joining is not None and self._is_other and self._is_other(event.event_type):
            return ((self._keyed(self._joining.key, event), Other(event)),)
        if self._key is None:
            return ((event.source, event),)
        if self._before is None:
            return ((self._keyed(self._key, event), event),)
        return [(self._keyed(self._key, item), item) for item in self._before([event])]

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        """See Program."""
        items = self._come_to(item)
        if self._stage is None:
            at_us = event.timestamp_us
            return Change(outputs=[output_of(self._name, each, at_us) for each in items])
        return self._change(self._stage.step(key, items, event, state, watermark_us))

    def due(self, key: str, state: Any, watermark_us: int) -> Change:
        """See Program."""
        return (
            Change()
            if self._stage is None
            else (self._change(self._stage.due(key, state, watermark_us)))
        )

    def again(
        self,
        key: str,
        stretch: Stretch,
        items: Sequence[tuple[Any, Event]],
        state: Any,
        watermark_us: int,
    ) -> Change:
        """See Program."""
        if self._stage is None:
            return Change()
        read: list[tuple[list[Any], Event]] = []
        for item, event in items:
            if read and read[-1][1].position == event.position:
                read[-1][0].extend(self._come_to(item))
            else:
                read.append((list(self._come_to(item)), event))
        return self._change(self._stage.again(key, stretch, read, state, watermark_us))

    def _come_to(self, item: Any) -> list[Any]:
        if self._between is None or item.__class__ is Other:
            return [item]
        return self._between([item])

    def _keyed(self, key_of: Callable[[Any], Any], item: Any) -> str:
        key = key_of(item)
        if type(key) is str and key:
            return key
        raise InvalidProgram(
            self._name,
            f"its key is {key!r:.80} for {item!r:.120}; a key is a text that is not empty, so map "
            "what has another one, and filter what has none",
        )

    def _change(self, turn: Turn) -> Change:
        if not turn.out:
            return Change(turn.state, (), turn.due_us, turn.again)
        outputs: list[Output] = []
        for item, at_us in turn.out:
            outputs += [output_of(self._name, each, at_us) for each in self._behind([item])]
        return Change(turn.state, outputs, turn.due_us, turn.again)

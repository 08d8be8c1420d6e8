"""Stream programs for tests, by hand: what a program is (streams/program.py), and no more."""

from collections.abc import Iterable, Sequence
from typing import Any

from actors.event import BusinessEvent, Event, Kind
from actors.moments import microseconds
from streams.program import Change, Output, Stretch

HOUR_US = 3_600_000_000


class Echoed(BusinessEvent):
    """An event was seen."""

    of: str
    position: int


class Totalled(BusinessEvent):
    """A key has so many events by now, of which these are the positions."""

    count: int
    through: int


class HourClosed(BusinessEvent):
    """So many events fell into an hour of event time."""

    hour: int
    count: int
    revision: int


class _Program:
    """What they have in common."""

    event_types: Sequence[str] = ("*",)
    kinds: Sequence[Kind] = ()
    disorder_us = 0
    keeps_state = True

    def __init__(self, name: str, sources: Sequence[str]) -> None:
        self.name = name
        self.sources = sources

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        """To its own source."""
        yield event.source, None

    def due(self, key: str, state: Any, watermark_us: int) -> Change:
        """Nothing ever is."""
        raise NotImplementedError(key)

    def again(
        self,
        key: str,
        stretch: Stretch,
        items: Sequence[tuple[Any, Event]],
        state: Any,
        watermark_us: int,
    ) -> Change:
        """Nothing was asked for."""
        raise NotImplementedError(key)


class Echo(_Program):
    """An event for each event."""

    keeps_state = False

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        """One of its own."""
        echo = Echoed(of=str(event.id), position=event.position or 0)
        return Change(outputs=[Output(echo, microseconds(event.timestamp))])


class Totals(_Program):
    """Counts the events of `groups` groups of sources, and says so at every `every`th."""

    def __init__(
        self, name: str, sources: Sequence[str], *, groups: int = 10, every: int = 1
    ) -> None:
        super().__init__(name, sources)
        self.groups, self.every = groups, every

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        """By the last bytes of the aggregate's id."""
        yield f"group-{event.aggregate_id.int % self.groups}", None

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        """One more."""
        count = (state or 0) + 1
        totalled = Totalled(count=count, through=event.position or 0)
        outputs = (
            [Output(totalled, microseconds(event.timestamp))] if count % self.every == 0 else []
        )
        return Change(state=count, outputs=outputs)


class Hours(_Program):
    """Events by source and hour of event time, which may be another span; what comes later than its
    hour is counted again out of the log."""

    def __init__(self, name: str, sources: Sequence[str], *, span_us: int = HOUR_US) -> None:
        super().__init__(name, sources)
        self.span_us = span_us

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        """Into its hour, which may have been closed."""
        state = state or {"open": {}, "closed": {}}
        hour = microseconds(event.timestamp) // self.span_us
        if (hour + 1) * self.span_us <= watermark_us:
            return self._change(
                state, again=[Stretch(hour * self.span_us, (hour + 1) * self.span_us)]
            )
        state["open"][str(hour)] = state["open"].get(str(hour), 0) + 1
        return self._change(state)

    def due(self, key: str, state: Any, watermark_us: int) -> Change:
        """Close what is over."""
        over = [
            hour for hour in map(int, state["open"]) if (hour + 1) * self.span_us <= watermark_us
        ]
        outputs = [self._closed(state, hour, state["open"].pop(str(hour))) for hour in sorted(over)]
        return self._change(state, outputs)

    def again(
        self,
        key: str,
        stretch: Stretch,
        items: Sequence[tuple[Any, Event]],
        state: Any,
        watermark_us: int,
    ) -> Change:
        """As the log has it."""
        output = self._closed(state, stretch.start_us // self.span_us, len(items))
        return self._change(state, [output])

    def _closed(self, state: Any, hour: int, count: int) -> Output:
        revision = state["closed"].get(str(hour), 0) + 1
        state["closed"][str(hour)] = revision
        closed = HourClosed(hour=hour, count=count, revision=revision)
        return Output(closed, (hour + 1) * self.span_us)

    def _change(
        self, state: Any, outputs: Sequence[Output] = (), again: Sequence[Stretch] = ()
    ) -> Change:
        ends = [(int(hour) + 1) * self.span_us for hour in state["open"]]
        return Change(state, outputs, min(ends, default=None), again)

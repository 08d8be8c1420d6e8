"""A window of the hall's temperatures, taken through events minute by minute."""

from datetime import timedelta
from typing import Any

from actors.event import Event
from actors.moments import microseconds
from streams.aggregation import Aggregation
from streams.pipeline import EventPipeline
from streams.scenario import StreamScenario
from streams.windows import Session, Sliding, Tumbling, WindowResult
from tests.unit.streams.readings import NOON, Hot, after

#: Start, end, value, revision, and what is replaced; in minutes after noon.
Shown = tuple[float, float, Any, int, list[tuple[float, float, int]]]


def minutes(after_noon: float) -> int:
    """A moment, in Unix microseconds."""
    return microseconds(after(after_noon))


def shown(result: WindowResult) -> Shown:
    """A result, in minutes after noon."""
    replaces = [(_min(each.start_us), _min(each.end_us), each.revision) for each in result.replaces]
    start, end = _min(result.start_us), _min(result.end_us)
    return start, end, result.value, result.revision, replaces


def _min(us: int) -> float:
    return (us - microseconds(NOON)) / 60_000_000


class Windows:
    """Results of windows as they come."""

    def __init__(
        self,
        window: Tumbling | Sliding | Session,
        aggregate: Aggregation,
        lateness: timedelta,
        disorder: timedelta,
    ) -> None:
        self.results: list[WindowResult] = []
        pipeline = (
            EventPipeline("sums", "measured", disorder=disorder)
            .key_by("room")
            .window(window, aggregate, lateness=lateness)
            .emit(self._put_out)
        )
        self.scenario = StreamScenario(pipeline)

    def given(self, *events: Event) -> list[Shown]:
        """Events come; what comes out."""
        before = len(self.results)
        self.scenario.given(*events)
        return [shown(result) for result in self.results[before:]]

    def time(self, after_noon: float) -> list[Shown]:
        """Event time comes to a minute; what comes out."""
        before = len(self.results)
        self.scenario.given_time(after(after_noon))
        return [shown(result) for result in self.results[before:]]

    def _put_out(self, result: WindowResult) -> Hot:
        self.results.append(result)
        return Hot(celsius=0.0)

"""Events published from outside any actor: many under way, and one at a time."""

import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

from actors.event import Event
from benchmarks.bed import Bed, one_value, settle
from benchmarks.devices import ReadingTaken
from benchmarks.figures import Figure, Measure
from benchmarks.measures.commands import READINGS
from benchmarks.sizes import require
from jobs.flights.report import GAPS
from runtime.driver.reply import Reply
from runtime.system import ActorSystem

MANY, SINGLE = "publish_per_s", "publish_single_per_s"
SOURCES = 1_000
AHEAD = 10_000  #: published and not answered yet, at most


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """Each event is durable before it counts. Making it is part of it, as in the
    benchmark of Thornback's original."""
    measured: dict[str, float] = {}
    published = 0
    with bed.database() as url, bed.system(url) as system:
        for key, count, ahead in (
            (MANY, bed.sizes.published, AHEAD),
            (SINGLE, bed.sizes.single_published, 1),
        ):
            if key in wanted:
                _publish(system, count // 10, ahead)  # warms up
                settle(url)
                started_s = time.perf_counter()
                _publish(system, count, ahead)
                measured[key] = count / (time.perf_counter() - started_s)
                published += count // 10 + count
        require(one_value(url, READINGS) == published, "the log does not have them all")
        require(one_value(url, GAPS) == 0, "a source's versions are not 1..n")
    return measured


def _publish(system: ActorSystem, count: int, ahead: int) -> None:
    under_way: deque[Reply[list[Event]]] = deque()
    for event in _events(count):
        if len(under_way) >= ahead:
            _answered(under_way.popleft())
        under_way.append(system.publish(event))
    for reply in under_way:
        _answered(reply)


def _answered(reply: Reply[list[Event]]) -> None:
    (event,) = reply.result()
    require(event.position is not None, "an event was answered before it was committed")


def _events(count: int) -> Iterator[Event]:
    for number in range(count):
        yield Event.of(
            ReadingTaken(celsius=21.5, room="hall", number=number),
            source=f"outside/{number % SOURCES:04}",
            id=uuid4(),
            timestamp=datetime.now(UTC),
        )


MEASURE = Measure(
    run,
    (
        Figure(
            key=MANY,
            input="{published:,} events of 1,000 sources by publish, up to 10,000 of them "
            "unanswered; warmed up by a tenth",
        ),
        Figure(
            key=SINGLE,
            input="{single_published:,} events, each published after the answer to the last",
        ),
    ),
)

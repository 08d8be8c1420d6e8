"""Stream programs on a log that is there: how many events a second they finish.

Each has one worker, which reads the log, evaluates, and has states, outputs, watermark and
checkpoints committed together. What is timed is from the first checkpoint that moved to the last,
so no start of a process is in it.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from actors.event import Event, Payload
from benchmarks.bed import Bed, one_value, settle
from benchmarks.devices import Meter, ReadingTaken, TakeReading
from benchmarks.figures import Figure, Measure, at_least
from benchmarks.measures.commands import LIMIT_S, all_told
from benchmarks.sizes import require
from runtime.driver.bulk import Send
from runtime.system import ActorSystem
from store.slots import SLOTS
from streams.aggregates import Count, Mean
from streams.handler import Handler
from streams.pipeline import EventPipeline
from streams.program import Program
from streams.programs import program_of
from streams.projection import Projection
from streams.windows import Tumbling

STATELESS, KEYED, WINDOW, HANDLER, PROJECTION = (
    "pipeline_stateless_events_per_s", "pipeline_keyed_state_events_per_s",
    "pipeline_window_events_per_s", "handler_events_per_s", "projection_events_per_s",
)  # fmt: skip
#: Events of one meter that fall into one window.
TOGETHER = 10
_BEGIN = datetime(2024, 1, 1, tzinfo=UTC)

_REACHED = "SELECT min(position) FROM subscriptions WHERE name LIKE %s HAVING count(*) = %s"


class Echoes(Handler):
    """An event for each event."""

    name = "bench-echoes"
    event_types = ("reading-taken",)

    def handle(self, event: Event) -> Iterator[Payload]:
        """The same reading once more."""
        yield ReadingTaken(celsius=event.data["celsius"], room="echo", number=event.data["number"])


@dataclass(frozen=True)
class Readings:
    """What there is of a meter."""

    readings: int
    celsius: float  #: of all of them together
    last: int
    last_at: datetime
    room: str


class BenchProjection(Projection[Readings]):
    """A row for each meter."""

    event_types = ("reading-taken",)
    sources = ("meter/*",)  # not what Echoes makes of them

    def project(self, event: Event, row: Readings | None) -> Readings:
        """One more reading."""
        data = event.data
        readings, celsius = (row.readings, row.celsius) if row is not None else (0, 0.0)
        return Readings(
            readings + 1, celsius + data["celsius"], data["number"], event.timestamp, data["room"]
        )


#: By figure: the program, and how many outputs it has to have of so many events.
PROGRAMS: dict[str, tuple[Program, Callable[[int], int]]] = {
    STATELESS: (
        EventPipeline("bench-stateless", "reading-taken")
        .map(lambda event: event.data)
        .filter(lambda data: data["number"] % 10 == 0)
        .map(lambda data: {"fahrenheit": data["celsius"] * 9 / 5 + 32})
        .emit("reading-converted"),
        lambda events: events // 10,
    ),
    KEYED: (
        EventPipeline("bench-keyed", "reading-taken")
        .fold(0.0, lambda total, event: total + event.data["celsius"])
        .filter(lambda folded: False)
        .emit("never"),
        lambda _: 0,
    ),
    WINDOW: (
        # Hosts commit side by side, and what is under way with them is hours of event time here.
        EventPipeline("bench-windows", "reading-taken", disorder=timedelta(hours=6))
        .window(
            Tumbling(timedelta(hours=1)),
            {"readings": Count(), "mean": Mean("celsius")},
            lateness=timedelta(hours=1),
        )
        .emit("reading-hour"),
        lambda events: events // TOGETHER,
    ),
    HANDLER: (program_of(Echoes), lambda events: events),
    PROJECTION: (program_of(BenchProjection), lambda _: 0),
}


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """See the figures below."""
    measured: dict[str, float] = {}
    with bed.database() as url, bed.system(url) as system:
        count = bed.sizes.processed
        all_told(system.tell_many(_hours(system, bed.sizes.actors, count)), count)
        _let_a_day_pass(system, bed.sizes.actors, count)
        for key, (program, outputs) in PROGRAMS.items():
            if key in wanted:
                settle(url)
                measured[key] = _finished(system, url, program, count)
                _check(url, program, outputs(count))
                if key == PROJECTION:
                    _check_rows(url, count)
    return measured


def _hours(system: ActorSystem, actors: int, count: int) -> Iterator[Send]:
    """Readings of meters in turn, each of which takes ten an hour."""
    refs = [system.actor(Meter, f"{number:04}") for number in range(actors)]
    for number in range(count):
        at = _BEGIN + timedelta(minutes=6 * (number // actors))
        reading = TakeReading(celsius=number / 8, room="room 101, second floor", number=number)
        yield Send(refs[number % actors], reading, at=at)


def _let_a_day_pass(system: ActorSystem, actors: int, count: int) -> None:
    """The last hours are over then."""
    later = _BEGIN + timedelta(minutes=6 * (count // actors), days=1)
    reading = TakeReading(celsius=0.0, room="elsewhere", number=count)
    system.actor(Meter, "last").ask(reading, at=later).result(timeout_s=LIMIT_S)


def _finished(system: ActorSystem, url: str, program: Program, count: int) -> float:
    """Events a second between the first checkpoint that is seen and the last."""
    system.run(program, workers=1).result(timeout_s=LIMIT_S)
    until_s = time.monotonic() + LIMIT_S
    first: tuple[float, int] | None = None
    while True:
        position, now_s = _reached(url, program.name), time.perf_counter()
        if first is None and position > 0:
            first = now_s, position
        if position >= count:
            break
        require(time.monotonic() < until_s, f"{program.name} stands at {position:,}")
        time.sleep(0.01)
    system.stop(program.name).result(timeout_s=LIMIT_S)
    assert first is not None
    require(first[1] < count // 2, "it was too quick to be measured")
    return (count - first[1]) / (now_s - first[0])


def _reached(url: str, program: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(_REACHED, (f"{program}/%", SLOTS)).fetchone()
    return row[0] if row else 0


def _check(url: str, program: Program, wanted: int) -> None:
    query = f"SELECT count(*) FROM events WHERE source LIKE '{program.name}/%'"
    found = one_value(url, query)
    require(abs(found - wanted) <= 1, f"{program.name} has {found:,} outputs, not {wanted:,}")


def _check_rows(url: str, wanted: int) -> None:
    """The last reading, of the day after, may be one more."""
    found = one_value(url, "SELECT sum(readings)::bigint FROM projections.bench_projection")
    require(found - wanted in (0, 1), f"the table has {found:,} readings, not {wanted:,}")


_OF = "of {processed:,} events of {actors:,} sources in the log, one worker: "

MEASURE = Measure(
    run,
    (
        Figure(
            key=STATELESS,
            input=_OF + "map, filter (a tenth passes), map, an output for each that passes",
            target=at_least(100_000),
        ),
        Figure(
            key=KEYED,
            input=_OF + "a running sum for each source, kept with the checkpoint",
            target=at_least(100_000),
        ),
        Figure(
            key=WINDOW,
            input=_OF + "tumbling windows of ten events, count and mean, an output for each",
            target=at_least(70_000),
        ),
        Figure(
            key=HANDLER,
            input=_OF + "a handler that answers each event with one",
            target=at_least(20_000),
        ),
        Figure(
            key=PROJECTION,
            input=_OF + "a row for each source in a table, of five columns",
            target=at_least(40_000),
        ),
    ),
)

"""The first command of actors that were never seen."""

import time
from collections.abc import Iterator

from benchmarks.bed import Bed, one_value, settle
from benchmarks.devices import Meter, TakeReading
from benchmarks.figures import Figure, Measure, at_least
from benchmarks.measures.commands import READINGS, all_told, readings
from benchmarks.sizes import require
from jobs.flights.report import GAPS
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem

KEY = "first_touch_actors_per_s"


def run(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """The log is not empty and its hosts are not new: a look for what an actor has in the
    log passes through what others have there. Making the refs is part of it."""
    count, stored = bed.sizes.new_actors, bed.sizes.stored
    with bed.database() as url, bed.system(url) as system:
        known: list[ActorRef[object]] = [
            system.actor(Meter.actor_type, f"{number:04}") for number in range(bed.sizes.actors)
        ]
        all_told(system.tell_many(readings(known, stored)), stored)
        settle(url)
        started_s = time.perf_counter()
        told = system.tell_many(_first_readings(system, count))
        elapsed_s = time.perf_counter() - started_s
        all_told(told, count)
        require(one_value(url, READINGS) == stored + count, "the log does not have them all")
        require(one_value(url, GAPS) == 0, "an actor's versions are not 1..n")
    return {KEY: count / elapsed_s}


def _first_readings(
    system: ActorSystem, count: int
) -> Iterator[tuple[ActorRef[object], TakeReading]]:
    for number in range(count):
        ref = system.actor(Meter.actor_type, f"new-{number:06}")
        yield ref, TakeReading(celsius=number / 8, room="room 101, second floor", number=number)


MEASURE = Measure(
    run,
    (
        Figure(
            key=KEY,
            input="one command to each of {new_actors:,} new actors by tell_many, in a log of "
            "{stored:,} events of others",
            target=at_least(50_000),
        ),
    ),
)

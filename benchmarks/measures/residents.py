"""What an actor costs in memory."""

from typing import Any

from benchmarks.bed import Bed, one_value
from benchmarks.devices import Meter
from benchmarks.figures import Figure, Measure, at_least, require
from benchmarks.measures.commands import READINGS, all_told, readings
from runtime.ref import ActorRef
from runtime.system import ActorSystem

KEY = "bytes_per_resident_actor"
READS = 20  #: of the hosts' memory at most, until two in a row agree
AGREE = 0.002


def run(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """Private memory of all hosts, before and after each new actor got its one event.

    Other actors warm the hosts up first, so that what every busy host has (a full table of
    recent commands, buffers) is there before.
    """
    count, warm_up = bed.sizes.residents, bed.sizes.residents // 2
    with bed.database() as url, bed.system(url) as system:
        warm = _refs(system, "warm", bed.sizes.actors)
        all_told(system.tell_many(readings(warm, warm_up)), warm_up)
        before, had = _settled(system), _residents(system)
        refs = _refs(system, "meter", count)
        all_told(system.tell_many(readings(refs, count)), count)
        after, has = _settled(system), _residents(system)
        require(has - had == count, f"{has - had:,} more actors are resident, not {count:,}")
        require(one_value(url, READINGS) == warm_up + count, "the log has their events")
    return {KEY: (after - before) / count}


def _refs(system: ActorSystem, prefix: str, count: int) -> list[ActorRef[object]]:
    return [system.actor(Meter.actor_type, f"{prefix}-{number:06}") for number in range(count)]


def _settled(system: ActorSystem) -> int:
    """The hosts' private memory in bytes, once two reads agree."""
    last = _private(system)
    for _ in range(READS):
        now = _private(system)
        if abs(now - last) <= AGREE * now:
            return now
        last = now
    return last


def _private(system: ActorSystem) -> int:
    return sum(status["private"] for status in _hosts(system))


def _residents(system: ActorSystem) -> int:
    return sum(status["residents"] for status in _hosts(system))


def _hosts(system: ActorSystem) -> list[dict[str, Any]]:
    return [status for status in system.status() if "residents" in status]


MEASURE = Measure(
    run,
    (
        Figure(
            key=KEY,
            input="private memory of the hosts, more by {residents:,} pooled actors after one "
            "event each; hosts warmed up by other actors",
            target=at_least(4_000),
            at_most=True,
        ),
    ),
)

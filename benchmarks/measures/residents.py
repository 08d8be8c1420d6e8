"""What an actor costs in memory."""

from typing import Any

from benchmarks.bed import Bed, one_value
from benchmarks.devices import Meter
from benchmarks.figures import Figure, Measure, at_least, require
from benchmarks.measures.commands import READINGS, all_told, readings
from runtime.system import ActorSystem

KEY = "bytes_per_resident_actor"
READS = 20  #: of the hosts' memory at most, until two in a row agree
AGREE = 0.002


def run(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """Private memory of all hosts, before and after each new actor got its one event.

    The hosts are new: what any busy host grows once (a full table of recent commands,
    buffers) is shared out among the actors too. Warming up before would leave memory free
    inside the hosts for the actors to hide in: they then seemed to take a third of this.
    """
    count = bed.sizes.residents
    with bed.database() as url, bed.system(url) as system:
        before = _settled(system)
        refs = [system.actor(Meter.actor_type, f"{number:06}") for number in range(count)]
        all_told(system.tell_many(readings(refs, count)), count)
        after, residents = _settled(system), _residents(system)
        require(residents == count, f"{residents:,} actors are resident, not {count:,}")
        require(one_value(url, READINGS) == count, "the log does not have all their events")
    return {KEY: (after - before) / count}


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
            input="private memory that new hosts grew by, with {residents:,} pooled actors after "
            "one event each",
            target=at_least(4_000),
            at_most=True,
        ),
    ),
)

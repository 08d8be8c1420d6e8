"""What an actor costs in memory, and commands to a million of them."""

import time
from collections.abc import Iterable, Iterator

from benchmarks.bed import Bed, one_value, settle
from benchmarks.devices import Meter, TakeReading
from benchmarks.figures import Figure, Measure, at_least
from benchmarks.measures.commands import READINGS, all_told, readings
from benchmarks.sizes import require
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from runtime.topology.status import HostFacts, ProcessStatus

KEY = "bytes_per_resident_actor"
RATE, EACH = "resident_million_per_s", "resident_million_bytes"
STRIDE = 7_919  #: a prime: commands that follow one another go to actors far apart
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


def million(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """Commands to actors picked from all over the resident ones: what a command costs when
    neither caches nor tables hold the few that are busy, for there are none."""
    count, commands = bed.sizes.million, bed.sizes.commands
    require(count % STRIDE != 0, "the stride visits only some of the actors")
    with bed.database() as url, bed.system(url, max_actors=count) as system:
        before = _settled(system)
        for start in range(0, count, CHUNK):
            size = min(CHUNK, count - start)
            all_told(system.tell_many(_spread(system, range(start, start + size))), size)
        after, residents = _settled(system), _residents(system)
        require(residents == count, f"{residents:,} actors are resident, not {count:,}")
        settle(url)
        picked = (number * STRIDE % count for number in range(commands))
        started_s = time.perf_counter()
        told = system.tell_many(_spread(system, picked))
        elapsed_s = time.perf_counter() - started_s
        all_told(told, commands)
        require(_residents(system) == count, "actors were evicted meanwhile")
        require(one_value(url, READINGS) == count + commands, "the log does not have them all")
    measured = {RATE: commands / elapsed_s, EACH: (after - before) / count}
    return {key: measured[key] for key in wanted}


#: New actors in one bulk call: its failures, if any, are then told early.
CHUNK = 100_000


def _spread(
    system: ActorSystem, numbers: Iterable[int]
) -> Iterator[tuple[ActorRef[object], TakeReading]]:
    for number in numbers:
        ref = system.actor(Meter.actor_type, f"{number:06}")
        yield ref, TakeReading(celsius=number / 8, room="room 101, second floor", number=number)


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
    return sum(status.private_bytes for status, _ in _hosts(system))


def _residents(system: ActorSystem) -> int:
    return sum(facts.residents for _, facts in _hosts(system))


def _hosts(system: ActorSystem) -> list[tuple[ProcessStatus, HostFacts]]:
    statuses = (one for one in system.status().result() if isinstance(one, ProcessStatus))
    return [(one, one.facts) for one in statuses if isinstance(one.facts, HostFacts)]


MEASURES = (
    Measure(
        run,
        (
            Figure(
                key=KEY,
                input="private memory that new hosts grew by, with {residents:,} pooled actors "
                "after one event each",
                target=at_least(4_000),
                at_most=True,
            ),
        ),
    ),
    Measure(
        million,
        (
            Figure(
                key=RATE,
                input="{commands:,} commands by tell_many, spread over {million:,} actors that "
                "are resident on two hosts",
            ),
            Figure(
                key=EACH,
                input="private memory that the two hosts grew by, with those {million:,} actors",
                at_most=True,
            ),
        ),
    ),
)

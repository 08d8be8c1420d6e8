"""Events folded back into actors from the log."""

import time

from benchmarks.bed import Bed, one_value
from benchmarks.devices import Meter
from benchmarks.figures import Figure, Measure, at_least
from benchmarks.measures.commands import all_told, readings
from benchmarks.sizes import require

KEY = "rehydrate_events_per_s"


def run(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """A new system on the log of an old one is asked for the state of every actor.

    Timed is all of it: the question to each actor, the query for their events, the fold,
    the states' way back and their validation in the driver. One actor without events is
    asked first, so that connections are open and code is loaded.
    """
    stored, names = bed.sizes.stored, [f"{number:04}" for number in range(bed.sizes.actors)]
    with bed.database() as url:
        with bed.system(url) as system:
            refs = [system.actor(Meter.actor_type, name) for name in names]
            all_told(system.tell_many(readings(refs, stored)), stored)
        require(one_value(url, "SELECT count(*) FROM snapshots") == 0, "there are snapshots")
        with bed.system(url) as system:
            for warm in range(8):  # one of them meets each host
                system.actor(Meter, f"warm-{warm}").state().result()
            meters = [system.actor(Meter, name) for name in names]
            started_s = time.perf_counter()
            replies = [meter.state() for meter in meters]
            states = [reply.result() for reply in replies]
            elapsed_s = time.perf_counter() - started_s
    folded = sum(state.readings for state in states)
    require(folded == stored, f"{folded:,} events were folded, not {stored:,}")
    last = sorted(state.number for state in states)
    require(last == list(range(stored - len(names), stored)), "a state is not its last event's")
    return {KEY: stored / elapsed_s}


MEASURE = Measure(
    run,
    (
        Figure(
            key=KEY,
            input="{stored:,} events of {actors:,} actors, no snapshots, fresh hosts: from asking "
            "for every state() until all are here",
            target=at_least(100_000),
        ),
    ),
)

"""What stream programs, airports and an index make of the replay: have them run, show what they
came to, and prove it.

Three pipelines, the airports, which listen, a projection, and the index by which aircraft are found
by their state. They go on with whatever comes then.
"""

import time
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from typing import Any, TypeVar

from rich.console import Console

from actors.devices import Aircraft
from actors.examples.airport import Airport
from jobs.flights import findings, proofs
from jobs.flights.catching_up import wait_caught_up
from jobs.flights.proofs import Proof
from runtime.system import ActorSystem
from store.postgres.event_store import PostgresEventStore
from store.slots import SLOTS
from streams.actor_index import ActorIndex
from streams.examples import AIRCRAFT_DAYS, AIRPORT_DELAYS, CARRIER_DELAYS, Routes

#: A replay sends months in a minute, and hosts commit side by side: nearly all of it is days out of
#: order, and would correct what is out, again and again.
REPLAYED_OUT_OF_ORDER = timedelta(days=5)

PIPELINES = tuple(
    pipeline.with_disorder(REPLAYED_OUT_OF_ORDER)
    for pipeline in (CARRIER_DELAYS, AIRPORT_DELAYS, AIRCRAFT_DAYS)
)

#: By how many slots each is known to have begun. Actors that listen are one subscription.
PROGRAMS = {
    **{pipeline.name: SLOTS for pipeline in PIPELINES},
    Routes.name: SLOTS,
    ActorIndex(Aircraft).name: SLOTS,
    Airport.actor_type: 1,
}

T = TypeVar("T")


def run_examples(system: ActorSystem, console: Console) -> bool:
    """Have all of them run over all that is in the log by now; does all of it hold? Raises
    NotPossible where a program stands."""

    def wait(asked: Coroutine[Any, Any, T]) -> T:
        return system.connection.courier.run(asked).result()

    began_s = time.monotonic()
    head = system.head().result()
    with console.status("starting pipelines, airports, a projection and an index"):
        _start(system)
    store = wait(_open_store(system))
    try:
        wait_caught_up(system, store, PROGRAMS, head, console)
        took_s = time.monotonic() - began_s
        console.print(f"{len(PROGRAMS)} programs over {head:,} events in {took_s:,.1f} s")
        wait(findings.show_worst_hours(store, console))
        wait(findings.show_congestions(store, console))
        findings.show_why(system, wait(findings.worst_congestion(store)), console)
        wait(findings.show_busiest_route(store, console))
        holds = True
        for proof in _proofs(system, head):
            with console.status(f"proving it in SQL: {proof.says}"):
                verdict = wait(proof.verdict(store))
            findings.show_verdict(verdict, console)
            holds &= verdict.holds
    finally:
        wait(store.close())
    return holds


def _start(system: ActorSystem) -> None:
    replies = [system.run(pipeline, workers=1) for pipeline in PIPELINES]
    replies += [
        system.run(Routes, workers=1),
        system.index(Aircraft, workers=1),
        system.run(Airport),
    ]
    for reply in replies:
        reply.result()


def _proofs(system: ActorSystem, head: int) -> Iterator[Proof]:
    yield from map(proofs.proof_of_windows, PIPELINES)
    yield proofs.proof_of_congestion(head)
    yield proofs.proof_of_routes()
    found = system.find(
        Aircraft, diverted__gt=0, last_airport__isnull=True, at_least=head, limit=10_000
    ).result()
    yield proofs.proof_of_missing_aircraft([ref.source for ref in found], found.position)


async def _open_store(system: ActorSystem) -> PostgresEventStore:
    store = await system.open_store()
    assert isinstance(store, PostgresEventStore), "the proofs are SQL: use a Postgres store"
    return store

"""What a host spends on an actor that it has never seen, without the store's own time.

    python -m benchmarks.loading

Loads 10,000 new actors over a store that has nothing of them; the median of 15 rounds, in
processor time.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import cast

from benchmarks.devices import Meter
from runtime.host.actor_types import ActorTypes
from runtime.host.residents import Residents
from store.event_store import EventStore, Load, Snapshot

ACTORS = 10_000
ROUNDS = 15


class _Nothing:
    """The part of a store that loading asks, where nothing is stored."""

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        return {}

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> Load:
        return Load(rows=b"", rest={})


async def measure() -> float:
    """Microseconds an actor."""
    types = ActorTypes()
    types.register(Meter)
    spent_us = []
    for number in range(ROUNDS):
        store = cast(EventStore, _Nothing())
        residents = Residents(store, types, capacity=ACTORS, observe=lambda _: None)
        sources = [f"meter/new-{number}-{each:06}" for each in range(ACTORS)]
        began_s = time.process_time()
        await residents.load(sources)
        spent_us.append((time.process_time() - began_s) / ACTORS * 1e6)
    return median(spent_us)


if __name__ == "__main__":
    print(f"{asyncio.run(measure()):.2f} us an actor")

"""What decoding and evaluating an event costs in the stream programs of the bench.

    python -m benchmarks.evaluating [EVENTS]

The events are those of the bench's meters, in memory, and what a program comes to goes nowhere: no
reading, no append. So this is what a worker spends beside these, in microseconds of processor time
an event. Two versions of the code are compared by running it in both checkouts in turn.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import NamedTuple

from benchmarks.measures.programs import PROGRAMS
from runtime.clocks import NodeClock
from runtime.processing.evaluation import Effects, Evaluation
from runtime.processing.key_table import KeyTable
from runtime.processing.lanes import Lane
from runtime.processing.program_selection import selection_of_program
from runtime.processing.projected_rows import ProjectedRows, tabled
from runtime.processing.reading import OneLog
from runtime.settings.settings import Settings
from store.event_store import EventStore
from store.memory import MemoryEventStore
from store.rows.decoding import Decoder
from store.slots import SLOTS
from streams.program import Program
from tests.contracts.appending import Log, made_event

ACTORS, PAGE = 1_000, 4_000
_BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


class Spent(NamedTuple):
    """Microseconds of processor time an event."""

    decoding: float
    evaluating: float
    outputs: int  #: in all


async def logged(events: int) -> MemoryEventStore:
    """A log of readings, of meters in turn, each of which takes ten an hour."""
    store = MemoryEventStore()
    log = await Log.open(store)
    for first in range(0, events, PAGE):
        await log.append(
            *(
                made_event(
                    f"meter/{number % ACTORS:04}",
                    number // ACTORS + 1,
                    event_type="reading-taken",
                    data={"celsius": number / 8, "room": "room 101", "number": number},
                    timestamp=_BEGIN + timedelta(minutes=6 * (number // ACTORS)),
                )
                for number in range(first, min(first + PAGE, events))
            )
        )
    return store


async def spent(program: Program, store: EventStore, events: int) -> Spent:
    """One run over all of them, in batches of the size that workers have."""
    evaluation, lane, clock = await _begun(program, store)
    decoder, size = Decoder(), Settings().processing.batch_processing_size
    decoding_s = evaluating_s = 0.0
    after = outputs = 0
    while after < events:
        page = await store.read(after, PAGE, selection=selection_of_program(program))
        began_s = time.process_time()
        decoded = decoder.page(page.rows)
        clock.observe_all(decoded.clocks)
        decoded_s = time.process_time()
        for at in range(0, len(decoded.events), size):
            effects, some = Effects(), decoded.events[at : at + size]
            await evaluation.evaluate(lane, some, some[-1].position or 0, effects)
            outputs += len(effects.rows)
        decoding_s += decoded_s - began_s
        evaluating_s += time.process_time() - decoded_s
        after = page.through
    return Spent(decoding_s / events * 1e6, evaluating_s / events * 1e6, outputs)


async def _begun(program: Program, store: EventStore) -> tuple[Evaluation, Lane, NodeClock]:
    kept = None
    if (projection := tabled(program)) is not None:
        kept = ProjectedRows(projection, await store.open_projection(projection.table), store)
    keys = KeyTable(program.name, store, keeps_state=program.keeps_state, kept=kept)
    clock, ids = NodeClock("bench.workers", 1, ()), count(2**100)
    evaluation = Evaluation(
        program, selection_of_program(program), keys, store, clock,
        reading=OneLog(store, None), began=0,
        new_id=lambda: next(ids).to_bytes(16, "big"),
    )  # fmt: skip
    lane = Lane(0, None)
    for slot in range(SLOTS):
        lane.add_slot(slot)
    return evaluation, lane, clock


async def main(events: int) -> None:
    """Print a line for each program."""
    store = await logged(events)
    print(f"of {events:,} events, in microseconds of processor time each")
    for key, (program, _) in PROGRAMS.items():
        found = await spent(program, store, events)
        print(
            f"  {key:<36} decoding {found.decoding:5.2f}, evaluating {found.evaluating:5.2f}; "
            f"{found.outputs:,} outputs"
        )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 100_000))

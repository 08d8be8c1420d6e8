"""The answer to a batch whose outcomes are all durable, and what is done beside it."""

import asyncio
import logging
from collections.abc import Iterable

from runtime.clocks import NodeClock
from runtime.errors import HostFailed
from runtime.host.batch import Attempt, Batch
from runtime.host.host_metrics import HostMetrics
from runtime.host.repeats import rows_of_repeats
from runtime.host.residents import Residents
from runtime.host.snapshots import SnapshotSaving
from runtime.wire.commands import Answer, pack_answer
from runtime.wire.error_codec import text_of_error
from store.event_store import EventStore
from store.rows.decoding import folds
from store.rows.json_text import decode_json

logger = logging.getLogger("thornback.host")


class Answering:
    """Answers batches, each once and whatever happens."""

    def __init__(
        self,
        store: EventStore,
        residents: Residents,
        clock: NodeClock,
        metrics: HostMetrics,
        *,
        name: str,
    ) -> None:
        self._residents = residents
        self._clock = clock
        self._metrics = metrics
        self._name = name
        self._snapshots = SnapshotSaving(store, metrics.snapshots_saved, name=name)

    def answer(self, batch: Batch) -> None:
        """Answer a batch that is complete."""
        try:
            self._answer(batch)
        except Exception as error:
            logger.exception("%s: an answer could not be put together", self._name)
            batch.turn_away(HostFailed(self._name, text_of_error(error)))

    def durable(self, attempt: Attempt) -> None:
        """An attempt is durable: save its snapshots, which nobody waits for."""
        if attempt.snapshots:
            self._snapshots.save(attempt.snapshots)

    def _answer(self, batch: Batch) -> None:
        elsewhere: dict[int, bytes] = {}
        clock = self._clock_of(batch.attempts[-1]) if batch.attempts else {}
        if batch.request.want_events:
            for attempt in batch.attempts:
                if attempt.repeats:
                    elsewhere |= rows_of_repeats(attempt)
                    _merge_clocks(clock, attempt.found.values(), self._clock)
        answer = batch.outcome(clock, elsewhere)
        packed = pack_answer(answer)
        if not batch.answer.done():
            batch.answer.set_result(packed)
        # It leaves in the next turn of the loop, and what it counts for is counted behind it.
        asyncio.get_running_loop().call_soon(self._count, answer, batch)

    def _count(self, answer: Answer, batch: Batch) -> None:
        self._metrics.answered(
            answer, batch, residents=len(self._residents), evicted=self._residents.evicted
        )

    def _clock_of(self, last: Attempt) -> dict[str, int]:
        """The clock of an answer: what its driver has seen once it has it.

        It is at or above the clocks of all events that the answer carries or shows the
        effects of: those were decided before the batch's last attempt was (whose clock it
        starts from), or were read out of the log: when an actor was loaded, before that
        attempt was decided, or for a repeat, whose clocks are merged in.

        It has no tick of an event that may never be stored. The ticks at the time of
        deciding may be such: those of attempts that were undone are used up, and no later
        event has them. `stored` counts what is durable alone, and all that this answer
        may show is, because attempts become durable in the order in which they were decided.
        """
        return {**last.clock, self._clock.node: min(last.ticks, self._clock.stored)}


def _merge_clocks(clock: dict[str, int], rows: Iterable[bytes], ours: NodeClock) -> None:
    """Raise a clock to those of stored rows."""
    for data in rows:
        for fold in folds(data):
            for node, count in ours.of_system(decode_json(fold.clock)).items():
                if count > clock.get(node, 0):
                    clock[node] = count

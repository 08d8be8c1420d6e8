"""What a host counts."""

import asyncio
from collections.abc import Callable

from runtime.host.batch import Batch
from runtime.host.failures import Failures
from runtime.telemetry.metrics import ActorMetrics, Metrics
from runtime.wire.commands import Answer


class HostMetrics:
    """What a host counts, once a batch."""

    def __init__(self, metrics: Metrics, node: str, now_us: Callable[[], int]) -> None:
        self.commands = 0  #: answered
        self.failures = Failures(now_us)
        self._metrics = metrics
        self._duration = metrics.duration.labels(node)
        self._residents = metrics.residents.labels(node)
        self._evicted = metrics.evicted.labels(node)
        self._waiting = metrics.waiting.labels(node)
        self._accepted, self._repeated, self._failed = (
            metrics.commands.labels(node, outcome)
            for outcome in ("accepted", "repeated", "in_vain")
        )
        self.actors = ActorMetrics(metrics)
        self._snapshots = metrics.operations.labels("save_snapshot", "ok")
        self._seen_evicted = 0
        self._residents.set(0)  # those of an earlier incarnation left memory with it
        self._waiting.set(0)

    def answered(self, answer: Answer, batch: Batch, *, residents: int, evicted: int) -> None:
        """A batch is durable and about to be answered."""
        failed, repeated = len(answer.errors), len(answer.repeats)
        self.commands += len(batch.commands)
        errors = answer.errors
        for each in batch.attempts:
            if each.untold:  # nobody waits for what a timer comes to
                errors = {**errors, **each.untold}
        if errors:
            raised = {index: at for each in batch.attempts for index, at in each.raised.items()}
            self.failures.note(errors, batch.commands, raised)
        self._duration.observe(asyncio.get_running_loop().time() - batch.arrived_s)
        self._residents.set(residents)
        self._failed.inc(failed)
        self._repeated.inc(repeated)
        self._accepted.inc(len(batch.commands) - failed - repeated)
        self._evicted.inc(evicted - self._seen_evicted)
        self._seen_evicted = evicted
        self._metrics.count_comparisons()

    def waiting(self, commands: int) -> None:
        """How many commands are unanswered now."""
        self._waiting.set(commands)

    def snapshots_saved(self, count: int) -> None:
        """Snapshots went into the store."""
        self._snapshots.inc(count)

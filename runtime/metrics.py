"""Metrics: every process counts into files of its own, one exporter reads them all.

The files are prometheus_client's memory-mapped ones, named after the process's node
name instead of its process id: what was counted survives a kill -9, and the node's
next incarnation goes on counting where the last one stopped. Labels never carry a
device id.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector

from actors.clock import comparisons
from runtime.errors import ThornbackError

if TYPE_CHECKING:
    from runtime.batch import Batch

#: Seconds; from one quick commit to a replay's backlog.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class PortTaken(ThornbackError):
    """The metrics port is in use by something else."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(host, port, reason)
        self.host, self.port, self.reason = host, port, reason

    def __str__(self) -> str:
        return (
            f"the metrics port {self.host}:{self.port} cannot be opened ({self.reason}): "
            "choose another with metrics.port, or 0 for none"
        )


class Metrics:
    """The instruments of one process. `folder` None counts in memory for nobody."""

    def __init__(self, node: str, folder: Path | None) -> None:
        self._registry = CollectorRegistry()
        if folder is not None:
            _count_into(folder, node)
        self.published = self._counter(
            "events_published", "Events handed to the bus", ["event_type"]
        )
        self.processed = self._counter(
            "events_processed", "Events decided, stored and acknowledged", ["node"]
        )
        self.duration = Histogram(
            "event_processing_duration_seconds",
            "From a batch's arrival at its host to its durable answer",
            ["node"],
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self.handlers = self._gauge("active_event_handlers", "Live subscriptions of the bus")
        self.operations = self._counter(
            "event_store_operations", "Operations on the event store", ["operation", "outcome"]
        )
        self.comparisons = self._counter("vector_clock_comparisons", "Vector clocks compared")
        self.commands = self._counter("commands", "Commands answered", ["node", "outcome"])
        self.residents = self._gauge("resident_actors", "Actors in memory", ["node"])
        self.evicted = self._counter("evicted_actors", "Idle actors that left memory", ["node"])
        self.waiting = self._gauge("mailbox_commands", "Commands unanswered in a host", ["node"])
        self.position = self._gauge("log_position", "The last position handed to the bus")
        self._compared = 0

    def count_comparisons(self) -> None:
        """Carry over what the clocks counted since the last call."""
        total = comparisons.total
        self.comparisons.inc(total - self._compared)
        self._compared = total

    def _counter(self, name: str, text: str, labels: list[str] | None = None) -> Counter:
        return Counter(name, text, labels or [], registry=self._registry)

    def _gauge(self, name: str, text: str, labels: list[str] | None = None) -> Gauge:
        # Dedicated hosts of one actor type share a label: theirs add up.
        mode: Literal["sum", "mostrecent"] = "sum" if labels else "mostrecent"
        return Gauge(name, text, labels or [], registry=self._registry, multiprocess_mode=mode)


class HostMetrics:
    """What a host counts, once a batch."""

    def __init__(self, metrics: Metrics, node: str) -> None:
        self._metrics = metrics
        self._processed = metrics.processed.labels(node)
        self._duration = metrics.duration.labels(node)
        self._residents = metrics.residents.labels(node)
        self._evicted = metrics.evicted.labels(node)
        self._waiting = metrics.waiting.labels(node)
        self._accepted, self._repeated, self._failed = (
            metrics.commands.labels(node, outcome)
            for outcome in ("accepted", "repeated", "refused")
        )
        self._snapshots = metrics.operations.labels("save_snapshot", "ok")
        self._seen_evicted = 0

    def batch_done(self, batch: "Batch", residents: int, evicted: int, seconds: float) -> None:
        """A batch is durable and about to be answered."""
        self._processed.inc(len(batch.rows))
        self._duration.observe(seconds)
        self._residents.set(residents)
        self._failed.inc(len(batch.errors))
        self._repeated.inc(len(batch.repeats))
        self._accepted.inc(len(batch.commands) - len(batch.errors) - len(batch.repeats))
        self._evicted.inc(evicted - self._seen_evicted)
        self._seen_evicted = evicted
        self._metrics.count_comparisons()

    def waiting(self, commands: int) -> None:
        """How many commands are unanswered now."""
        self._waiting.set(commands)

    def snapshots_saved(self, count: int) -> None:
        """Snapshots went into the store."""
        self._snapshots.inc(count)


class WriterMetrics:
    """What the writer counts, once a commit."""

    def __init__(self, metrics: Metrics) -> None:
        self._operations = metrics.operations

    def operation(self, name: str, outcome: str) -> None:
        """One operation on the store."""
        self._operations.labels(name, outcome).inc()


class BusMetrics:
    """What the bus counts, once a commit."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def published(self, types: Mapping[str, int], position: int) -> None:
        """A commit reached the bus."""
        for event_type, count in types.items():
            self._metrics.published.labels(event_type).inc(count)
        self._metrics.position.set(position)

    def position(self) -> int:
        """The last position counted, also by an earlier incarnation; 0 if none was."""
        return int(self._metrics.position._value.get())

    def subscriptions(self, count: int) -> None:
        """How many subscriptions are live."""
        self._metrics.handlers.set(count)


class Exporter:
    """Serves the metrics of every process that counts into `folder`, over HTTP."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
        try:
            self._server, self._thread = prometheus_client.start_http_server(
                port, host, registry=registry
            )
        except OSError as error:
            reason = "in use" if error.errno == errno.EADDRINUSE else str(error)
            raise PortTaken(host, port, reason) from error

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def fresh_folder(namespace: str) -> Path:
    """An empty folder for the counters of a system that is being launched."""
    return Path(tempfile.mkdtemp(prefix=f"thornback-metrics-{namespace}-"))


def remove_folder(folder: Path) -> None:
    """The system is at its end: nobody counts any more."""
    shutil.rmtree(folder, ignore_errors=True)


def _count_into(folder: Path, node: str) -> None:
    """Make this process's instruments count into `folder`, under the node's name."""
    readable = "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in node)
    # Two names that read alike, or one too long for a file, still get files of their own.
    identifier = f"{readable[:80]}-{crc32(node.encode()):08x}"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # where prometheus_client looks
    multi_process: Any = values.MultiProcessValue
    values.ValueClass = multi_process(process_identifier=lambda: identifier)

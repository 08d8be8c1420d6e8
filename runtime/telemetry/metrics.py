"""Metrics: every process counts into files of its own, one exporter reads them all.

The files are prometheus_client's memory-mapped ones, named after the process's node
name instead of its process id: what was counted survives a kill -9, and the node's
next incarnation goes on counting where the last one stopped. Labels never carry a
device id.
"""

import fcntl
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

from actors.clock import comparisons
from runtime.telemetry.totals import PROCESSED, PUBLISHED, Totals, totals_file

#: Seconds; from one quick commit to a replay's backlog.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


#: Seconds, of handlers that take long.
_SLOW_BUCKETS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The instruments of one process. `folder` None counts in memory for nobody.

    More than fifteen fields: one for each thing that is counted.
    """

    def __init__(self, node: str, folder: Path | None) -> None:
        self._registry = CollectorRegistry()
        self.totals = Totals(None)
        if folder is not None:
            identifier = _identifier(node)
            # Before it counts as living: what its predecessor knew is shown no more by then.
            self.totals = Totals(totals_file(folder, identifier))
            _count_into(folder, identifier)
        self.duration = Histogram(
            "event_processing_duration_seconds",
            "From a batch's arrival at its host to its durable answer",
            ["node"],
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self.subscriptions = self._gauge("live_subscriptions", "Live subscriptions of the bus")
        # Each handler is counted by one of its workers: all of them add up, on all machines.
        self.handlers = Gauge(
            "active_event_handlers",
            "Handlers of events that run",
            registry=self._registry,
            multiprocess_mode="sum",
        )
        self.operations = self._counter(
            "event_store_operations", "Operations on the event store", ["operation", "outcome"]
        )
        self.comparisons = self._counter("vector_clock_comparisons", "Vector clocks compared")
        self.commands = self._counter(
            "commands", "Commands answered, each as often as it was sent", ["node", "outcome"]
        )
        self.residents = self._gauge("resident_actors", "Actors in memory", ["node"])
        self.evicted = self._counter("evicted_actors", "Idle actors that left memory", ["node"])
        self.waiting = self._gauge("mailbox_commands", "Commands unanswered in a host", ["node"])
        self.parked = self._gauge(
            "parked_keys", "Keys and sources that stream programs have parked", ["program"]
        )
        self.letters = self._counter(
            "dead_letters", "Events that failed in a program, or queue behind one", ["program"]
        )
        self.actor_failures = self._counter(
            "actor_failures", "Failures of actors, by what became of them", ["actor_type", "became"]
        )
        self.slow = Histogram(
            "slow_handler_seconds",
            "Durations of handlers that took 0.5 s or more, to within 0.25 s",
            ["actor_type"],
            registry=self._registry,
            buckets=_SLOW_BUCKETS,
        )
        self.process_ends = self._counter(
            "process_ends", "Processes that had ended, by what became of them",
            ["kind", "became"],
        )  # fmt: skip
        self.timers = self._gauge("timers_pending", "Timers that are still to fire")
        self.fired = self._counter("timers_fired", "Timers that have fired")
        self.lateness = Histogram(
            "timer_lateness_seconds",
            "From when a timer is due to when its host has it fire",
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self.position = self._gauge("log_position", "How far the bus has counted the log")
        self._refused = self._counter(
            "refused_connections", "Connections of other machines that were turned away", ["reason"]
        )
        self._refused.labels("no TLS")  # shown from the beginning: nobody is the rule
        self._compared = 0

    def connection_refused(self, reason: str) -> None:
        """Somebody on the machines' network was turned away, for this reason."""
        self._refused.labels(reason).inc()

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


class HttpMetrics:
    """What a gateway counts, once a request."""

    def __init__(self, metrics: Metrics) -> None:
        self.requests = metrics._counter(
            "http_requests", "Requests answered", ["node", "route", "method", "status"]
        )
        self.duration = Histogram(
            "http_request_duration_seconds",
            "From a request's head to its whole answer, streams left out",
            ["node", "route"],
            registry=metrics._registry,
            buckets=_BUCKETS,
        )
        self.streams = metrics._gauge("http_streams", "Streams of events open", ["node"])


class ActorMetrics:
    """What a host counts of actors that fail, or take long."""

    def __init__(self, metrics: Metrics) -> None:
        self._failures, self._slow = metrics.actor_failures, metrics.slow
        self.slow = 0  #: handlers that took long, since it began

    def failed(self, actor_type: str, became: str) -> None:
        """An actor of that type failed, and this has become of it."""
        self._failures.labels(actor_type, became).inc()

    def took(self, actor_type: str, took_s: float) -> None:
        """Code of an actor of that type took so long."""
        self.slow += 1
        self._slow.labels(actor_type).observe(took_s)


class WriterMetrics:
    """What the writer counts, once a commit."""

    def __init__(self, metrics: Metrics) -> None:
        self._operations = metrics.operations
        self._committed = metrics.operations.labels("append", "ok")

    def committed(self) -> None:
        """A commit was made."""
        self._committed.inc()

    def refused(self, reason: str) -> None:
        """An append was refused, for this reason."""
        self._operations.labels("append", reason).inc()


class ProgramMetrics:
    """What a worker of a stream program counts."""

    def __init__(self, metrics: Metrics, program: str) -> None:
        self._parked = metrics.parked.labels(program)
        self._letters = metrics.letters.labels(program)

    def parked(self, count: int) -> None:
        """So many keys and sources are parked in its slots."""
        self._parked.set(count)

    def put_away(self, count: int) -> None:
        """So many events wait that did not before."""
        self._letters.inc(count)


class TimerMetrics:
    """What whoever fires timers counts."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def pending(self, count: int) -> None:
        """So many are still to fire."""
        self._metrics.timers.set(count)

    def fired(self, late_us: Sequence[int]) -> None:
        """Some have fired, each so late."""
        self._metrics.fired.inc(len(late_us))
        for each in late_us:
            self._metrics.lateness.observe(each / 1_000_000)


class BusMetrics:
    """What the bus shows, once a commit."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.subscriptions(0)  # those of an earlier incarnation come again
        position: Any = metrics.position
        position._value.set(0.0)  # without a moment: it is not shown before it is known

    def published(self, types: Mapping[str, int], nodes: Mapping[str, int], position: int) -> None:
        """The log has so many events of these types and of these nodes, up to a position."""
        for event_type, count in types.items():
            self._metrics.totals.show(PUBLISHED, event_type, count)
        for node, count in nodes.items():
            self._metrics.totals.show(PROCESSED, node, count)
        self._metrics.position.set(position)

    def subscriptions(self, count: int) -> None:
        """How many subscriptions are live."""
        self._metrics.subscriptions.set(count)


#: Those of this process; open as long as it lives.
_living: list[int] = []


def _say_living(folder: Path, identifier: str) -> None:
    """Hold a lock that the end of this process gives up, whatever ends it: on the first file that
    is free. Who was replaced, and lives on, has an earlier one."""
    number, held = 0, False
    while not held:
        file = os.open(_life(folder, identifier, number), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _living.append(file)
            held = True
        except BlockingIOError:
            os.close(file)
            number += 1


def lives(folder: Path, identifier: str) -> bool:
    """Does a process live on this machine that counts there under that name? Whoever asks at the
    same time is not taken for one."""
    number = 0
    while True:
        try:
            file = os.open(_life(folder, identifier, number), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared with others who ask
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        number += 1


def _life(folder: Path, identifier: str, number: int) -> Path:
    return folder / f"{identifier}.{number}.lives"


def _in_a_forked_child() -> None:
    while _living:
        os.close(_living.pop())


os.register_at_fork(after_in_child=_in_a_forked_child)


def _identifier(node: str) -> str:
    """The node's name as files have it."""
    readable = "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in node)
    # Two names that read alike, or one too long for a file, still get files of their own.
    return f"{readable[:80]}-{crc32(node.encode()):08x}"


def _count_into(folder: Path, identifier: str) -> None:
    """Make this process's instruments count into `folder`, under this name."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _say_living(folder, identifier)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # where prometheus_client looks
    multi_process: Any = values.MultiProcessValue
    values.ValueClass = multi_process(process_identifier=lambda: identifier)

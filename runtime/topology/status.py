"""What a system says of itself: where it runs, what its processes do, how a drain went.

All are plain values that travel between processes, and their units stand in their names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from runtime.topology.names import ProcessKind, host_name
from runtime.topology.partitions import process_of_partition
from store.shards import ShardTable, dealt


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """What a driver has to know to speak to a system."""

    settings_json: str  #: with the database's address, also of an embedded one
    hosts: tuple[str, ...]  #: the pooled hosts, in the order in which shards are dealt out
    shards: ShardTable | None = None  #: which of them has which; None: as they are dealt out
    log: str = ""  #: what tells its log from any other
    #: What tells its directory, in all its incarnations, from that of any system launched later.
    directory: str = ""

    @property
    def table(self) -> ShardTable:
        """Which host has which shard, as far as it is known."""
        return self.shards or dealt(self.hosts or (host_name(0),))


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeCode:
    """Which code decides the actors of a type."""

    actor_type: str
    class_name: str
    fingerprint: str  #: 64 letters; the same code has the same everywhere

    def __str__(self) -> str:
        return f"{self.actor_type} {self.fingerprint[:10]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRecord:
    """Commands of one type that were answered with one type of error, at one host or more."""

    actor_type: str
    message_type: str
    name: str  #: of the error's class
    outcome: str  #: "rejected", "failed" (its handler did), or "not run"
    count: int  #: since the host began
    first_us: int  #: when the first was answered, Unix microseconds
    last_us: int
    # Of the last one:
    source: str
    text: str  #: what it said
    frames: tuple[str, ...]  #: where in its user's code, as "file:line, in function"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What there is to say of a host."""

    commands: int  #: answered since it began
    residents: int  #: actors in memory
    evicted: int  #: actors that have left memory: there were too many, or they were idle
    unanswered: int  #: commands
    slow: int = 0  #: handlers that took half a second or longer, since it began
    shards: int = 0  #: that a pooled one has, of store/shards.py's SHARDS
    actor_types: tuple[str, ...] = field(repr=False)
    code: tuple[TypeCode, ...] = field(repr=False)  #: of each of them
    source: str | None = field(repr=False)  #: of the one actor of a dedicated host


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterFacts:
    """What there is to say of a writer."""

    position: int  #: of the last event that is committed
    backlog: int  #: appends that are not


@dataclass(frozen=True, slots=True, kw_only=True)
class BusFacts:
    """What there is to say of a bus."""

    position: int  #: of the last event it was handed
    subscriptions: int  #: that have asked of late


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryFacts:
    """What there is to say of the directory."""

    store: str  #: where the log is, without a password
    embedded: bool  #: is that a PostgreSQL of the system's own?
    draining: bool  #: is the system being stopped?


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFacts:
    """What there is to say of a gateway."""

    address: str  #: where it listens, a URL
    requests: int  #: answered since it began
    under_way: int  #: requests that are not answered yet
    streams: int  #: that are open
    ready: bool  #: does it reach the hosts and the database?
    actor_types: tuple[str, ...] = field(repr=False)  #: that it knows of its hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterFacts:
    """What there is to say of a machine's exporter."""

    address: str  #: where it shows the metrics of that machine, a URL


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """What there is to say of a worker of a stream program; counts are since it has begun."""

    program: str
    slots: int  #: that this worker has of it
    workers: int  #: of that program
    logs: int = 1  #: that it reads as one: `position` is a place in their merge where it is more
    position: int = 0  #: what comes up to there is in the log
    events: int = 0  #: evaluated, of sources in its slots
    outputs: int = 0
    failures: int = 0  #: of the program's code
    letters: int = 0  #: dead letters, and what queues behind them, that it has put away
    parked: int = 0  #: keys and sources that are parked in its slots
    paused: bool = False  #: it stands at an event at which it fails, until it is resumed
    trouble: str | None = field(default=None, repr=False)  #: what it fails at, or waits for
    fingerprint: str = field(repr=False)  #: of the program's code
    handles: tuple[str, ...] = ()  #: patterns of event types, where the program is a handler
    handlers: "tuple[WorkerFacts, ...]" = ()  #: that run together here, highest priority first


@dataclass(frozen=True, slots=True, kw_only=True)
class DelivererFacts:
    """What there is to say of whoever delivers messages between actors; counts are since it has
    begun."""

    position: int = 0  #: the messages up to there are finished
    delivered: int = 0  #: answered by their receivers, whatever they say
    returned: int = 0  #: of those, refused; they are in the log
    dead: int = 0  #: of these, those that nobody takes back
    waiting: int = 0  #: read, and not answered yet
    trouble: str | None = field(default=None, repr=False)  #: what it waits for


@dataclass(frozen=True, slots=True, kw_only=True)
class TimekeeperFacts:
    """What there is to say of whoever fires timers; counts are since it has begun."""

    position: int = 0  #: the events of timers up to there are filed
    pending: int = 0  #: timers that are to fire, by then
    fired: int = 0  #: that the log has as fired
    waiting: int = 0  #: batches of them that are not answered yet
    put_off: int = 0  #: that could not be fired, and are tried again later
    trouble: str | None = field(default=None, repr=False)  #: what it waits for


Facts = (
    HostFacts
    | WriterFacts
    | BusFacts
    | DirectoryFacts
    | GatewayFacts
    | ExporterFacts
    | WorkerFacts
    | DelivererFacts
    | TimekeeperFacts
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """What a process says of itself."""

    name: str
    kind: ProcessKind
    node: str  #: its name in vector clocks
    machine: str  #: where it runs: Ray's id of that
    restarted: bool  #: has Ray started it anew, after it had ended?
    pid: int
    up_s: float  #: since this incarnation began
    rss_bytes: int  #: resident memory, with what it shares
    private_bytes: int  #: memory that is its own
    trouble: str | None  #: why its last try to start failed, or what it cannot keep up
    #: Where calls to other machines are to go past Ray: whom it calls through Ray all the same,
    #: each with why.
    through_ray: tuple[str, ...] = ()
    facts: Facts | None  #: None until it has started


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessAway:
    """A process that did not answer."""

    name: str
    kind: ProcessKind
    reason: str


Status = ProcessStatus | ProcessAway


def statuses_of_all(found: Sequence[Sequence[Status]]) -> tuple[Status, ...]:
    """Those of several partitions as one; the names of all but the first say theirs."""
    named: list[Status] = [
        replace(status, name=process_of_partition(status.name, partition))
        for partition, theirs in enumerate(found)
        for status in theirs
    ]
    return tuple(named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a launch or a drain has come."""

    doing: str  #: what is waited for now
    done: int = 0  #: so many processes are through
    processes: int = 0  #: of so many; 0 where that does not matter yet
    counts: bool = True  #: does a time limit on the launch run on meanwhile?


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """How the drain of one process ended."""

    name: str
    kind: ProcessKind
    #: Residents of a host, the log's head at the writer, requests of a gateway, the position of a
    #: worker; None: see problem.
    settled: int | None
    problem: str | None = None  #: why not all that it had accepted is known to be answered


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainReport:
    """What became of a system that was drained: an entry for each process that had to be
    flushed, in the order in which that happened."""

    processes: tuple[Drained, ...]
    #: What else did not end as it should, like an embedded database that did not stop.
    end_problems: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """What did not end as it should, a line for each; none is the rule."""
        unflushed = (f"{each.name}: {each.problem}" for each in self.processes if each.problem)
        return (*unflushed, *self.end_problems)

    def __getitem__(self, name: str) -> Drained:
        """The entry of one process. Raises KeyError."""
        for each in self.processes:
            if each.name == name:
                return each
        raise KeyError(name)

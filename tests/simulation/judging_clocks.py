"""Vector clocks: what precedes another event causally has the smaller clock."""

from collections import defaultdict
from collections.abc import Collection

from runtime.topology.names import PROMOTED_NODE, promoted_name
from runtime.topology.placement import shard_of
from tests.simulation.history import History, Seen
from tests.simulation.log_index import LogIndex

Counts = dict[str, int]


def judge_clocks(log: LogIndex, history: History, dedicated: Collection[str]) -> list[str]:
    """Along nodes, along aggregates, and through what drivers saw before they sent. The actor
    types that are `dedicated` are a node each."""
    counts = [_of_system(record.counts) for record in log.records]
    wrong: list[str] = _judge_elsewhere(log, history)
    last: dict[object, int] = {}
    ticked: dict[str, int] = {}
    for place, record in enumerate(log.records):
        node = next(reversed(counts[place]))  # who ticked stands last
        if log.is_output(record):
            if node != "node-001.workers":
                wrong.append(f"event {place + 1} of {record.source} was ticked by {node}")
            continue  # workers are one node, each with ticks of its own: judge_programs looks
        actor_type, _, name = record.source.partition("/")
        own = f"node-001.{actor_type}" if actor_type in dedicated else None
        if own not in (None, node):
            wrong.append(f"event {place + 1} of {record.source} was ticked by {node}")
        # The dedicated hosts of an actor type are one node, and count each for itself.
        process = node if own is None else f"{own}/{name}"
        if node == f"node-001.{PROMOTED_NODE}":  # and so are those of promoted shards
            process = f"node-001.{promoted_name(shard_of(record.source))}"
        epoch = log.epochs_of[place].get(process)
        if epoch is None:
            wrong.append(f"event {place + 1} was ticked by {node}, which did not append it")
        # A node that was started anew remembers its ticks, and not what it had seen.
        for chain in ((process, epoch), record.source):
            before = last.get(chain)
            if before is not None and not _smaller(counts[before], counts[place]):
                wrong.append(
                    f"event {place + 1} follows event {before + 1} of {chain}: clocks"
                    f" {counts[before]} and {counts[place]}"
                )
            last[chain] = place
        if counts[place][node] <= ticked.get(process, 0):
            wrong.append(f"event {place + 1} has a tick of {process} that was there before")
        ticked[process] = counts[place][node]
    return wrong + _judge_drivers(log, history)


def _judge_drivers(log: LogIndex, history: History) -> list[str]:
    sent: dict[bytes, int] = defaultdict(int)
    for call in history.calls:
        sent[call.id] += 1
    #: By driver: what it saw and sent, by moment.
    happened: dict[str, list[tuple[int, int, object]]] = defaultdict(list)
    for call in history.calls:
        if call.kind in ("tell", "ask", "publish"):
            happened[call.driver].append((call.moment, 1, call))
        for event in call.events or ():
            happened[call.driver].append((call.ended, 0, event))
        if call.state is not None:
            happened[call.driver].append((call.ended, 0, _last_shown(log, call)))
    for reading in history.readings:
        for event, moment in zip(reading.events, reading.moments, strict=True):
            happened[reading.driver].append((moment, 0, event))
    wrong: list[str] = []
    for driver, things in happened.items():
        known: Counts = {}
        for _, sending, thing in sorted(things, key=lambda one: one[:2]):
            if not sending:
                _merge(known, thing)
            elif sent[thing.id] == 1:  # type: ignore[attr-defined]
                wrong += [
                    f"{driver} sent call {thing.number} having seen {known}, its event"  # type: ignore[attr-defined]
                    f" {record.position} has the clock {record.counts}"
                    for record in log.by_command.get(thing.id, [])  # type: ignore[attr-defined]
                    if not _smaller(known, _of_system(record.counts))
                ]
    return wrong


def _judge_elsewhere(log: LogIndex, history: History) -> list[str]:
    """Nodes that somebody named in a published event are in the clock of that event alone."""
    named = {call.id: call.fields.get("nodes", 0) for call in history.calls}
    wrong = []
    for record in log.records:
        nodes = named.get(record.id, 0) if record.event_type == "published" else 0
        found = len(record.counts) - len(_of_system(record.counts))
        if found != nodes:
            wrong.append(f"event {record.position} names {found} nodes elsewhere, not {nodes}")
    return wrong


def _of_system(counts: Counts) -> Counts:
    """The entries of nodes of the system, which have its name in front."""
    return {node: ticks for node, ticks in counts.items() if node.startswith("node-001.")}


def _last_shown(log: LogIndex, call: object) -> Counts:
    """The clock of the last event that a state shows."""
    shown = len(call.state["tokens"])  # type: ignore[attr-defined]
    noted = [
        record for record in log.by_source.get(call.source, [])  # type: ignore[attr-defined]
        if record.event_type == "noted"
    ]  # fmt: skip
    return noted[shown - 1].counts if 0 < shown <= len(noted) else {}


def _merge(known: Counts, thing: object) -> None:
    counts = thing.clock if isinstance(thing, Seen) else thing
    assert isinstance(counts, dict)
    counts = _of_system(counts)
    for node, ticks in counts.items():
        known[node] = max(known.get(node, 0), ticks)


def _smaller(one: Counts, other: Counts) -> bool:
    """At or below in every entry, and below in one."""
    return one != other and all(ticks <= other.get(node, 0) for node, ticks in one.items())

"""Actors that listen: each event comes once to each actor that it names, in order, with its causes.
By code of its own, out of the log alone."""

from collections import defaultdict
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from tests.simulation.judging_programs import is_wished
from tests.simulation.log_index import LogIndex
from thornback.simulation.plain_rows import Record

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


def judge_hearing(log: LogIndex, simulation: "Simulation") -> list[str]:
    """What is finished was heard, and nothing else, by each once."""
    through = _finished(simulation)
    wrong: list[str] = []
    heard = _heard(log)
    last: dict[str, int] = {}
    for record in log.records:
        wanted = set(_ears(record))
        theirs = heard.pop(record.id, [])
        found = [one.source for one in theirs]
        if len(set(found)) != len(found) or not set(found) <= wanted:
            wrong.append(f"event {record.position} was heard by {found}, and is for {wanted}")
        heard_of = record.position not in log.erased
        if record.position <= through and set(found) != wanted and heard_of:
            wrong.append(f"event {record.position} is finished: {found} of {wanted}")
        for one in theirs:
            if one.position < last.get(one.source, 0):
                wrong.append(f"{one.source} has heard event {record.position} out of order")
            last[one.source] = one.position
            wrong += _judge_cause(record, one)
    if heard:
        wrong.append(f"{len(heard)} events were heard that are not in the log")
    return wrong


def judge_heard(log: LogIndex, simulation: "Simulation", due: set[int]) -> list[str]:
    """Who listens has heard all that was there by then."""
    if not is_wished(simulation, "ear"):
        return []
    heard = _heard(log)
    return [
        f"event {record.position} was not heard by {missing}"
        for record in log.records
        if record.position in due - log.erased
        and (missing := set(_ears(record)) - {one.source for one in heard[record.id]})
    ]


def _ears(record: Record) -> list[str]:
    """Who has an event of an event."""
    if record.event_type == "noted" and record.source.startswith("ledger/"):
        token = record.payload["token"]
        if token % 5 == 0 or token % 7 == 0:
            return []
        return ["ear/left", "ear/right"] if token % 3 == 0 else ["ear/left"]
    passed = fnmatchcase(record.event_type, "pass*") and not record.source.startswith("ear/")
    return ["ear/passed"] if passed else []


def _heard(log: LogIndex) -> "defaultdict[bytes, list[Record]]":
    found: defaultdict[bytes, list[Record]] = defaultdict(list)
    for record in log.records:
        if record.source.startswith("ear/"):
            found[record.causation_id or b""].append(record)
    return found


def _finished(simulation: "Simulation") -> int:
    kept = [one for one in simulation.database.subscriptions.all() if one.name == "ear"]
    return kept[0].position if kept else 0


def _judge_cause(cause: Record, heard: Record) -> list[str]:
    name = f"event {heard.position} of {heard.source}"
    wrong = []
    if heard.payload["token"] != cause.payload["token"] or heard.position <= cause.position:
        wrong.append(f"{name} is none of event {cause.position}")
    if cause.correlation_id and heard.correlation_id != cause.correlation_id:
        wrong.append(f"{name} is of another correlation than event {cause.position}")
    known = {node: n for node, n in cause.counts.items() if node.startswith("node-001.")}
    if any(ticks > heard.counts.get(node, 0) for node, ticks in known.items()):
        wrong.append(f"{name} has not seen event {cause.position}")
    return wrong

"""Actors that were erased: nothing has their data any more, and nothing else has changed.

By code of its own, out of the log as it was written, the rows as they are now, and what tables and
processes have.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from runtime.host.host import Host
from runtime.partition.bus import Bus
from tests.simulation.erasing import OF_TENANTS, SECRET
from tests.simulation.log_index import RETURNS, TOMBSTONE, LogIndex
from thornback.simulation.plain_rows import Record, record_of

if TYPE_CHECKING:
    from store.erasures import ErasureReceipt
    from tests.simulation.judging_programs import Finished
    from tests.simulation.simulation import Simulation
    from thornback.simulation.database import Database


def tombstones(database: "Database") -> set[int]:
    """The positions of rows that have not the data that they were written with."""
    pairs = zip(database.rows, database.written, strict=True)
    return {position for position, (now, then) in enumerate(pairs, 1) if now is not then}


@dataclass(frozen=True)
class _Gone:
    """What was erased of one tenant, the last time that this came to its end."""

    source: str
    last: Record  #: its actor-erased
    records: list[Record]  #: those before it
    receipts: list["ErasureReceipt"]  #: of it, by position

    @property
    def tokens(self) -> set[str]:
        """What is to be found nowhere."""
        found = {str(_token(record)) for record in self.records}
        return {token for token in found if token.isdigit() and int(token) >= SECRET}


def judge_erasing(log: LogIndex, simulation: "Simulation") -> list[str]:
    """At the end, when everybody is at rest."""
    receipts = simulation.database.erasing.all()
    tenants = {name: theirs for name, theirs in log.by_source.items() if name[:7] == "tenant/"}
    gone = list(_gone(tenants, receipts))
    return [
        *_judge_events(simulation, tenants),
        *_judge_rows(log, simulation, gone),
        *_judge_receipts(log, gone),
        *_judge_timers(tenants, simulation),
        *(
            f"{one.source} is erased, and {where} has {sorted(left)[:3]} of it"
            for one in gone
            for where, text in _everywhere(simulation, one)
            if (left := {token for token in one.tokens if token.encode() in text})
        ),
        *_judge_answered(simulation, receipts),
    ]


def _gone(tenants: dict[str, list[Record]], receipts: list["ErasureReceipt"]) -> Iterator[_Gone]:
    for source, records in tenants.items():
        theirs = [receipt for receipt in receipts if receipt.source == source]
        if theirs:
            last = next(one for one in records if one.position == theirs[-1].position)
            yield _Gone(
                source, last, [one for one in records if one.version < last.version], theirs
            )


def _judge_events(simulation: "Simulation", tenants: dict[str, list[Record]]) -> Iterator[str]:
    """Each was asked for, and tells how many events there are before it; what is over has a
    receipt, which was written before it began anew."""
    asked = {(one.source, one.reason) for one in simulation.history.erasings}
    kept = {receipt.position for receipt in simulation.database.erasing.all()}
    for source, records in tenants.items():
        ends = [record for record in records if record.event_type == "actor-erased"]
        for record in ends:
            if (source, record.payload["reason"]) not in asked:
                yield f"{source} is erased because of {record.payload}, which nobody asked for"
            if record.payload["events"] != record.version - 1:
                yield f"{source} is erased as version {record.version}: {record.payload}"
            if record.position not in kept:
                yield f"{source} is over at {record.position}, and was never erased"
        forgotten_at = simulation.database.forgotten_at
        for end, next_ in pairwise(sorted(records, key=lambda one: one.version)):
            if end in ends and next_.position <= forgotten_at.get(end.position, next_.position):
                yield f"{source} is over at {end.position}, and began anew before it was erased"


def _judge_rows(log: LogIndex, simulation: "Simulation", gone: list[_Gone]) -> Iterator[str]:
    """All of the log is what it was but for the data and the metadata of tombstones, which stand
    where they have to, and nowhere else."""
    must = {record.position for one in gone for record in one.records}
    must -= {record.position for record in log.lives if record.event_type == "actor-erased"}
    erased_ids = {log.records[position - 1].id for position in must}
    may = set(must)
    for record in log.records:
        if _whose(record) in {one.source for one in gone}:
            may.add(record.position)
            if record.causation_id in erased_ids:
                must.add(record.position)
    for position in sorted(log.erased - may):
        yield f"event {position} of {log.records[position - 1].source} was erased, and is nobody's"
    for position in sorted(must - log.erased):
        record = log.records[position - 1]
        yield f"event {position}, {record.event_type} of {record.source}, has its data yet"
    for position in sorted(log.erased):
        was, is_ = log.records[position - 1], record_of(simulation.database.rows[position - 1])
        if is_.payload != TOMBSTONE or replace(was, data=is_.data, metadata=None) != is_:
            yield f"event {position} was erased from {was} to {is_}"


def _whose(record: Record) -> str:
    """Of which tenant it is an output, or a message that has come back."""
    if record.source == RETURNS:
        return str(record.payload.get("sender"))
    program, _, key = record.source.partition("/")
    return key if program in OF_TENANTS else ""


def _judge_receipts(log: LogIndex, gone: list[_Gone]) -> Iterator[str]:
    for one in gone:
        name = f"the receipt of {one.source}"
        for receipt in one.receipts:
            end = log.records[receipt.position - 1]
            before = [each for each in log.by_source[one.source] if each.version <= end.version]
            told = receipt.version, receipt.events, receipt.reason, receipt.keys, receipt.digest
            wanted = (
                end.version, end.version - 1, end.payload["reason"], (one.source,), _digest(before)
            )  # fmt: skip
            if told != wanted:
                yield f"{name} at {receipt.position} has {told}, not {wanted}"
            keys = {each.payload["key"] for each in before if each.event_type == "timer-set"}
            if receipt.timers > len(keys) or receipt.snapshots > 1 + before.count(end):
                yield f"{name} at {receipt.position} has more than there was: {receipt}"
        of_programs = [
            position for position in log.erased if _whose(log.records[position - 1]) == one.source
        ]
        if (told_of := sum(each.outputs for each in one.receipts)) != len(of_programs):
            yield f"the receipts of {one.source} have {told_of} outputs, not {len(of_programs)}"


def _digest(records: Iterable[Record]) -> str:
    digests = [sha256(record.id).digest() for record in records]
    sums = (sum(int.from_bytes(each[at : at + 8]) for each in digests) for at in (0, 8))
    return b"".join((each % 2**64).to_bytes(8) for each in sums).hex()


def _judge_timers(tenants: dict[str, list[Record]], simulation: "Simulation") -> Iterator[str]:
    """Those that were set since it was erased are there, once they are filed, and no others."""
    checkpoints = simulation.database.subscriptions.all()
    filed = next((one.position for one in checkpoints if one.name == "thornback.timers"), 0)
    timers: Any = simulation.database.timers
    for source, records in tenants.items():
        running: dict[str, bytes] = {}
        for record in records:
            if record.event_type == "actor-erased":
                running.clear()
            elif record.event_type == "timer-set" and record.position <= filed:
                running[record.payload["key"]] = record.id
        kept = {timer.key: timer.event_id for timer in timers.of(source)}
        if kept != running:
            yield f"{source} has the timers {kept}, the log {running}"


def _everywhere(simulation: "Simulation", one: _Gone) -> Iterator[tuple[str, bytes]]:
    """All that is kept, by where it is, as texts."""
    database: Any = simulation.database
    yield "the log", b"".join(database.rows)
    for snapshot in database.snapshots.values():
        yield "a snapshot", snapshot.data
    yield "a state of a program", _text(database.states._states)
    yield "a table", _text(database.projections._rows)
    yield "a dead letter", _text(database.letters._letters)
    yield "a timer", _text(database.timers._timers)
    for process in simulation.cluster.processes.values():
        life = process.incarnation
        if life is None or not life.instance._started:
            continue
        instance: Any = life.instance
        if isinstance(instance, Bus):
            yield (
                f"the buffer of {life.name}",
                b"".join(bytes(kept.rows) for kept in instance._buffer._kept),
            )
        elif isinstance(instance, Host):
            recent = instance._executor._recent
            rows = b"".join(bytes(effects.rows.data) for effects in recent._kept)
            yield f"the table of recent commands of {life.name}", rows
            resident = instance._executor._residents.get(one.source)
            if resident is not None:
                yield f"the state of it in {life.name}", _text(vars(resident.actor or Record))


def _text(of: Any) -> bytes:
    return repr(of).encode()


def _token(record: Record) -> Any:
    payload = record.payload
    return payload.get("message", payload).get("token", "")


def _judge_answered(simulation: "Simulation", receipts: list["ErasureReceipt"]) -> Iterator[str]:
    """Who was told that it is done was told of what is kept, or of less, if more came since."""
    kept = {receipt.position: receipt for receipt in receipts}
    for erasing in simulation.history.erasings:
        told = erasing.receipt
        if told is None:
            continue
        now = kept.get(told.position)
        if now is None or (now.version, now.digest) != (told.version, told.digest):
            yield f"wish {erasing.number} was told {told}, and kept is {now}"


def judge_rents(finished: "Finished", _: Any) -> Iterable[str]:
    """Of who was never erased every event has its output, with all tokens up to it."""
    found: dict[str, list[list[str]]] = defaultdict(list)
    for output in finished.outputs:
        found[output.source.partition("/")[2]].append(output.payload["tokens"])
    for source, tokens in _never_erased(finished).items():
        wanted = [tokens[:count] for count in range(1, len(tokens) + 1)]
        if found[source] != wanted:
            yield f"it has put {found[source]} out for {source}, not {wanted}"


def judge_doors(finished: "Finished", _: Any) -> Iterable[str]:
    """Of who was never erased there is the last token."""
    for source, tokens in _never_erased(finished).items():
        if finished.rows.get(source) != (tokens[-1], len(tokens)):
            yield f"{source} is {finished.rows.get(source)}, not {tokens[-1]}, {len(tokens)}"


def judge_tenants(finished: "Finished", _: Any) -> Iterable[str]:
    """Who is not over is found, with a state that has what came since; who is over is not."""
    for source, records in finished.log.by_source.items():
        if not source.startswith("tenant/"):
            continue
        ends = [one.position for one in records if one.event_type == "actor-erased"]
        end, through = max(ends, default=0), finished.through(source)
        since = [one for one in records if end < one.position <= through]
        row = finished.rows.get(source)
        if (row is None) != (not since):
            yield f"{source} has {len(since)} events, and the row {row}"
        elif row is not None and row[-1] is not None:
            tokens = [one.payload["token"] for one in since if one.event_type == "noted"]
            if json.loads(row[-1].rpartition("\n")[2])["tokens"] != tokens:
                yield f"{source} has the state {row[-1]} in it, whose tokens are {tokens}"


def _never_erased(finished: "Finished") -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for record in finished.wanted:
        if record.position <= finished.through(record.source):
            token = str(record.payload.get("token", record.event_type))
            found[record.source].append(token)
    over = {one.source for one in finished.log.lives if one.event_type == "actor-erased"}
    return {source: tokens for source, tokens in found.items() if source not in over}

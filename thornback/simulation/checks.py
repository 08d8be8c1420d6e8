"""What holds of every log, whatever ran: looked at by itself after each night.

The log is read by a decoder of its own (plain_rows.py).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from actors.ids import event_id
from actors.naming import aggregate_key_of
from runtime.wire.commands import PUBLISH
from store.memory_states import recounted
from store.selection import row_filter
from store.slots import SLOTS
from thornback.simulation.answers import Answered
from thornback.simulation.database import Database
from thornback.simulation.plain_rows import Record

#: Errors that say that nothing of the command was stored.
NOTHING_STORED = frozenset({
    "Rejected", "HandlerFailed", "InvalidMessage", "UnknownMessage", "UnknownActorType",
    "RowsRefused", "InvalidData", "PublishRefused", "InvalidName", "RetriesExhausted",
    "ActorErased", "ActorStopped", "HandlerBlocked",
})  # fmt: skip
#: The checkpoints of whoever delivers messages, and of whoever fires timers.
SERVICES = frozenset({"messages", "thornback.timers"})


def check_log(log: Sequence[Record]) -> Iterator[str]:
    """Positions are 1, 2, 3 ..., so are each source's versions, and no id is there twice."""
    for place, record in enumerate(log, 1):
        if record.position != place:
            yield f"position {record.position} stands at place {place} of the log"
    if len({record.id for record in log}) != len(log):
        yield "an event id is in the log twice"
    versions: dict[bytes, list[int]] = defaultdict(list)
    sources: dict[bytes, str] = {}
    for record in log:
        key = aggregate_key_of(record.source)
        versions[key].append(record.version)
        sources[key] = record.source
    for key, theirs in versions.items():
        if theirs != list(range(1, len(theirs) + 1)):
            yield f"{sources[key]} has the versions {theirs}"


def check_answers(log: Sequence[Record], answers: Sequence[Answered]) -> Iterator[str]:
    """What was acknowledged is in the log, as it was acknowledged, and once; of what was refused
    nothing is, unless a try of the same id had taken effect."""
    by_id = {record.id: record for record in log}
    acknowledged = {answer.id for answer in answers if not answer.error}
    for answer in answers:
        name = f"{answer.message_type} of {answer.source}"
        if answer.events is not None and not answer.error:
            for of_event, version, position in answer.events:
                found = by_id.get(of_event)
                if found is None:
                    yield f"{name} was acknowledged, and its event {position} is not in the log"
                elif (found.version, found.position) != (version, position):
                    yield (
                        f"{name} was acknowledged with version {version} at {position}, and the "
                        f"log has it as {found.version} at {found.position}"
                    )
            if answer.message_type != PUBLISH and event_id(answer.id, len(answer.events)) in by_id:
                yield f"{name} has more events in the log than it was acknowledged with"
        elif answer.error in NOTHING_STORED and answer.id not in acknowledged:
            first = answer.id if answer.message_type == PUBLISH else event_id(answer.id, 0)
            if first in by_id:
                yield f"{name} failed with {answer.error}, and is in the log"


def check_receipts(database: Database) -> Iterator[str]:
    """Whatever goes through the log has finished each event that it selects, and each once."""
    for record in database.subscriptions.all():
        program, _, number = record.name.rpartition("/")
        slot = int(number) if program and number.isdigit() and int(number) < SLOTS else None
        stretch = database.rows[record.began : record.position]
        wanted = recounted(stretch, record.selection, slot)
        if record.receipt != wanted:
            yield (
                f"{record.name} has finished {record.receipt.count} events up to position "
                f"{record.position}, and the log has {wanted.count} for it"
            )


def check_services(database: Database) -> Iterator[str]:
    """Messages between actors are delivered, and the table of timers is as far as the log."""
    for record in database.subscriptions.all():
        if record.name in SERVICES:
            match = row_filter(record.selection)
            waits = sum(map(match, database.rows[record.position :]))
            if waits:
                yield f"{record.name} has {waits} events before it, and does not come to them"

"""Actors that are stopped: nobody who is decides anything, whatever becomes of its host, until it
was started; and whoever was started is not stopped any more. By the log and by what drivers saw."""

from collections import Counter
from typing import TYPE_CHECKING

from actors.ids import event_id
from tests.simulation.history import Call, History
from tests.simulation.lives import REASON
from tests.simulation.log_index import LogIndex, same
from thornback.simulation.plain_rows import Record

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: What a ledger fails at.
_FAILING = {"break", "spoil", "take", "block"}


def judge_lives(log: LogIndex, simulation: "Simulation") -> list[str]:
    """What holds at any time."""
    calls = simulation.history.calls
    sent = Counter(call.id for call in calls)
    wrong: list[str] = []
    for source in log.by_source:
        wrong += _judge_order(source, log.by_source[source])
    asked = {event_id(call.id, 0): call for call in calls if call.kind == "life"}
    known = sent.keys() | {record.id for record in log.records}
    for record in log.lives:
        if record.event_type == "actor-erased":
            continue  # judge_erasing looks at it
        wrong += _judge_record(record, asked, known)
    for call in calls:
        name = f"call {call.number} ({call.kind} {call.message} to {call.source})"
        if call.kind == "life":
            wrong += [f"{name} {problem}" for problem in _judge_asked(log, call)]
        elif call.error == "HandlerFailed" and call.arguments[3:4] == ("stop",):
            if not any(
                record.event_type == "actor-stopped" and record.causation_id == call.id
                for record in log.by_source.get(call.source, [])
            ):
                wrong.append(f"{name} has stopped its actor, and the log does not say so")
        elif call.error in _ENDS and sent[call.id] == 1:
            wrong += [
                f"{name} {problem}" for problem in judge_stopped(log, call, simulation.history)
            ]
    return wrong


def _judge_order(source: str, records: list[Record]) -> list[str]:
    wrong, stopped, erased = [], False, False
    for record in sorted(records, key=lambda one: one.version):
        if record.event_type == "actor-erased":
            if erased:
                wrong.append(f"{source} is erased twice, as version {record.version}")
            stopped = erased = True
        elif record.event_type == "actor-started":
            if not stopped:
                wrong.append(
                    f"{source} is started as version {record.version}, and was not stopped"
                )
            stopped = erased = False
        elif stopped:
            wrong.append(f"{source} is stopped, and has {record.event_type} {record.version}")
        elif record.event_type == "actor-stopped":
            stopped = True
    return wrong


def _judge_record(record: Record, asked: dict[bytes, Call], known: set[bytes]) -> list[str]:
    name = f"event {record.position}, {record.event_type} of {record.source},"
    if record.event_type != "actor-failed" and not record.payload.get("message_type"):
        call = asked.get(record.id)
        wanted = {"actor-started": "Start", "actor-stopped": "Stop"}[record.event_type]
        if call is None or (call.source, call.message) != (record.source, wanted):
            return [f"{name} was asked for by nobody"]
        return [] if record.payload["reason"] == REASON else [f"{name} has another reason"]
    if record.payload["message_type"] not in _FAILING or record.causation_id not in known:
        return [f"{name} has come of nothing: {record.payload}"]
    return []


def _judge_asked(log: LogIndex, call: Call) -> list[str]:
    """What was acknowledged is in the log."""
    for one in call.events or ():
        record = log.by_id.get(one.id)
        if record is None or one.id != event_id(call.id, 0):
            return ["was acknowledged, and is not in the log"]
        if problem := same(one, record):
            return [f"was acknowledged with another {problem} than the log has"]
    if call.error and call.error not in _ASKED_ERRORS:
        return [f"failed with {call.error}{call.arguments}"]
    return []


def judge_stopped(log: LogIndex, call: Call, history: History) -> list[str]:
    """Whoever says that it is stopped was stopped, and not started since. But for a host of a
    system that was taken over: until it next appends, it rejects what it is sent out of an old
    state (docs/semantics.md, G7). So there the starts alone count that its own driver heard of,
    which is with the system that has done that, or with a later one."""
    started = [
        one.events[0].position
        for one in history.calls
        if (one.kind, one.message, one.source) == ("life", "Start", call.source)
        and one.events and one.ended < call.moment
        and (one.driver == call.driver or not history.replaced)
    ]  # fmt: skip
    since = max(started, default=0)
    stops = [
        record.position
        for record in log.by_source.get(call.source, [])
        if record.event_type == _ENDS[call.error] and record.position > since
    ]
    return [] if stops else [f"ends with {call.error}, and its actor was started at {since}"]


#: By error, what has happened then.
_ENDS = {"ActorStopped": "actor-stopped", "ActorErased": "actor-erased"}


_ASKED_ERRORS = {
    "AskTimeout", "HostUnavailable", "ActorsMoved", "StartFailed", "StoreUnavailable",
    "MailboxFull", "ConnectionClosed", "SystemReplaced", "RetriesExhausted", "NotPossible",
}  # fmt: skip

"""The checker: judges a history against the log. It shares no code with what it judges.

The log is read by a decoder of its own (plain_rows.py), and what a command has to do is said
again here, message by message.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from actors.naming import aggregate_key_of
from tests.simulation.heat import judge_heat
from tests.simulation.history import Call, History
from tests.simulation.judging_blocking import judge_blocking
from tests.simulation.judging_broadcasts import judge_broadcasts
from tests.simulation.judging_clocks import judge_clocks
from tests.simulation.judging_ending import PROCESS, judge_ending
from tests.simulation.judging_erasing import judge_erasing, tombstones
from tests.simulation.judging_finds import judge_finds
from tests.simulation.judging_followings import judge_followings
from tests.simulation.judging_groups import judge_groups
from tests.simulation.judging_hearing import judge_heard, judge_hearing
from tests.simulation.judging_lives import judge_lives
from tests.simulation.judging_messages import judge_delivered, judge_messages
from tests.simulation.judging_moves import judge_moves
from tests.simulation.judging_order import judge_order
from tests.simulation.judging_programs import judge_programs, judge_progress
from tests.simulation.judging_readings import judge_promptness, judge_readings
from tests.simulation.judging_rest import judge_idle, judge_replaced, judge_rest
from tests.simulation.judging_tables import judge_rebuilt, judge_tables
from tests.simulation.judging_timers import judge_fired, judge_timers
from tests.simulation.log_index import LIVES, LogIndex, effect_of, expected_error, must_fail, same
from tests.simulation.rests import judge_rests
from thornback.simulation.checks import NOTHING_STORED

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: Messages that have an effect, whatever the state is.
_EFFECTIVE = ("Note", "Demand", "Pass", "Wind", "Unwind", "Rent")
#: Errors that a repeat of what took effect is not answered with.
_DECIDED = {
    "Rejected", "HandlerFailed", "HandlerBlocked", "UnknownMessage", "ActorStopped",
    "ActorRestarting",
}  # fmt: skip
#: Errors that any command may be answered with: what is away, too much, or too late.
_PASSING = {
    "AskTimeout", "HostUnavailable", "ActorsMoved", "StartFailed", "StoreUnavailable",
    "MailboxFull", "ActorStopped", "ActorRestarting", "ActorErased",
}  # fmt: skip


def check(simulation: "Simulation") -> list[str]:
    """Everything that is wrong with what happened."""
    log = LogIndex(
        simulation.records(), simulation.database.epochs_of, tombstones(simulation.database)
    )
    history = simulation.history
    return [
        *history.complaints,
        *_judge_log(log, history),
        *_judge_answers(log, history),
        *judge_order(log, history, remembered=simulation.plan.setup.knobs["recent"]),
        *judge_clocks(log, history, simulation.plan.setup.dedicated),
        *judge_readings(log, history, simulation),
        *judge_followings(log, history, simulation),
        *judge_groups(log, history, simulation),
        *judge_programs(log, simulation),
        *judge_tables(log, simulation),
        *judge_messages(log, simulation),
        *judge_hearing(log, simulation),
        *judge_lives(log, simulation),
        *judge_erasing(log, simulation),
        *judge_broadcasts(log, simulation),
        *judge_finds(log, simulation),
        *judge_timers(log, simulation),
        *judge_moves(log, simulation),
        *judge_blocking(simulation),
        *judge_ending(log, simulation),
        *_judge_deadlines(history),
        *judge_rest(simulation),
        *judge_rests(history, simulation.plan.setup),
    ]


def check_idle(simulation: "Simulation", before_s: float) -> list[str]:
    """What is wrong before anybody says anything more: everybody has what was committed before
    then."""
    log = LogIndex(
        simulation.records(), simulation.database.epochs_of, tombstones(simulation.database)
    )
    committed_s = simulation.database.committed_s
    due = {record.position for record in log.records if committed_s[record.position - 1] < before_s}
    prompt = judge_promptness(log, simulation.history, due)
    return [
        *prompt,
        *judge_idle(simulation, due),
        *judge_progress(log, simulation, due),
        *judge_delivered(log, simulation, due),
        *judge_heard(log, simulation, due),
        *judge_fired(log, simulation, due),
        *judge_rebuilt(simulation),
        *judge_replaced(simulation),
        *judge_heat(simulation),
    ]


def _judge_log(log: LogIndex, history: History) -> list[str]:
    wrong = []
    for place, record in enumerate(log.records, 1):
        if record.position != place:
            wrong.append(f"position {record.position} stands at place {place}")
    if len(log.by_id) != len(log.records):
        wrong.append("an event id is in the log twice")
    versions: dict[bytes, list[int]] = defaultdict(list)  # by aggregate: two sources may share one
    for record in log.records:
        versions[aggregate_key_of(record.source)].append(record.version)
    wrong += [
        f"{source} has the versions {theirs}"
        for source in log.by_source
        if (theirs := versions[aggregate_key_of(source)]) != list(range(1, len(theirs) + 1))
    ]
    sent = {call.id: call for call in history.calls}
    asked = Counter(call.id for call in history.calls)
    wrong += [
        f"call {sent[command].number} is in the log, and was said not to be sent"
        for command in sorted(history.unsent & log.by_command.keys())
        if asked[command] == 1
    ]
    for record in log.records:
        if log.is_output(record) or log.is_of_message(record) or log.is_of_timer(record):
            continue  # judge_programs, judge_messages and judge_timers look at it
        if record.event_type in LIVES or record.source.startswith(PROCESS):
            continue  # judge_lives and judge_ending look at it
        call = sent.get(log.command_of(record))
        if call is None:
            wrong.append(f"nobody sent what event {record.position} came of: {record}")
        elif call.source != record.source:
            wrong.append(f"event {record.position} of {call.source} is in {record.source}")
    for command, records in log.by_command.items():
        call = sent.get(command)
        if call is not None and (problem := effect_of(call, records)):
            wrong.append(f"call {call.number} ({call.message}) {problem}")
    return wrong


def _judge_answers(log: LogIndex, history: History) -> list[str]:
    wrong = []
    by_id: dict[bytes, list[Call]] = defaultdict(list)
    acknowledged: dict[bytes, int] = {}  #: when each command was first
    for call in history.calls:
        by_id[call.id].append(call)
        if call.events:
            acknowledged[call.id] = min(call.ended, acknowledged.get(call.id, call.ended))
    for call in history.calls:
        if call.kind in ("state", "life"):
            continue
        if call.id in history.claimed:
            if call.events is not None or log.by_command.get(call.id):
                wrong.append(f"call {call.number} took effect though its second id is taken")
            elif call.error not in (
                "", *_PASSING, "RetriesExhausted", "ConnectionClosed",
                *(("SystemReplaced",) if history.replaced else ()),
            ):  # fmt: skip
                wrong.append(f"call {call.number} failed with {call.error}{call.arguments}")
        elif call.events is not None:
            wrong += _judge_success(log, call)
        elif call.error:
            closed = call.driver in history.closed and call.error == "ConnectionClosed"
            if not closed:
                alone = len(by_id[call.id]) == 1
                wrong += _judge_error(
                    log, call, acknowledged, alone=alone, replaced=history.replaced
                )
    return wrong


def _judge_success(log: LogIndex, call: Call) -> list[str]:
    assert call.events is not None
    stored = log.by_command.get(call.id, [])
    name = f"call {call.number} ({call.kind} {call.message} to {call.source})"
    wrong = []
    if call.after_close:
        wrong.append(f"{name} was made after close and answered")
    if must_fail(call):
        wrong.append(f"{name} was acknowledged and has to fail")
    if [one.id for one in call.events] != [record.id for record in stored]:
        wrong.append(
            f"{name} was acknowledged with the versions {[one.version for one in call.events]}"
            f" at {[one.position for one in call.events]}, the log has"
            f" {[(record.version, record.position) for record in stored]}"
        )
    else:
        for one, record in zip(call.events, stored, strict=True):
            if problem := same(one, record, erased=record.position in log.erased):
                wrong.append(f"{name} was acknowledged with another {problem} than the log has")
    if call.repeated and not stored:
        wrong.append(f"{name} was acknowledged as a repeat of what is not in the log")
    if not stored and call.message in _EFFECTIVE and not must_fail(call):
        wrong.append(f"{name} was acknowledged without effect")
    if call.revision == 2 and not call.repeated:
        old = [record.version for record in stored if record.payload.get("revision") != 2]
        if old:
            wrong.append(f"{name} was run by an older class than its driver had registered")
    return wrong


def _judge_error(
    log: LogIndex, call: Call, acknowledged: Mapping[bytes, int], *, alone: bool, replaced: bool
) -> list[str]:
    stored = log.by_command.get(call.id, [])
    name = f"call {call.number} ({call.kind} {call.message} to {call.source})"
    wrong = []
    if alone and stored and call.error in NOTHING_STORED:
        wrong.append(f"{name} failed with {call.error} and is in the log")
    if stored and call.error in _DECIDED and acknowledged.get(call.id, call.moment) < call.moment:
        wrong.append(f"{name} failed with {call.error}; it had been acknowledged before")
    expected = expected_error(call)
    if call.after_close:
        return [f"{name} was made after close and failed with {call.error}"]
    if call.error in _PASSING or (call.error == "SystemReplaced" and replaced):
        return wrong
    if call.error not in expected:
        wrong.append(f"{name} failed with {call.error}{call.arguments}, not one of {expected}")
    return wrong


def _judge_deadlines(history: History) -> list[str]:
    wrong = []
    for call in history.calls:
        if call.abandoned or call.deadline_s is None:
            continue
        name = f"call {call.number} ({call.kind} {call.message} to {call.source})"
        if call.ended_s is None:
            wrong.append(f"{name} of {call.driver} was never answered")
        elif call.ended_s > call.deadline_s:
            late_s = call.ended_s - call.deadline_s
            wrong.append(
                f"{name} ended {late_s:.2f} s after its deadline with {call.error or 'ok'}"
            )
    return wrong

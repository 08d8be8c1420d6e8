"""The order of one driver's commands to one actor, and the states that it was answered."""

from bisect import bisect_left
from collections import defaultdict
from typing import Any

from tests.simulation.history import Call, History
from tests.simulation.log_index import LogIndex

#: Faults that end a host's process, have it take itself for ended, or give its actors away.
_ENDING = {
    "crash", "replace", "epoch", "drain", "take", "move", "scale", "promote", "block", "ends",
}  # fmt: skip


def judge_order(log: LogIndex, history: History, *, remembered: int) -> list[str]:
    """What took effect did so in the order in which it was sent; where hosts remember all
    commands that there were, also what had been rejected when it was sent first."""
    sent: dict[bytes, int] = defaultdict(int)
    for call in history.calls:
        sent[call.id] += 1
    lines: dict[tuple[str, str, int], list[Call]] = defaultdict(list)
    ended = any(told.split()[0] in _ENDING for _, told in history.faults)
    forgotten = ended or len(history.calls) > remembered
    for call in history.calls:
        if call.message == "NoteIfOpen" and forgotten:
            continue  # decided anew, perhaps behind what followed it (decision 0048)
        # What was sent several times took effect by one of them, nobody can tell which.
        if sent[call.id] == 1 or call.kind == "state":
            lines[call.driver, call.source, call.group].append(call)
    wrong: list[str] = []
    for (driver, source, _), calls in lines.items():
        wrong += _judge_line(log, driver, source, calls)
        if not history.faults:
            # A question whose answer was lost is put again, and then sees what came later.
            wrong += _judge_later(source, calls)
    return wrong


def _judge_line(log: LogIndex, driver: str, source: str, calls: list[Call]) -> list[str]:
    wrong: list[str] = []
    reached, reached_by = 0, -1
    sure, sure_by = 0, -1
    versions = log.by_source.get(source, [])
    notes = [record.version for record in versions if record.event_type == "noted"]
    for call in calls:
        if call.kind == "state":
            if call.state is not None:
                wrong += _judge_state(log, call, bisect_left(notes, sure + 1), sure_by)
            continue
        stored = log.by_command.get(call.id)
        if not stored:
            continue
        if stored[0].version <= reached:
            wrong.append(
                f"{driver}'s call {call.number} to {source} took effect as version"
                f" {stored[0].version}, before its earlier call {reached_by} at {reached}"
            )
        if stored[-1].version > reached:
            reached, reached_by = stored[-1].version, call.number
            if call.events is not None:
                # What failed with an open outcome may come about after a state was told.
                sure, sure_by = reached, reached_by
    return wrong


def _judge_state(log: LogIndex, call: Call, least: int, reached_by: int) -> list[str]:
    """A state is the fold of a prefix of the log that has all that was sent before it."""
    assert call.state is not None
    tokens, noted = call.state["tokens"], log.tokens.get(call.source, [])
    fits = [at for at in _beginnings(log, call.source) if noted[at : at + len(tokens)] == tokens]
    if not fits:
        return [f"state {call.number} of {call.source} is the fold of no prefix: {tokens}"]
    shown = fits[-1] + len(tokens)
    if tokens and call.state["latest"] != (latest := _latest(log, call.source, shown)):
        return [f"state {call.number} of {call.source} has {call.state['latest']}, not {latest}"]
    if shown < least:
        return [
            f"state {call.number} of {call.source} has {len(tokens)} tokens, call {reached_by}"
            f" was sent before it and made it {least}"
        ]
    return []


def _beginnings(log: LogIndex, source: str) -> list[int]:
    """So many tokens were there each time that an actor began: first, and when it was erased."""
    ends = [
        record.version
        for record in log.by_source.get(source, [])
        if record.event_type == "actor-erased"
    ]
    notes = [record.version for record in log.noted.get(source, [])]
    return [0, *(bisect_left(notes, version) for version in ends)]


def _latest(log: LogIndex, source: str, count: int) -> dict[str, Any]:
    """What so many events leave: the parts of the last one as stored, and its token."""
    record = log.noted[source][count - 1]
    return {"marks": [*record.payload["parts"].get("marks", []), record.payload["token"]]}


def _judge_later(source: str, calls: list[Call]) -> list[str]:
    """A state shows nothing that its driver sent after it."""
    wrong: list[str] = []
    shown: dict[int, Call] = {}
    for call in calls:
        if call.kind == "state" and call.state is not None:
            for token in call.state["tokens"]:
                shown.setdefault(token, call)
        elif call.kind != "state" and (state := shown.get(call.fields.get("token", -1))):
            wrong.append(
                f"state {state.number} of {source} shows call {call.number}, which was sent later"
            )
    return wrong

"""Messages between actors: each takes effect once at its receiver or comes back once to its
sender, in order for each pair, with its causes and a greater clock. By code of its own, out of the
log alone."""

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from tests.simulation.log_index import RETURNS, LogIndex
from thornback.simulation.plain_rows import Record

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: What a message comes to, by how it is to be taken.
_EFFECT, _BACK, _NOTHING = "an effect", "a return", "nothing"
_WANTED = {
    "take": {_EFFECT}, "refuse": {_BACK}, "break": {_BACK}, "idle": {_NOTHING},
    "by turns": {_EFFECT, _BACK},
}  # fmt: skip


def judge_messages(log: LogIndex, simulation: "Simulation") -> list[str]:
    """What holds at any time."""
    wrong: list[str] = []
    last: dict[tuple[str, str], int] = {}
    for sent in log.sent:
        effect, backs = log.of_cause[sent.id], log.returns_of[sent.id]
        name = f"message {sent.position}"
        if len(backs) > 1 or (effect and backs):
            wrong.append(f"{name} has {len(effect)} events, and comes back {len(backs)} times")
        wrong += [f"{name} {problem}" for problem in _judge_effect(sent, effect)]
        wrong += [f"{name} {problem}" for back in backs for problem in _judge_back(log, sent, back)]
        pair = sent.source, sent.payload["to"]
        # What its receiver's state decides may be decided anew, behind what followed it.
        if effect and sent.payload["message"]["how"] != "by turns":
            if effect[0].position < last.get(pair, 0):
                wrong.append(f"{name} took effect before an earlier one of {pair}")
            last[pair] = effect[0].position
    for dead in _dead_letters(simulation):
        if dead not in log.by_id or log.by_id[dead].source != RETURNS:
            wrong.append("a dead letter is nothing that came back")
        elif log.of_cause[dead]:
            wrong.append(f"event {log.by_id[dead].position} is a dead letter, and was taken back")
    return wrong + _judge_receipt(log, simulation)


def _dead_letters(simulation: "Simulation") -> set[bytes]:
    """The ids of the events that nobody takes."""
    letters = simulation.database.letters._letters.values()
    return {letter.event_id for letter in letters if letter.parked.program == "messages"}


def judge_delivered(log: LogIndex, simulation: "Simulation", due: set[int]) -> list[str]:
    """All that was sent by then has come to something."""
    wrong = []
    dead = _dead_letters(simulation)
    stops = any(record.event_type == "actor-stopped" for record in log.lives)
    erased = {record.source for record in log.lives if record.event_type == "actor-erased"}
    for sent in log.sent:
        if sent.position not in due:
            continue
        backs = log.returns_of[sent.id]
        found = _EFFECT if log.of_cause[sent.id] else _BACK if backs else _NOTHING
        wanted = _WANTED[sent.payload["message"]["how"]]
        if found == _NOTHING and sent.position in log.erased:
            continue  # nobody knows any more what it was
        # An actor that was stopped refuses everything, as one does that was erased.
        refuses = stops or sent.payload["to"] in erased
        if found not in wanted and not (refuses and found == _BACK):
            how = sent.payload["message"]["how"]
            wrong.append(f"message {sent.position} ({how}) has come to {found}")
        for back in backs:
            taken = log.of_cause[back.id]
            over = sent.source in erased  # then nothing is told, or a dead letter has gone
            if back.position in due and not taken and back.id not in dead and not over:
                wrong.append(f"message {sent.position} came back, and its sender does not know")
    return wrong


def _judge_effect(sent: Record, effect: list[Record]) -> list[str]:
    """What its receiver has made of it: one event, and the next message where there is one."""
    if not effect:
        return []
    message, wrong = sent.payload["message"], []
    if {record.source for record in effect} != {sent.payload["to"]}:
        wrong.append(f"took effect at {[record.source for record in effect]}")
    wanted = ["taken", *(["message-sent"] if message["rest"] else [])]
    if (found := [record.event_type for record in effect]) != wanted:
        wrong.append(f"came to {found}")
    versions = [record.version for record in effect]
    if versions != list(range(versions[0], versions[0] + len(versions))):
        wrong.append(f"came to the versions {versions}")
    first = effect[0].payload
    if (first.get("token"), first.get("hop")) != (message["token"], message["hop"]):
        wrong.append(f"came to {first}")
    return wrong + [problem for record in effect for problem in _judge_cause(sent, record)]


def _judge_back(log: LogIndex, sent: Record, back: Record) -> list[str]:
    payload, wrong = back.payload, _judge_cause(sent, back)
    said = payload["sender"], payload["to"], payload["message"]
    if said != (sent.source, sent.payload["to"], sent.payload["message"]):
        wrong.append(f"comes back as {said}")
    taken = log.of_cause[back.id]
    if [record.event_type for record in taken] not in ([], ["taken-back"]):
        wrong.append(f"is taken back {len(taken)} times")
    for record in taken:
        wrong += _judge_cause(back, record)
        if (record.source, record.payload["hop"]) != (sent.source, sent.payload["message"]["hop"]):
            wrong.append(f"is taken back by {record.source}: {record.payload}")
    return wrong


def _judge_cause(cause: Record, effect: Record) -> list[str]:
    wrong = []
    if effect.position <= cause.position or effect.causation_id != cause.id:
        wrong.append(f"leads to {effect.position}, which does not follow it")
    if effect.correlation_id != cause.correlation_id:
        wrong.append(f"leads to {effect.position}, which is of another correlation")
    if any(ticks > effect.counts.get(node, 0) for node, ticks in _of_system(cause.counts).items()):
        wrong.append(f"leads to {effect.position}, which has not seen it")
    return wrong


def _of_system(counts: dict[str, int]) -> dict[str, int]:
    return {node: ticks for node, ticks in counts.items() if node.startswith("node-001.")}


def _judge_receipt(log: LogIndex, simulation: "Simulation") -> list[str]:
    kept = {record.name: record for record in simulation.database.subscriptions.all()}
    found: Any = kept.get("messages")
    if found is None:
        return []
    finished = [
        record
        for record in log.records
        if record.event_type in ("message-sent", "message-returned")
        and record.position <= found.position
    ]
    sums = [0, 0]
    for record in finished:
        digest = sha256(record.id).digest()
        for lane in (0, 1):
            sums[lane] += int.from_bytes(digest[8 * lane : 8 * lane + 8])
    digest = b"".join((each % 2**64).to_bytes(8) for each in sums)
    if (found.receipt.count, found.receipt.digest) != (len(finished), digest):
        return [f"the receipt of messages has {found.receipt.count}, the log {len(finished)}"]
    return []

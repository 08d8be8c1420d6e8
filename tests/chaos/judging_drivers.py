"""What has to be true of the log beside what drivers wrote down."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.chaos.history import EventRow, History, Problem, Sending
from tests.chaos.identity import event_ids

#: Commands that are rejected in some states: of a charger with a car, or of one without. One that a
#: host has rejected, and could tell nobody before it was killed, leaves no trace: its next
#: incarnation decides it anew, behind what followed it (docs/decisions/0048).
_REJECTED_WHERE_PLUGGED = {"plug-in": True, "unplug": False}


def driver_problems(history: History) -> Iterator[Problem]:
    """Every acknowledged command once, what was sent, and in its order."""
    for sendings in history.by_command.values():
        yield from _effect(history, sendings)
    yield from _order_of_each_driver(history)
    yield from _order_of_acknowledgements(history)


def first_positions(history: History) -> Mapping[bytes, int]:
    """Where the first event of each command is that has one."""
    return {
        command: effects[0].position
        for command, sent in history.by_command.items()
        if (effects := history.effects(command, sent[0].source))
    }


def _effect(history: History, sendings: Sequence[Sending]) -> Iterator[Problem]:
    """Of one command: in the log once or not at all, as it was acknowledged and as it was sent."""
    first = sendings[0]
    name = _name(first)
    rows = history.effects(first.id, first.source)
    ids = [row.id for row in rows]
    if ids != event_ids(first.id, len(ids)):
        yield Problem("duplicate", f"{name} has events that are not those of one effect")
    versions = [row.version for row in rows]
    if rows and versions != list(range(versions[0], versions[0] + len(rows))):
        yield Problem("reordering", f"the events of {name} do not follow one another")
    wanted = _wanted(first)
    if rows and wanted is not None:
        yield from _content(name, rows, wanted)
    acknowledged = [each for each in sendings if each.acknowledged]
    for each in acknowledged:
        yield from _as_acknowledged(history, each, len(rows))
    if acknowledged and wanted and not rows:
        yield Problem("loss", f"{name} was acknowledged, and the log has nothing of it")
    if rows and len(sendings) == 1 and first.outcome == "rejected":
        yield Problem("stranger", f"{name} was rejected, and the log has an effect of it")


def _as_acknowledged(history: History, sending: Sending, count: int) -> Iterator[Problem]:
    if len(sending.events) != count:
        said = f"{len(sending.events)} events, and the log has {count} of it"
        yield Problem("loss", f"{_name(sending)} was acknowledged with {said}")
    for told in sending.events:
        row = history.by_id.get(told.id)
        if row is None:
            yield Problem("loss", f"{_name(sending)}: event {told.id.hex()} is not in the log")
        elif (row.position, row.version) != (told.position, told.version):
            was = f"position {told.position}, version {told.version}"
            yield Problem("altered", f"{_name(sending)} was told {was}, and that is not in the log")


def _content(
    name: str, rows: Sequence[EventRow], wanted: Sequence[Mapping[str, Any]]
) -> Iterator[Problem]:
    if len(rows) != len(wanted):
        kind = "loss" if len(rows) < len(wanted) else "duplicate"
        yield Problem(kind, f"{name} has {len(rows)} events in the log instead of {len(wanted)}")
    elif [dict(row.data) for row in rows] != list(wanted):
        yield Problem("altered", f"{name} has other data in the log than it was sent with")


def _wanted(sending: Sending) -> list[Mapping[str, Any]] | None:
    """The data of the events that a command comes to; None where that depends on the state."""
    match sending.message_type:
        case "add":
            return [{"amount": sending.data["amount"]}]
        case "burst":
            return [{"amount": 1}] * int(sending.data["count"])
    return None


def _order_of_each_driver(history: History) -> Iterator[Problem]:
    """Of one driver to one actor. What it sent more than once has no one place in its order, and
    what was not acknowledged none that it was promised; what may be rejected may be decided anew
    behind what was sent after it."""
    positions = first_positions(history)
    last: dict[tuple[str, str], tuple[int, Sending]] = {}
    for each in sorted(history.sendings, key=lambda each: (each.driver, each.number)):
        if not each.acknowledged or len(history.by_command[each.id]) > 1:
            continue
        if each.id not in positions:  # nothing came of it
            continue
        way = each.driver, each.source
        position, before = last.get(way, (0, each))
        earlier = positions[each.id] < position
        if earlier and not _may_have_been_rejected(history, before, positions[each.id]):
            yield Problem(
                "reordering", f"{_name(each)} stands before {_name(before)}, sent earlier"
            )
        last[way] = positions[each.id], each


def _may_have_been_rejected(history: History, sending: Sending, until: int) -> bool:
    """Was its charger, at any place where the command may have been decided before that position,
    in a state in which it is rejected? Not before what was acknowledged when it was sent."""
    rejected_where = _REJECTED_WHERE_PLUGGED.get(sending.message_type)
    if rejected_where is None:
        return False
    known = max(
        (
            each.events[-1].position
            for each in history.sendings
            if each.events and each.answered_ns is not None and each.answered_ns < sending.sent_ns
        ),
        default=0,
    )
    plugged, states = False, [False]
    for row in history.events:
        if row.position >= until:
            break
        if row.source == sending.source and row.event_type in ("plugged-in", "unplugged"):
            plugged = row.event_type == "plugged-in"
            states = [plugged] if row.position <= known else [*states, plugged]
    return rejected_where in states


def _order_of_acknowledgements(history: History) -> Iterator[Problem]:
    """What was acknowledged before another command was sent, by whomever, stands before it:
    positions are in the order of commits."""
    sent: dict[bytes, int] = {}
    for each in history.sendings:
        sent[each.id] = min(each.sent_ns, sent.get(each.id, each.sent_ns))
    positions = first_positions(history)
    moments = [
        (each.answered_ns, 0, each.events[-1].position, each.id)
        for each in history.sendings
        if each.acknowledged and each.events and each.answered_ns is not None
    ]
    moments += [(sent[command], 1, at, command) for command, at in positions.items()]
    latest, whose = 0, b""
    for _, is_sent, position, command in sorted(moments):
        if not is_sent:
            latest, whose = max((latest, whose), (position, command))
        elif position < latest and command != whose:
            said = f"before {whose.hex()}, which had been acknowledged when it was sent"
            yield Problem("reordering", f"command {command.hex()} stands {said}")


def _name(sending: Sending) -> str:
    return f"{sending.message_type} {sending.id.hex()} of {sending.driver} to {sending.source}"

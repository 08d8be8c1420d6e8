"""Messages between actors: once in effect, in their order, and never more power than there is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from tests.chaos.history import EventRow, History, Problem
from tests.chaos.identity import event_id, event_ids, message_command_id

SENT, RETURNED = "message-sent", "message-returned"

#: Whose events messages that were returned are.
RETURNS = "messages/returned"

#: Messages that always come to something, whatever state their receiver is in.
_NEVER_IN_VAIN = {"request-power"}

_ROUNDING_KW = 1e-6


def message_problems(history: History) -> Iterator[Problem]:
    """All there is to say of them."""
    yield from _effects(history)
    yield from _power(history)


def receiver_of(row: EventRow) -> str | None:
    """To whom a message goes, or is returned; None for an event that is none."""
    if row.event_type == SENT:
        return str(row.data["to"])
    return str(row.data["sender"]) if row.event_type == RETURNED else None


def _effects(history: History) -> Iterator[Problem]:
    last: dict[tuple[str, str], int] = {}
    for row in history.events:
        receiver = receiver_of(row)
        if receiver is None:
            continue
        name = f"{row.data['message_type']} at {row.position} from {row.source} to {receiver}"
        command = message_command_id(row.id)
        returns = history.effects(row.id, RETURNS) if row.event_type == SENT else ()
        effects = [*history.effects(row.id, receiver), *returns]
        if _is_return(row, effects, command):
            continue
        if not effects and row.event_type == SENT and row.data["message_type"] in _NEVER_IN_VAIN:
            yield Problem("loss", f"{name} has had no effect and was not returned")
        if [each.id for each in effects] != event_ids(command, len(effects)):
            yield Problem("duplicate", f"{name} has events that are not those of one effect")
        if effects:
            first = effects[0].position
            if first < max(row.position, last.get((row.source, receiver), 0)):
                yield Problem("reordering", f"{name} took effect before what was sent before it")
            last[row.source, receiver] = first


def _is_return(sent: EventRow, effects: object, command: bytes) -> bool:
    """Was it returned, and nothing else?"""
    match effects:
        case [EventRow() as only]:
            return (
                only.event_type == RETURNED
                and only.id == event_id(command, 0)
                and UUID(str(only.data["sent"])).bytes == sent.id
            )
    return False


@dataclass
class _Site:
    """A load manager, as the log has it."""

    limit_kw: float = 0.0
    granted: dict[str, tuple[int, float]] = field(default_factory=dict)  #: by charger


def _power(history: History) -> Iterator[Problem]:
    """At every position: what a site has granted together. And in the end: who has it."""
    sites: dict[str, _Site] = {}
    asked: dict[tuple[str, int], int] = {}
    for row in history.of_sources("load-manager/"):
        site = sites.setdefault(row.source, _Site())
        charger, session = str(row.data.get("charger")), int(row.data.get("session", 0))
        match row.event_type:
            case "limit-set":
                site.limit_kw = row.data["kw"]
            case "power-queued":
                asked[charger, session] = asked.get((charger, session), 0) + 1
            case "power-granted":
                if charger in site.granted or not asked.get((charger, session)):
                    yield Problem("duplicate", f"{charger} is granted twice at {row.position}")
                asked[charger, session] = 0
                site.granted[charger] = session, row.data["kw"]
            case "power-released":
                held = site.granted.pop(charger, None) if row.data["kw"] else None
                if row.data["kw"] and held != (session, row.data["kw"]):
                    yield Problem(
                        "stranger", f"{charger} released what it had not ({row.position})"
                    )
        total = sum(kw for _, kw in site.granted.values())
        if total > site.limit_kw + _ROUNDING_KW:
            said = f"has granted {total:g} of {site.limit_kw:g} kW at position {row.position}"
            yield Problem("limit", f"{row.source} {said}")
    yield from _in_the_end(history, sites)


def _in_the_end(history: History, sites: Mapping[str, _Site]) -> Iterator[Problem]:
    """Nobody has power who has left, and who is still there with a grant knows of it."""
    plugged: dict[str, int | None] = {}
    charging: set[tuple[str, int]] = set()
    for row in history.of_sources("managed-charger/"):
        charger = row.source.partition("/")[2]
        match row.event_type:
            case "plugged-in":
                plugged[charger] = row.data["session"]
            case "unplugged":
                plugged[charger] = None
            case "charging-started":
                if (charger, row.data["session"]) in charging:
                    yield Problem("duplicate", f"{charger} started twice at {row.position}")
                charging.add((charger, row.data["session"]))
    for source, site in sites.items():
        for charger, (session, _) in site.granted.items():
            if plugged.get(charger) != session:
                yield Problem("loss", f"{source} was never told that {charger} has left")
            elif (charger, session) not in charging:
                yield Problem("loss", f"{charger} was never told what {source} has granted")

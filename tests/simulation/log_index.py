"""The log by id, by source and by command; and what each message has to do to it."""

from collections import defaultdict
from collections.abc import Set

from tests.simulation.companies import MEMBERS
from tests.simulation.history import Call, Seen
from tests.simulation.programs import PROGRAMS
from thornback.simulation.plain_rows import Record

#: The source of what says that messages were refused.
RETURNS = "messages/returned"
#: What the log says of an actor's own life.
LIVES = {"actor-failed", "actor-stopped", "actor-started", "actor-erased"}
#: What is left of the data of an event that was erased.
TOMBSTONE = {"$erased": True}


class LogIndex:
    """What the log says, for whoever judges it; of events that were erased, what they had said."""

    def __init__(
        self, records: list[Record], epochs_of: list[dict[str, int]], erased: Set[int] = frozenset()
    ) -> None:
        self.records = records
        self.erased = erased  #: positions of tombstones
        self.epochs_of = epochs_of
        self.by_id = {record.id: record for record in records}
        self.by_source: dict[str, list[Record]] = defaultdict(list)
        self.by_command: dict[bytes, list[Record]] = defaultdict(list)
        #: Messages between actors, and what came of them: by the id of what was sent, its returns;
        #: by the id of either, what its receiver has made of it.
        self.sent = [record for record in records if record.event_type == "message-sent"]
        self.returns_of: dict[bytes, list[Record]] = defaultdict(list)
        self.of_cause: dict[bytes, list[Record]] = defaultdict(list)
        self.lives = [record for record in records if record.event_type in LIVES]
        self._messages = messages = {record.id for record in self.sent}
        for record in records:
            if record.source == RETURNS:
                messages.add(record.id)
                self.returns_of[record.causation_id or b""].append(record)
        self._timers = {record.id for record in records if record.event_type == "timer-set"}
        for record in records:
            self.by_source[record.source].append(record)
            if self.is_output(record) or record.event_type in LIVES or self.is_of_timer(record):
                continue  # judge_programs, judge_lives and judge_timers look at them
            if self.is_of_message(record):
                self.of_cause[record.causation_id or b""].append(record)
                continue  # judge_messages looks at it
            self.by_command[self.command_of(record)].append(record)
        self.noted = {
            source: [record for record in theirs if record.event_type == "noted"]
            for source, theirs in self.by_source.items()
        }
        self.tokens = {
            source: [record.payload["token"] for record in theirs]
            for source, theirs in self.noted.items()
        }

    def is_output(self, record: Record) -> bool:
        """Has a stream program put it out, or whoever delivers messages?"""
        return record.source == RETURNS or record.source.partition("/")[0] in PROGRAMS | MEMBERS

    def is_of_message(self, record: Record) -> bool:
        """Has an actor made it of a message of another one, or of what it has heard?"""
        return record.causation_id in self._messages or record.source.startswith("ear/")

    def is_of_timer(self, record: Record) -> bool:
        """Is it what a timer has come to? judge_timers looks at it."""
        return record.causation_id in self._timers

    def command_of(self, record: Record) -> bytes:
        """The id of what caused it: a published event is its own command."""
        return record.id if record.event_type == "published" else record.causation_id or b""


def effect_of(call: Call, records: list[Record]) -> str:
    """What is wrong with a command's events, if it is in the log; "" if nothing is."""
    if call.kind == "publish" or call.message in _IN_FULL:
        return _IN_FULL[call.message](call, records) if call.message else _published(records)
    if len({record.source for record in records}) > 1:
        return "took effect in several actors"
    versions = [record.version for record in records]
    if versions != list(range(versions[0], versions[0] + len(versions))):
        return f"has the versions {versions}, with others between them"
    tokens = [(record.event_type, record.payload["token"]) for record in records]
    wanted = call.fields["times"] if call.message == "Note" else 1
    event_type = "opened" if call.message == "Open" else "noted"
    if tokens != [(event_type, call.fields["token"])] * wanted:
        return f"has the events {tokens}"
    if call.message not in _NOTING:
        return "has events and may not have any"
    return _parts_of(call, records)


def _published(records: list[Record]) -> str:
    return "" if len(records) == 1 else f"was published {len(records)} times"


def _passes(call: Call, records: list[Record]) -> str:
    """What is wrong with the events of a command that sends messages."""
    sent = [
        (record.payload["to"], record.payload["message"]["how"], record.payload["message"]["rest"])
        for record in records[1:]
    ]
    if sent != [(way[0], way[1], way[2:]) for way in call.fields["ways"]]:
        return f"has sent {sent}"
    types = [record.event_type for record in records]
    return "" if types == ["passed", *["message-sent"] * len(sent)] else f"has the events {types}"


def _winds(call: Call, records: list[Record]) -> str:
    """What is wrong with the events of a command that sets a timer, or cancels one."""
    set_ = call.message == "Wind"
    wanted = [["wound", "timer-set"]] if set_ else [["unwound", "timer-cancelled"], ["unwound"]]
    if (types := [record.event_type for record in records]) not in wanted:
        return f"has the events {types}"
    first, second = records[0].payload, records[-1].payload
    if (first["token"], second["key"]) != (call.fields["token"], call.fields["key"]):
        return f"has the events {first} and {second}"
    every_us = call.fields.get("every_ms") and call.fields["every_ms"] * 1000
    return "" if not set_ or second["every_us"] == every_us else f"has set {second}"


def _rents(call: Call, records: list[Record]) -> str:
    """What is wrong with the events of a tenant that sets a timer."""
    set_ = [(record.event_type, record.payload.get("key")) for record in records]
    return "" if set_ == [("timer-set", call.fields["key"])] else f"has the events {set_}"


#: Messages all of whose events are looked at by themselves.
_IN_FULL = {"Pass": _passes, "Wind": _winds, "Unwind": _winds, "Rent": _rents}


def _parts_of(call: Call, records: list[Record]) -> str:
    """What is wrong with the parts of events: they are a function of the command as sent."""
    sent = call.fields.get("parts", {})
    wanted = {"marks": [*sent["marks"], "handled"]} if sent else {}
    found = [record.payload["parts"] for record in records if record.event_type == "noted"]
    return "" if all(parts == wanted for parts in found) else f"has the parts {found}, not {wanted}"


def expected_error(call: Call) -> tuple[str, ...]:
    """The errors that the message itself calls for; none where it has to succeed."""
    if call.kind == "publish":
        wrong = "actor" if "actor" in call.fields else call.fields.get("bad", "")
        return _PUBLISH_ERRORS.get(wrong, ())
    if call.message == "Refuse" and call.fields["way"] in ("own class", "odd", "unspeakable"):
        return ("Rejected", "Overdrawn", "Odd", "Unspeakable")
    if call.message == "Demand" and call.fields["positive"] == 1:
        return ()
    return _ERRORS.get(call.message, ())


_PUBLISH_ERRORS = {
    "metadata": ("InvalidData", "PublishRefused"),
    "actor": ("PublishRefused",),
    "type": ("InvalidData",),
    "aggregate": ("PublishRefused",),  # unless it came before all that the actor decided
}
_ERRORS = {
    "Refuse": ("Rejected",),
    "Break": ("HandlerFailed",),
    "Block": ("HandlerBlocked",),
    "Spoil": ("HandlerFailed",),
    "Poison": ("RowsRefused",),
    "Unhandled": ("UnknownMessage",),
    "Demand": ("InvalidMessage",),
    "NoteUnlessFull": ("Rejected",),
    "NoteIfOpen": ("Rejected",),
}


#: Messages that keep a token, or may; and those that may as well fail.
_NOTING = {"Note", "NoteOnce", "NoteUnlessFull", "NoteIfOpen", "Open", "Demand", "Block"}
_OPEN = {"NoteUnlessFull", "NoteIfOpen", "Block"}


def must_fail(call: Call) -> bool:
    """Can it have no success?"""
    if call.message in _OPEN or call.fields.get("bad") == "aggregate":
        return False
    return bool(expected_error(call)) and "actor" not in call.fields


def same(seen: Seen, record: Record, *, erased: bool = False) -> str:
    """The first part in which an event as it was handed out differs from the log's; the data of one
    that was `erased` may be gone."""
    pairs = {
        "source": (seen.source, record.source),
        "version": (seen.version, record.version),
        "position": (seen.position, record.position),
        "event type": (seen.event_type, record.event_type),
        "data": (seen.data, record.payload),
        "clock": (seen.clock, record.counts),
        "timestamp": (seen.timestamp_us, record.timestamp_us),
    }
    if erased and seen.data == TOMBSTONE:
        del pairs["data"]
    return next((part for part, (one, other) in pairs.items() if one != other), "")

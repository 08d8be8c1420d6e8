"""A small history in which nothing is wrong, made by hand for the tests of the checker."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

from tests.chaos.history import CheckpointRow, EventRow, History, Seen, Sending, Told
from tests.chaos.identity import SLOTS, aggregate_id, event_id, message_command_id, slot
from tests.chaos.judging_derived import GROUPS, tallied
from tests.chaos.judging_followers import receipt

#: A command's milliseconds, and so those of all that follows from it.
_BEGAN_MS = 1_700_000_000_000


class MadeLog:
    """Commits what it is told to, one command after the other."""

    def __init__(self) -> None:
        self.events: list[EventRow] = []
        self.sendings: list[Sending] = []
        self._versions: dict[str, int] = {}
        self._outputs: dict[str, int] = {}
        self._now_ns = 0

    def command(
        self,
        source: str,
        message_type: str,
        data: Mapping[str, Any],
        *events: tuple[str, Mapping[str, Any]],
        driver: str = "driver-0-0",
    ) -> list[EventRow]:
        """One that is acknowledged with these events."""
        number = len(self.sendings)
        command = (_BEGAN_MS << 80 | 7 << 76 | 2 << 62 | number).to_bytes(16, "big")
        self._now_ns += 10
        sent_ns = self._now_ns
        rows = self._commit(source, command, command, events)
        self._now_ns += 10
        self.sendings.append(
            Sending(
                driver=driver,
                number=number,
                id=command,
                source=source,
                message_type=message_type,
                data=data,
                sent_ns=sent_ns,
                outcome="acknowledged",
                answered_ns=self._now_ns,
                events=[Told(id=r.id, position=r.position, version=r.version) for r in rows],
            )
        )
        return rows

    def message(self, sent: EventRow, *events: tuple[str, Mapping[str, Any]]) -> list[EventRow]:
        """A message takes effect at its receiver."""
        to = str(sent.data["sender" if sent.event_type == "message-returned" else "to"])
        return self._commit(to, message_command_id(sent.id), sent.id, events)

    def returned(self, sent: EventRow) -> EventRow:
        """A message is refused."""
        data = {
            "sender": sent.source,
            "to": sent.data["to"],
            "message_type": sent.data["message_type"],
            "message": sent.data["message"],
            "sent": str(UUID(bytes=sent.id)),
        }
        command = message_command_id(sent.id)
        return self._commit("messages/returned", command, sent.id, [("message-returned", data)])[0]

    def fired(self, timer: EventRow) -> list[EventRow]:
        """A timer fires, and the clock rings."""
        known = {name: timer.data[name] for name in ("key", "timer", "due_us")}
        events = [
            ("timer-fired", {**known, "occurrence": 0, "missed": 0}),
            ("rang", timer.data["message"]),
        ]
        return self._commit(timer.source, sha256(timer.id).digest()[:16], timer.id, events)

    def output(self, of: EventRow) -> None:
        """What the program makes of an event."""
        source = f"totals/group-{int.from_bytes(of.aggregate_id, 'big') % GROUPS}"
        count = self._outputs[source] = self._outputs.get(source, 0) + 1
        made = "totalled", {"count": count, "through": of.position}
        self._commit(source, sha256(of.id).digest()[:16], of.id, [made])

    def _commit(self, source: str, command: bytes, cause: bytes, events: Any) -> list[EventRow]:
        rows = []
        for number, (event_type, data) in enumerate(events):
            version = self._versions[source] = self._versions.get(source, 0) + 1
            position = len(self.events) + 1
            rows.append(
                EventRow(
                    position=position,
                    id=event_id(command, number),
                    aggregate_id=aggregate_id(source),
                    source=source,
                    version=version,
                    event_type=event_type,
                    kind="system" if event_type.startswith(("message-", "timer-")) else "device",
                    data=data,
                    causation_id=cause,
                    recorded_us=position,
                    at_us=position,
                )
            )
            self.events.append(rows[-1])
        return rows


def made_history() -> History:
    """Counters, cars at a site that has too little power for two of them, alarm clocks, and all who
    follow."""
    log = MadeLog()
    site, one, other = "load-manager/s", "managed-charger/one", "managed-charger/other"
    log.command(site, "set-limit", {"kw": 50.0}, ("limit-set", {"kw": 50.0}))
    for number in range(6):
        counter = f"counter/c-{number % 2}"
        log.command(counter, "add", {"amount": number}, ("added", {"amount": number}))
    log.command("counter/c-0", "burst", {"count": 3}, *[("added", {"amount": 1})] * 3)
    asked = _plug_in(log, site, one, 1, 40.0)
    [_, _, grant] = log.message(asked, *_queued("one", 1, 40.0), *_granted(one, 1, 40.0))
    log.message(grant, ("charging-started", {"session": 1, "kw": 40.0}))
    waiting = _plug_in(log, site, other, 1, 30.0)
    log.message(waiting, *_queued("other", 1, 30.0))
    unplugged = ("unplugged", {"session": 1, "kw": 40.0})
    left = log.command(one, "unplug", {}, unplugged, _sent(site, "release-power", "one", 1))[-1]
    released = "power-released", {"charger": "one", "session": 1, "kw": 40.0}
    [_, _, grant] = log.message(left, released, *_granted(other, 1, 30.0))
    log.message(grant, ("charging-started", {"session": 1, "kw": 30.0}))
    greedy = _plug_in(log, site, one, 2, 60.0)
    log.message(log.returned(greedy), ("power-denied", {"session": 2, "reason": "too much"}))
    _alarms(log)
    for event in [row for row in log.events if row.source.startswith("counter/")]:
        log.output(event)
    return _followed(History(events=log.events, sendings=log.sendings))


def _alarms(log: MadeLog) -> None:
    """One rings, one is wound anew and rings once, and one is stopped."""
    log.fired(_wound(log, "alarm/a-0", 1))
    _wound(log, "alarm/a-1", 1)
    again = _wound(log, "alarm/a-1", 2)
    _wound(log, "alarm/a-2", 1)
    nothing: Mapping[str, Any] = {}
    stopped = ("stopped", nothing), ("timer-cancelled", {"key": "bell"})
    log.command("alarm/a-2", "stop-bell", {}, *stopped)
    log.fired(again)


def _wound(log: MadeLog, clock: str, number: int) -> EventRow:
    timer = {
        "key": "bell", "timer": f"timer-{clock}-{number}", "due_us": 1, "every_us": None,
        "missed": "once", "message_type": "ring", "message": {"number": number},
    }  # fmt: skip
    wound: Mapping[str, Any] = {"number": number}
    events = ("wound", wound), ("timer-set", timer)
    return log.command(clock, "wind", {"after_s": 1.0}, *events)[-1]


def _plug_in(log: MadeLog, site: str, charger: str, session: int, kw: float) -> EventRow:
    name = charger.partition("/")[2]
    plugged = "plugged-in", {"site": "s", "session": session, "kw": kw}
    sent = _sent(site, "request-power", name, session, kw)
    return log.command(charger, "plug-in", {"site": "s", "kw": kw}, plugged, sent)[-1]


def _sent(
    to: str, message_type: str, charger: str, session: int, kw: float | None = None
) -> tuple[str, Mapping[str, Any]]:
    message = {"charger": charger, "session": session} | ({} if kw is None else {"kw": kw})
    return "message-sent", {"to": to, "message_type": message_type, "message": message}


def _queued(charger: str, session: int, kw: float) -> list[tuple[str, Mapping[str, Any]]]:
    return [("power-queued", {"charger": charger, "session": session, "kw": kw})]


def _granted(to: str, session: int, kw: float) -> list[tuple[str, Mapping[str, Any]]]:
    name = to.partition("/")[2]
    message = {"session": session, "kw": kw}
    granted = "power-granted", {"charger": name, "session": session, "kw": kw}
    return [
        granted,
        ("message-sent", {"to": to, "message_type": "grant-power", "message": message}),
    ]


def _followed(history: History) -> History:
    """A subscriber that was killed in the middle, the slots of a program, and the projection."""
    counters = [row for row in history.events if row.source.startswith("counter/")]
    seen = [Seen(position=row.position, id=row.id) for row in counters]
    head = len(history.events)
    checkpoints = [_checkpoint("ledger", counters, head)]
    for number in range(SLOTS):
        mine = [row for row in counters if slot(row.aggregate_id) == number]
        checkpoints.append(_checkpoint(f"totals/{number}", mine, head))
    return History(
        events=history.events,
        sendings=history.sendings,
        seen={"ledger": [seen[:5], seen[3:]]},
        checkpoints=checkpoints,
        tallies=list(tallied(history).values()),
    )


def _checkpoint(name: str, rows: list[EventRow], head: int) -> CheckpointRow:
    count, digest = receipt(row.id for row in rows)
    return CheckpointRow(
        name=name,
        event_types=[],
        sources=["counter/*"],
        kinds=[],
        began=0,
        position=head,
        finished=count,
        digest=digest,
    )

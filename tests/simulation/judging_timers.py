"""Timers: each fires once, in its place and not before its time, as long as it is neither cancelled
nor set anew, and none is forgotten. By code of its own, out of the log alone."""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID

from runtime.topology.names import host_name
from runtime.topology.placement import shard_of
from tests.simulation.log_index import LogIndex
from tests.simulation.timers import AWAY_FIRST
from tests.simulation.waking import FIRST as WAKING_FIRST
from tests.simulation.waking import MOVES
from thornback.simulation.plain_rows import Record
from thornback.simulation.simulated_world import BEGIN_US

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: Microseconds in which what is due fires, when nothing goes wrong any more.
PROMPT_US = 20_000_000
#: Microseconds in which what waits for its actor fires behind that one's start, when nothing goes
#: wrong: less than it would rest.
WOKEN_US = 6_000_000

#: What the place in the log of whoever fires them is called.
_CHECKPOINT = "thornback.timers"
#: What says whether an actor is stopped.
_LIVES = ("actor-started", "actor-stopped")
#: The year 2000, from which rows count.
_ROWS_BEGIN_US = 946_684_800_000_000


@dataclass(frozen=True)
class _Running:
    """A timer that is to fire."""

    set: Record
    occurrence: int
    due_us: int
    rings: int = 0


def judge_timers(log: LogIndex, simulation: "Simulation") -> list[str]:
    """What holds at any time."""
    wrong: list[str] = _judge_receipt(log, simulation)
    for source, records in log.by_source.items():
        if source.startswith("bell/"):
            wrong += _follow(records)[0]
        if source.startswith(f"bell/{AWAY_FIRST // 1_000}"):
            wrong += _judge_others(records, simulation)
        if source.startswith(f"bell/{WAKING_FIRST // 1_000}"):
            wrong += _judge_woken(records, simulation)
    return wrong


def _judge_woken(records: list[Record], simulation: "Simulation") -> list[str]:
    """What was due before its actor was started fires soon behind that, and not when it would have
    been tried again."""
    if not {fault.kind for fault in simulation.plan.faults} <= MOVES:
        return []
    wrong, due_us, started_us = [], None, None
    for record in records:
        match record.event_type:
            case "timer-set":
                due_us = record.payload["due_us"]
            case "actor-started":
                started_us = record.timestamp_us + _ROWS_BEGIN_US
            case "timer-fired" if started_us is not None and due_us is not None:
                late_us = record.timestamp_us + _ROWS_BEGIN_US - max(started_us, due_us)
                if late_us > WOKEN_US:
                    name = f"event {record.position} of {record.source}"
                    wrong.append(f"{name} comes {late_us / 1e6:.3f} s behind its actor's start")
    return wrong


def _judge_others(records: list[Record], simulation: "Simulation") -> list[str]:
    """A timer that was fired by a host that is not away was not held up by one that is, but for as
    long as its actor was there."""
    wrong = []
    left_us = _left_us(records[0].source, host_name(0), simulation)
    for record in records:
        fired_us = record.timestamp_us + _ROWS_BEGIN_US
        if record.event_type != "timer-fired" or [*record.counts][-1].endswith(host_name(0)):
            continue
        late_us = fired_us - max(
            [record.payload["due_us"], *(left for left in left_us if left <= fired_us)]
        )
        if late_us > PROMPT_US:
            name = f"event {record.position} of {record.source}"
            wrong.append(f"{name} comes {late_us / 1e6:.3f} s late, and its host was there")
    return wrong


def _left_us(source: str, host: str, simulation: "Simulation") -> list[int]:
    """When the shard of an actor was moved from a host."""
    database, shard = simulation.database, shard_of(source)
    owners = [table.hosts[shard] for _, table in database.shard_moves]
    return [
        BEGIN_US + int(moved_s * 1e6)
        for before, now, moved_s in zip(
            owners, owners[1:], database.shards_moved_s[1:], strict=False
        )
        if before == host != now
    ]


def judge_fired(log: LogIndex, simulation: "Simulation", due: set[int]) -> list[str]:
    """Nothing that is due waits, by whatever clock of the system; and the table of those that are
    to fire is what the log says."""
    names = ["timekeeper", *simulation.topology.hosts]
    slowest_us = min(simulation.jumped_us.get(name, 0) for name in names)
    now_us = BEGIN_US + int(simulation.loop.time() * 1e6) + slowest_us
    wrong, running = [], {}
    for source, records in log.by_source.items():
        if not source.startswith("bell/"):
            continue
        lives = [each.event_type for each in records if each.event_type in _LIVES]
        stopped = lives[-1:] == ["actor-stopped"]  # its timers wait
        for key, timer in _follow(records)[1].items():
            running[source, key] = timer
            if timer.due_us < now_us - PROMPT_US and not stopped:
                late_s = (now_us - timer.due_us) / 1e6
                wrong.append(f"timer {key} of {source} is {late_s:.3f} s late, and does not fire")
    kept = {
        name: (UUID(bytes=timer.timer), timer.occurrence, timer.due_us)
        for name, timer in simulation.database.timers._timers.items()
        if not name[0].startswith("tenant/")  # judge_erasing looks at those
    }
    told = {
        name: (UUID(timer.set.payload["timer"]), timer.occurrence, timer.due_us)
        for name, timer in running.items()
    }
    if kept != told and all(record.position in due for record in log.records):
        wrong.append(f"the timers that are kept are {kept}, the log has {told}")
    return wrong


def _follow(records: list[Record]) -> tuple[list[str], dict[str, _Running]]:
    """What is wrong with the events of one bell, and the timers that are left."""
    wrong: list[str] = []
    running: dict[str, _Running] = {}
    place = 0
    while place < len(records):
        record, payload = records[place], records[place].payload
        place += 1
        match record.event_type:
            case "timer-set":
                running[payload["key"]] = _Running(record, 0, payload["due_us"])
            case "unwound":
                behind = [(each.event_type, each.payload) for each in records[place : place + 1]]
                cancelled = ("timer-cancelled", {"key": payload["key"]}) in behind
                if payload["key"] in running and not cancelled:
                    name = f"event {record.position} of {record.source}"
                    wrong.append(f"{name} cancels nothing, and {running[payload['key']]} runs")
            case "timer-cancelled":
                if running.pop(payload["key"], None) is None:
                    name = f"event {record.position} of {record.source}"
                    wrong.append(f"{name} cancels what is none: {payload}")
            case "timer-fired" | "timer-skipped":
                name = f"event {record.position} of {record.source} ({record.event_type})"
                timer = running.get(payload["key"])
                if timer is None or timer.set.payload["timer"] != payload["timer"]:
                    wrong.append(f"{name} is of no timer that runs: {payload}")
                    continue
                turned, problems = _turn(record, payload, timer)
                effect = _effect_of(records, place, record)
                problems += _judge_effect(record, payload, timer, effect)
                rang = [each.event_type for each in effect[:1]] == ["rang"]
                place += rang
                if turned is None:
                    del running[payload["key"]]
                else:
                    running[payload["key"]] = replace(turned, rings=timer.rings + rang)
                wrong += [f"{name} {problem}" for problem in problems]
            case "rang":
                wrong.append(f"event {record.position} of {record.source} is of no timer")
    return wrong, running


def _turn(
    record: Record, payload: dict[str, Any], timer: _Running
) -> tuple[_Running | None, list[str]]:
    """The timer after it has fired, or was skipped, and what is wrong with that."""
    wrong = []
    every_us, how = timer.set.payload["every_us"], timer.set.payload["missed"]
    if (payload["occurrence"], payload["due_us"]) != (timer.occurrence, timer.due_us):
        wrong.append(f"is of {payload}, and not of {timer}")
    late_us = record.timestamp_us + _ROWS_BEGIN_US - timer.due_us
    if late_us < 0:
        wrong.append(f"comes {-late_us} us before its time")
    missed = late_us // every_us if every_us and how != "all" else 0
    skipped = missed > 0 and how == "skip"
    if skipped != (record.event_type == "timer-skipped"):
        wrong.append(f"comes {late_us} us late, of {timer}")
    steps = missed + 1
    if payload["missed"] != (steps if skipped else missed):
        wrong.append(f"has missed {payload['missed']}, and not {missed}")
    next_us = timer.due_us + steps * every_us if every_us else None
    if payload.get("next_us") != next_us:
        wrong.append(f"is next at {payload.get('next_us')}, and not at {next_us}")
    if next_us is None:
        return None, wrong
    turned = replace(timer, occurrence=timer.occurrence + steps, due_us=next_us)
    return turned, wrong


def _effect_of(records: list[Record], place: int, fired: Record) -> list[Record]:
    """The events that stand behind it, of the same cause and the same commit of its actor, up to
    the next that says what has become of a timer."""
    found = []
    for record in records[place:]:
        if record.causation_id != fired.causation_id or record.event_type in (
            "timer-fired", "timer-skipped",
        ):  # fmt: skip
            break
        found.append(record)
    return found


def _judge_effect(
    fired: Record, payload: dict[str, Any], timer: _Running, effect: list[Record]
) -> list[str]:
    """What a bell has made of it."""
    message = timer.set.payload["message"]
    types = [record.event_type for record in effect]
    how = message["how"] if fired.event_type == "timer-fired" else "skipped"
    last = timer.rings + 1 >= message["limit"] and timer.set.payload["every_us"]
    wanted, error = {
        "ring": (["rang", *(["timer-cancelled"] if last else [])], None),
        "again": (["rang", "timer-set"], None),
        "refuse": ([], "Rejected"),
        "break": ([], "HandlerFailed"),
        "spoil": ([], "HandlerFailed"),
        "skipped": ([], None),
    }[how]
    wrong = []
    if types != wanted or payload.get("error") != error:
        wrong.append(f"({how}) comes to {types} with {payload.get('error')}")
    if effect and effect[0].payload.get("token") != message["token"]:
        wrong.append(f"comes to {effect[0].payload}")
    for record in (fired, *effect):
        if record.causation_id != timer.set.id:
            wrong.append("does not follow from its timer")
        if record.correlation_id != timer.set.correlation_id:
            wrong.append("is of another correlation")
        if record.timestamp_us != fired.timestamp_us:
            wrong.append("comes to something of another moment")
    return wrong


def _judge_receipt(log: LogIndex, simulation: "Simulation") -> list[str]:
    """What was filed is what the log has, each once."""
    kept = [one for one in simulation.database.subscriptions.all() if one.name == _CHECKPOINT]
    wrong = []
    for found in kept:
        filed = [
            record.id
            for record in log.records
            if record.event_type.startswith("timer-") and record.position <= found.position
        ]
        digests = [sha256(each).digest() for each in filed]
        sums = (sum(int.from_bytes(each[at : at + 8]) for each in digests) for at in (0, 8))
        digest = b"".join((each % 2**64).to_bytes(8) for each in sums)
        if (found.receipt.count, found.receipt.digest) != (len(filed), digest):
            wrong.append(f"the receipt of timers has {found.receipt.count}, the log {len(filed)}")
    return wrong

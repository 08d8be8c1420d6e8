"""Timers: each fires once, in its place and not before its time, as long as it is neither cancelled
nor set anew, and none is forgotten."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actors.lifecycle import ERASED, STARTED, STOPPED
from thornback.simulation.plain_rows import Record

#: Microseconds in which what is due fires, when nothing goes wrong any more.
PROMPT_US = 60_000_000
#: The year 2000, from which rows count.
ROWS_BEGIN_US = 946_684_800_000_000
#: Behind them an actor takes nothing, until it is started.
_ENDS = (STOPPED, ERASED)


@dataclass(frozen=True, slots=True)
class _Running:
    timer: str
    occurrence: int
    due_us: int
    every_us: int | None
    missed: str


def check_timers(log: Sequence[Record], now_us: int) -> Iterator[str]:
    """What is wrong with the timers of all actors; `now_us` is what the slowest clock says."""
    by_source: dict[str, list[Record]] = defaultdict(list)
    for record in log:
        if record.kind == "system":
            by_source[record.source].append(record)
    for source, records in by_source.items():
        running: dict[str, _Running] = {}
        takes_none = False
        for record in records:
            takes_none = record.event_type in _ENDS or (takes_none and record.event_type != STARTED)
            yield from _follow(record, running)
        for key, timer in running.items():
            if not takes_none and timer.due_us < now_us - PROMPT_US:
                late_s = (now_us - timer.due_us) / 1e6
                yield f"the timer {key!r} of {source} is {late_s:,.0f} s late, and does not fire"


def _follow(record: Record, running: dict[str, _Running]) -> Iterator[str]:
    if record.event_type == ERASED:
        running.clear()
    if not record.event_type.startswith("timer-") or record.erased:
        return
    payload = record.payload
    match record.event_type:
        case "timer-set":
            running[payload["key"]] = _Running(
                payload["timer"], 0, payload["due_us"], payload["every_us"], payload["missed"]
            )
        case "timer-cancelled":
            running.pop(payload["key"], None)
        case "timer-fired" | "timer-skipped":
            yield from _turn(record, payload, running)


def _turn(record: Record, payload: dict[str, Any], running: dict[str, _Running]) -> Iterator[str]:
    name = f"event {record.position} of {record.source} ({record.event_type} {payload['key']!r})"
    timer = running.get(payload["key"])
    if timer is None or timer.timer != payload["timer"]:
        yield f"{name} is of no timer that runs"
        return
    if (payload["occurrence"], payload["due_us"]) != (timer.occurrence, timer.due_us):
        yield f"{name} fires occurrence {payload['occurrence']}, and {timer.occurrence} is next"
    early_us = timer.due_us - record.timestamp_us - ROWS_BEGIN_US
    if early_us > 0:
        yield f"{name} comes {early_us} us before its time"
    next_us = payload.get("next_us")
    if (next_us is None) != (timer.every_us is None):
        yield f"{name} is next at {next_us}"
    if next_us is None or timer.every_us is None:
        del running[payload["key"]]
        return
    steps = (next_us - timer.due_us) // timer.every_us
    running[payload["key"]] = replace(timer, occurrence=timer.occurrence + steps, due_us=next_us)

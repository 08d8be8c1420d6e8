"""What is checked after each simulated night finds what is wrong with a log."""

import json
from typing import Any
from uuid import UUID

from actors.ids import event_id
from thornback.simulation.answers import Answered
from thornback.simulation.checks import check_answers, check_log
from thornback.simulation.plain_rows import Record
from thornback.simulation.timer_checks import ROWS_BEGIN_US, check_timers

COMMAND = UUID(int=1 << 100).bytes


def record(
    position: int, version: int, event_type: str = "noted", kind: str = "device", **more: Any
) -> Record:
    timestamp_us = more.pop("timestamp_us", 0)
    return Record(
        id=more.pop("id", position.to_bytes(16)), aggregate_id=b"", version=version,
        timestamp_us=timestamp_us - ROWS_BEGIN_US, recorded_us=0, position=position,
        event_type=event_type, kind=kind, source="meter/1", data=json.dumps(more).encode(),
        clock=b"{}", correlation_id=None, causation_id=None, metadata=None,
    )  # fmt: skip


def test_a_log_is_without_gaps_and_doubles() -> None:
    good = [record(1, 1), record(2, 2)]
    assert not list(check_log(good))
    assert list(check_log([record(1, 1), record(3, 2)]))
    assert list(check_log([record(1, 1), record(2, 3)]))
    assert list(check_log([record(1, 1), record(2, 2, id=(1).to_bytes(16))]))


def test_what_was_answered_is_what_the_log_has() -> None:
    first = event_id(COMMAND, 0)
    log = [record(1, 1, id=first)]
    said = Answered("meter/1", "note", COMMAND, "", [(first, 1, 1)])
    assert not list(check_answers(log, [said]))
    assert list(check_answers([], [said]))
    assert list(check_answers([record(1, 2, id=first)], [said]))
    more = [*log, record(2, 2, id=event_id(COMMAND, 1))]
    assert list(check_answers(more, [said]))
    refused = Answered("meter/1", "note", COMMAND, "Rejected", None)
    assert list(check_answers(log, [refused]))
    assert not list(check_answers(log, [said, refused]))
    assert not list(check_answers([], [refused]))


def test_a_timer_fires_once_and_not_before_its_time() -> None:
    facts: dict[str, Any] = {"key": "k", "timer": "t"}
    begun = record(1, 1, "timer-set", "system", due_us=100, every_us=None, missed="once", **facts)

    def fired(position: int, at_us: int, occurrence: int = 0) -> Record:
        return record(
            position, position, "timer-fired", "system", timestamp_us=at_us, due_us=100,
            occurrence=occurrence, next_us=None, **facts,
        )  # fmt: skip

    late_us = 100 + 61_000_000
    assert not list(check_timers([begun, fired(2, 100)], late_us))
    assert list(check_timers([begun, fired(2, 99)], late_us))
    assert list(check_timers([begun, fired(2, 100), fired(3, 101)], late_us))
    assert list(check_timers([begun, fired(2, 100, occurrence=1)], late_us))
    assert list(check_timers([begun], late_us))
    assert not list(check_timers([begun], 100))
    assert not list(check_timers([begun, record(2, 2, "actor-stopped", "system")], late_us))
    erased = record(2, 2, "actor-erased", "system")
    assert not list(check_timers([begun, erased], late_us))
    started = record(3, 3, "actor-started", "system")
    assert not list(check_timers([begun, erased, started], late_us))
    assert list(check_timers([begun, erased, started, fired(4, 100)], late_us))
    cancelled = record(2, 2, "timer-cancelled", "system", key="k")
    assert not list(check_timers([begun, cancelled], late_us))
    assert list(check_timers([begun, cancelled, fired(3, 100)], late_us))


def test_tombstones_say_nothing_of_timers_and_who_is_erased_has_none() -> None:
    gone = {"$erased": True}
    tombs = [
        record(1, 1, "timer-set", "system", **gone),
        record(2, 2, "timer-fired", "system", **gone),
    ]
    erased = record(3, 3, "actor-erased", "system")
    started = record(4, 4, "actor-started", "system")
    assert not list(check_timers([*tombs, erased, started], 100))
    facts: dict[str, Any] = {"due_us": 100, "every_us": None, "missed": "once"}
    begun = record(1, 1, "timer-set", "system", key="k", timer="t", **facts)
    late_us = 100 + 61_000_000
    assert not list(check_timers([begun, erased, started], late_us))
    again = record(5, 5, "timer-set", "system", key="k", timer="u", **facts)
    assert list(check_timers([begun, erased, started, again], late_us))

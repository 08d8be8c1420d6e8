"""Subscriptions: each event once, in order, without a gap."""

from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from tests.simulation.history import History, Reading
from tests.simulation.log_index import LogIndex, same
from thornback.simulation.plain_rows import Record

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


def judge_readings(log: LogIndex, history: History, simulation: "Simulation") -> list[str]:
    """Every subscription by itself."""
    wrong: list[str] = []
    for reading in history.readings:
        wrong += _judge(log, reading)
    return wrong


def judge_promptness(log: LogIndex, history: History, due: Collection[int]) -> list[str]:
    """Whoever stayed has what is due, at these positions, though nothing has come after it."""
    wrong = []
    for reading in history.readings:
        if _complete(reading) and not reading.error:
            begin = reading.head if reading.after is None else reading.after
            given = {event.position for event in reading.events}
            wanted = {one.position for one in log.records if _wants(reading, one)} - log.erased
            missing = sorted(
                one for one in wanted.intersection(due) - given if begin < one and begin >= 0
            )
            if missing:
                name = f"subscription {reading.number} of {reading.driver}"
                wrong.append(f"{name} waits for {missing[:5]}, and nobody says anything")
    return wrong


def _judge(log: LogIndex, reading: Reading) -> list[str]:
    name = f"subscription {reading.number} of {reading.driver}"
    # Of what was erased nobody has to hear; who has, had it before.
    wanted = [
        record
        for record in log.records
        if _wants(reading, record) and record.position not in log.erased
    ]
    positions = [one.position for one in reading.events if one.position not in log.erased]
    wrong: list[str] = []
    for event in reading.events:
        record = log.by_id.get(event.id)
        if record is None:
            wrong.append(f"{name} was given event {event.position}, which is not in the log")
        elif problem := same(event, record):
            wrong.append(f"{name} was given event {event.position} with another {problem}")
    if reading.after is not None:
        expected = [record.position for record in wanted if record.position > reading.after]
    else:
        # From now on: what was committed while it subscribed may come or not.
        first = positions[0] if positions else reading.head + 1
        expected = [record.position for record in wanted if record.position >= first]
        missed = [one for one in wanted if reading.head < one.position < first]
        if missed and (positions or _complete(reading)):
            wrong.append(f"{name} missed {[one.position for one in missed][:5]} at its beginning")
    if positions != expected[: len(positions)]:
        wrong.append(f"{name} was given {positions}, not {expected[: len(positions)]}")
    elif _complete(reading) and len(positions) < len(expected):
        wrong.append(
            f"{name} stayed and was not given {expected[len(positions) :][:5]}"
            f" (its position is {reading.position}; {reading.error})"
        )
    return wrong


def _complete(reading: Reading) -> bool:
    """Did it stay to the end?"""
    return reading.stays and not reading.closed and not reading.abandoned


def _wants(reading: Reading, record: Record) -> bool:
    return fnmatchcase(record.event_type, reading.event_types) and fnmatchcase(
        record.source, reading.sources
    )

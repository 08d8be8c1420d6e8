"""Reads what a run has left behind: Postgres by SQL, and the files of drivers and subscribers.

Each incarnation of a driver has a file of its own, `driver-0-2.jsonl` (the second after the first
of driver 0), and so has each reader of a subscription, `ledger-1.jsonl`. A line is written before
what it says is acted on, in one call; whoever was killed in the middle of one has not done it yet.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg

from tests.chaos.history import (
    CheckpointRow,
    ClockSet,
    EventRow,
    History,
    Seen,
    Sending,
    TallyRow,
    Told,
)

_EVENTS = """
SELECT position, id, aggregate_id, source, version, event_type, kind, event_data, causation_id,
    (extract(epoch FROM recorded_at) * 1000000)::bigint AS recorded_us,
    (extract(epoch FROM timestamp) * 1000000)::bigint AS at_us
FROM events ORDER BY position, id
"""
_CHECKPOINTS = """
SELECT name, event_types, sources, kinds, began, position, finished, digest
FROM subscriptions ORDER BY name
"""
_TALLIES = "SELECT key, events, amount, through FROM projections.tallies ORDER BY key"


async def read_history(url: str, records: Path) -> History:
    """Of a run that is over."""
    connection = await asyncpg.connect(url, timeout=60.0)
    try:
        events = [_event(row) for row in await connection.fetch(_EVENTS)]
        checkpoints = [_checkpoint(row) for row in await connection.fetch(_CHECKPOINTS)]
        tallies = [TallyRow(**dict(row)) for row in await connection.fetch(_TALLIES)]
    finally:
        await connection.close()
    zero_us, clocks = clocks_in(records)
    return History(
        events=events,
        zero_us=zero_us,
        clocks=clocks,
        sendings=sendings_in(records),
        seen=seen_in(records),
        checkpoints=checkpoints,
        tallies=tallies,
    )


def sendings_in(records: Path) -> list[Sending]:
    """What drivers wrote down."""
    return [
        sending
        for file in sorted(records.glob("driver-*.jsonl"))
        for sending in _sendings(file.stem, file)
    ]


def seen_in(records: Path) -> dict[str, list[list[Seen]]]:
    """What subscribers wrote down, the readers of each in their order."""
    found: dict[str, list[list[Seen]]] = {}
    for file in sorted(records.glob("ledger-*.jsonl"), key=lambda file: int(file.stem[7:])):
        seen = [
            Seen(position=line["position"], id=bytes.fromhex(line["id"])) for line in _lines(file)
        ]
        found.setdefault("ledger", []).append(seen)
    return found


def clocks_in(records: Path) -> tuple[int | None, list[ClockSet]]:
    """The time of day when the monotonic clock was at 0, and how clocks were set."""
    file = records / "clocks.jsonl"
    if not file.exists():
        return None, []
    first, *later = _lines(file)
    return (first["unix_ns"] - first["at_ns"]) // 1000, [
        ClockSet(
            machine=line["machine"],
            by_us=line["by_ns"] // 1000,
            from_ns=line["from_ns"],
            until_ns=line["at_ns"],
        )
        for line in later
    ]


def unruly_in(records: Path) -> Counter[str]:
    """What befell requests on their way from drivers to hosts, and how often."""
    return Counter(
        line["unruly"] for file in records.glob("ways-of-*.jsonl") for line in _lines(file)
    )


def _sendings(driver: str, file: Path) -> Iterator[Sending]:
    sent: dict[int, dict[str, Any]] = {}
    answered: dict[int, dict[str, Any]] = {}
    for line in _lines(file):
        if "outcome" in line:
            answered[line["number"]] = line
        else:
            sent[line["number"]] = line
    for number, line in sent.items():
        answer = answered.get(number, {})
        yield Sending(
            driver=driver,
            number=number,
            id=bytes.fromhex(line["id"]),
            source=line["source"],
            message_type=line["message_type"],
            data=line["data"],
            sent_ns=line["at_ns"],
            outcome=answer.get("outcome"),
            answered_ns=answer.get("at_ns"),
            events=[
                Told(id=bytes.fromhex(event), position=position, version=version)
                for event, position, version in answer.get("events", ())
            ],
        )


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """Those that were written to their ends."""
    *whole, _ = file.read_text().split("\n")
    yield from map(json.loads, whole)


def _event(row: Any) -> EventRow:
    return EventRow(
        position=row["position"],
        id=row["id"].bytes,
        aggregate_id=row["aggregate_id"].bytes,
        source=row["source"],
        version=row["version"],
        event_type=row["event_type"],
        kind=row["kind"],
        data=json.loads(row["event_data"]),
        causation_id=None if row["causation_id"] is None else row["causation_id"].bytes,
        recorded_us=row["recorded_us"],
        at_us=row["at_us"],
    )


def _checkpoint(row: Any) -> CheckpointRow:
    return CheckpointRow(
        **{name: value for name, value in row.items() if name != "digest"},
        digest=bytes(row["digest"]),
    )

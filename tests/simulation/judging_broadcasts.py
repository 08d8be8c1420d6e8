"""Broadcasts: everybody whom the log knew has each of them, once, and it says how many that is."""

from collections import Counter
from typing import TYPE_CHECKING

from tests.simulation.history import Cast, CastCall
from tests.simulation.log_index import LogIndex

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


def judge_broadcasts(log: LogIndex, simulation: "Simulation") -> list[str]:
    """Every one, however often it was called."""
    wrong: list[str] = []
    stops = any(record.event_type == "actor-stopped" for record in log.lives)
    for cast in simulation.history.casts.values():
        name = f"broadcast {cast.number}"
        had = Counter(
            record.source
            for record in log.records
            if record.event_type == "noted" and record.payload["token"] == cast.token
        )
        if twice := [source for source, count in had.items() if count > 1]:
            wrong.append(f"{name} took effect several times at {twice}")
        if elsewhere := [each for each in had if not each.startswith(f"{cast.actor_type}/")]:
            wrong.append(f"{name} took effect at {elsewhere}")
        for call in cast.calls:
            if call.head_then >= 0:
                wrong += [f"{name} {said}" for said in _judge_call(log, cast, call, had)]
        last = cast.calls[-1]
        if last.head_then < 0 or (last.failed and not stops):
            wrong.append(f"{name} does not reach {last.failed} in the end: {last.error}")
    return wrong


def _judge_call(log: LogIndex, cast: Cast, call: CastCall, had: Counter[str]) -> list[str]:
    known, known_then = (_known(log, cast, head) for head in (call.head, call.head_then))
    wrong = []
    if not len(known) <= call.commands <= len(known_then):
        between = f"{len(known)} and {len(known_then)}"
        wrong.append(f"says that there were {call.commands}; it was between {between}")
    if missing := known - had.keys() - set(call.failed):
        wrong.append(f"has ended, and {sorted(missing)} have nothing of it")
    return wrong


def _known(log: LogIndex, cast: Cast, head: int) -> set[str]:
    """The actors that the log knew when it stood there: by the first event of each aggregate, so
    not one under whose aggregate's id somebody had published before it said anything."""
    prefix = f"{cast.actor_type}/"
    return {
        source
        for source, records in log.by_source.items()
        if source.startswith(prefix) and records[0].position <= head and records[0].version == 1
    }

"""Rows that the database refuses, and actors that no row can hold: what there is of them, what
waits, and that nobody goes on who has not been told to. Which they are is said again here."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tests.simulation.failing_programs import BAD_STEP, fails_at
from tests.simulation.refusing import MARKS, OF, SPOILT
from thornback.simulation.plain_rows import Record

if TYPE_CHECKING:
    from tests.simulation.judging_programs import Finished
    from tests.simulation.simulation import Simulation


def judge_choosy(finished: "Finished", simulation: "Simulation") -> Iterable[str]:
    """A source has a row of all events that were not passed over, and do not wait."""
    name = finished.name
    runnings = simulation.history.runnings
    mended = any(one.program == name and one.mended for one in runnings)
    letters: dict[str, set[int]] = defaultdict(set)
    for letter in simulation.database.letters._letters.values():
        if letter.parked.program == name:
            letters[letter.parked.name].add(letter.position)
            if letter.parked.by_source or name != "choosy":
                yield f"the event {letter.position} waits for {letter.parked}"
    expected = {}
    for source, records in _by_source(finished).items():
        waiting, slot = letters[source], finished.slot(source)
        dropped = simulation.database.dropped_from(name, source, slot)
        there = finished.rows.get(source, (0, 0, ""))
        bad = {record.position for record in records if fails_at(record.id) == BAD_STEP}
        due = {record.position for record in records} - waiting - dropped
        if not mended:
            due -= bad
            if waiting and min(waiting) not in bad:
                yield f"{source} waits behind {min(waiting)}, which the database does not refuse"
        if waiting and there[1] > min(waiting):
            yield f"{source} has come to {there[1]}, and {min(waiting)} waits"
        if due:
            expected[source] = len(due), max(due), "fine"
    if finished.rows != expected:
        yield f"its rows are {finished.rows}, not {expected}"
    if name == "choosy-stands":
        bad_rows = (record for record in finished.wanted if fails_at(record.id) == BAD_STEP)
        yield from _judge_standing(finished, simulation, bad_rows)


def judge_odd_index(finished: "Finished", simulation: "Simulation") -> Iterable[str]:
    """An actor is there whose state a row can hold; any other is left out."""
    expected: dict[str, list[object]] = {}
    odd: list[Record] = []  # at each of which it stands, if nobody has told it before to go on
    for source, records in _by_source(finished, of=finished.wanted).items():
        is_open, taken, mark, tokens, spoilt = False, 0, "", list[int](), False
        for record in records:
            token, before = record.payload.get("token", 0), len(odd)
            if record.event_type == "noted":
                spoilt = spoilt or token % OF == SPOILT
                is_open, mark = False, ""
                tokens.append(token)
            elif record.event_type == "opened":
                is_open, mark = True, MARKS[token % len(MARKS)]
            taken += record.event_type in ("taken", "taken-back")
            if (
                spoilt or mark == MARKS[0]
            ):  # what the database refuses may be well before it sees it
                odd.append(record)
            if record.position > finished.through(source):
                del odd[before + 1 :]
                break
            expected.pop(source, None)
            if not spoilt and mark in ("", "fine"):
                expected[source] = [is_open, taken, mark, record.version, list(tokens)]
    found = {
        source: [
            *values,
            None if state is None else json.loads(state.rpartition("\n")[2])["tokens"],
        ]
        for source, (*values, state) in finished.rows.items()
    }
    if found != expected:
        yield f"its rows are {found}, not {expected}"
    yield from _judge_standing(finished, simulation, odd)


def _by_source(finished: "Finished", of: Iterable[Record] | None = None) -> dict[str, list[Record]]:
    """The events of each source, as far as its slot is, or of those that are given."""
    theirs: dict[str, list[Record]] = defaultdict(list)
    for record in finished.wanted if of is None else of:
        if of is not None or record.position <= finished.through(record.source):
            theirs[record.source].append(record)
    return theirs


def _judge_standing(
    finished: "Finished", simulation: "Simulation", bad: Iterable[Record]
) -> Iterable[str]:
    """While nobody has told it to pass anything over, it stands before the first of these."""
    wishes = simulation.history.wishes
    if any(one.kind == "skip" and one.program == finished.name for one in wishes):
        return
    for record in bad:
        if record.position <= finished.through(record.source):
            yield f"it has passed event {record.position}, and nobody said that it may"

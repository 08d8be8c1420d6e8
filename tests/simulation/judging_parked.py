"""Programs that fail: what is parked waits in the database, what is not has its outputs, once.

Judged by the ids of events alone: which of them a program fails at is said again here.
"""

from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

from store.dead_letters import DeadLetter
from thornback.simulation.plain_rows import Record

if TYPE_CHECKING:
    from tests.simulation.judging_programs import Finished
    from tests.simulation.simulation import Simulation

_SLOTS = 16


def _rest(record: Record) -> int:
    return sha256(record.id).digest()[0] % 10


def _is_passed_over(name: str, record: Record) -> bool:
    """By the programs of which judge_passing says what they come to."""
    return _rest(record) == 3 and (name != "clumsy" or record.id[-1] % 4 == 0)


def judge_parked(finished: "Finished", simulation: "Simulation") -> Iterable[str]:
    """The program that counts by group, and parks groups and sources."""
    letters = [
        letter
        for letter in simulation.database.letters._letters.values()
        if letter.parked.program == "fussy"
    ]
    mended = any(one.program == "fussy" and one.mended for one in simulation.history.runnings)
    by_id = {record.id: record for record in finished.wanted}
    yield from _judge_queues(letters, by_id, mended=mended)
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for output in finished.outputs:
        found[output.source].append((output.payload["count"], output.payload["through"]))
    for group in range(3):
        key = f"group-{group}"
        slot = finished.slot(key)
        theirs = [
            record
            for record in finished.wanted
            if int.from_bytes(record.aggregate_id) % 3 == group
            and record.position <= finished.through(key)
        ]
        waiting = {
            letter.position
            for letter in letters
            if (letter.parked.name == key and not letter.parked.by_source)
            or (letter.parked.by_source and letter.slots >> slot & 1)
        }
        dropped = simulation.database.dropped_from("fussy", key, slot)
        counted = found.pop(f"fussy/{key}", [])
        positions = [position for _, position in counted]
        due = {record.position for record in theirs} - waiting - dropped
        if set(positions) != due or len(positions) != len(due):
            yield f"{key} has counted {sorted(positions)}, not {sorted(due)}"
        if [count for count, _ in counted] != list(range(1, len(counted) + 1)):
            yield f"{key} has the counts {[count for count, _ in counted]}"
        yield from _judge_group_order(key, positions, theirs)
        yield from _judge_waiting(key, slot, positions, theirs, letters)
        bad = [by for by in theirs if by.position in positions and _rest(by) in (3, 7)]
        if bad and not mended:
            yield f"{key} has counted what it fails at: {[by.position for by in bad]}"
    if found:
        yield f"outputs of {sorted(found)}, which are no groups"


def _judge_group_order(key: str, positions: list[int], theirs: list[Record]) -> Iterable[str]:
    """In the order of the log, but for events of sources that may have been parked."""
    unroutable = {record.source for record in theirs if _rest(record) == 7}
    source = {record.position: record.source for record in theirs}
    straight = [each for each in positions if source.get(each) not in unroutable]
    if straight != sorted(straight):
        yield f"{key} has counted in the order {straight}"
    for name in sorted(unroutable):
        own = [each for each in positions if source.get(each) == name]
        if own != sorted(own):
            yield f"{key} has counted those of {name} in the order {own}"


def _judge_waiting(
    key: str, slot: int, positions: list[int], theirs: list[Record], letters: list[DeadLetter]
) -> Iterable[str]:
    """Nothing has passed what waits: of the group, and of each source."""
    sources = {record.position: record.source for record in theirs}
    for letter in letters:
        by_source, name = letter.parked.by_source, letter.parked.name
        if by_source and letter.slots >> slot & 1:
            passed = [each for each in positions if sources.get(each) == name]
        elif not by_source and name == key:
            passed = positions
        else:
            continue
        if any(each > letter.position for each in passed):
            yield f"{key} has counted {passed}, and event {letter.position} waits"


def _judge_queues(
    letters: list[DeadLetter], by_id: dict[bytes, Record], *, mended: bool
) -> Iterable[str]:
    """Whatever waits, waits behind something that the program has failed at."""
    for letter in letters:
        record = by_id.get(letter.event_id)
        if record is None or record.position != letter.position:
            yield f"the letter of position {letter.position} is of no event that it wants"
            continue
        if not letter.slots or letter.slots >= 1 << _SLOTS:
            yield f"the letter of position {letter.position} is owed by {letter.slots:b}"
        if letter.parked.by_source and letter.parked.name != record.source:
            yield f"event {letter.position} of {record.source} waits for {letter.parked.name}"
    for slot in range(_SLOTS):
        queues: dict[tuple[bool, str], list[DeadLetter]] = defaultdict(list)
        for letter in letters:
            if letter.slots >> slot & 1:
                queues[letter.parked.by_source, letter.parked.name].append(letter)
        for (by_source, name), theirs in queues.items():
            first = min(theirs, key=lambda letter: letter.position)
            if first.reason is None:
                yield f"{name} is parked in slot {slot} and nobody says why"
            bad = 7 if by_source else 3
            if not mended and _rest(by_id[first.event_id]) != bad:
                yield f"{name} is parked in slot {slot} behind an event that is none to fail at"


def judge_passing(finished: "Finished", simulation: "Simulation") -> Iterable[str]:
    """The programs that pass over what they fail at, of their own accord or when they are told."""
    echoes: dict[bytes | None, int] = defaultdict(int)
    for output in finished.outputs:
        echoes[output.causation_id] += 1
        if output.payload["of"] != str(UUID(bytes=output.causation_id or bytes(16))):
            yield f"the echo {output.position} is of {output.payload['of']}"
    for record in finished.wanted:
        due = record.position <= finished.through(record.source)
        due = due and not _is_passed_over(finished.name, record)
        if echoes.pop(record.id, 0) != due:
            yield f"event {record.position} has no echo, or has one and may not"
        slot = finished.slot(record.source)
        skipped = any(
            one.kind == "skip" and one.program == finished.name for one in simulation.history.wishes
        )
        stands = finished.name in ("stands", "stuck") and _rest(record) == 3 and not skipped
        if stands and slot in finished.kept and finished.kept[slot].position >= record.position:
            yield f"slot {slot} has passed event {record.position}, and nobody said that it may"
    if echoes:
        yield f"echoes of {len(echoes)} events that it does not want"

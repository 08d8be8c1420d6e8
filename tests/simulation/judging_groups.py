"""Groups: over all members nothing is skipped, each aggregate comes in order, and nothing comes
twice but of whoever left or was out; the receipts are those of the log."""

from collections import defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import TYPE_CHECKING

from actors.naming import aggregate_key_of
from tests.simulation.group_members import GROUPED
from tests.simulation.history import Belonging, History, Seen
from tests.simulation.log_index import LogIndex, same
from thornback.simulation.plain_rows import Record
from thornback.simulation.watched_groups import Tenure

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: Of the time after which a silent member is out, so much has to have passed.
ALMOST = 0.8
#: So much of it may count of a time in which the database was away, and no look has failed.
COUNTED = 0.2


@dataclass(frozen=True, slots=True)
class HandedOut:
    """One event, by one member, in one of its times with the slot."""

    moment: int
    event: Seen
    slot: int
    by: Belonging
    tenure: Tenure | None  #: the last that it had begun then

    def __str__(self) -> str:
        return f"event {self.event.position} by member {self.by.number}"


def judge_groups(log: LogIndex, history: History, simulation: "Simulation") -> list[str]:
    """Every group, and whoever was put out of one."""
    wrong = [*_judge_expulsions(simulation), *_judge_dropped(history, simulation)]
    wrong += [f"the receipt of {one} is wrong" for one in simulation.database.wrong_receipts]
    for name in GROUPED:
        slots = simulation.database.groups.slots(name)
        theirs = [one for one in history.belongings if one.name == name]
        if not slots:
            continue
        tenures = [one for one in simulation.database.groups.tenures if one.name == name]
        handed = sorted(_handed_out(theirs, tenures), key=lambda one: one.moment)
        wanted = [one for one in _wanted(log, name) if one.position > slots[0].began]
        wrong += _judge_events(log, handed)
        # Of what was erased nobody has to hear, and who has heard of it had it before.
        whole = [one for one in wanted if one.position not in log.erased]
        handed = [one for one in handed if one.event.position not in log.erased]
        wrong += _judge_order(handed, whole, name)
        wrong += _judge_streams(handed, whole)
        wrong += _judge_repeats(handed)
        wrong += _judge_tenures(handed, tenures)
        wrong += _judge_kept(theirs, handed, tenures, simulation)
        wrong += _judge_receipts(name, theirs, wanted, simulation, log.erased)
    return wrong


def _judge_dropped(history: History, simulation: "Simulation") -> Iterator[str]:
    """Whoever is a member of a group that is dropped is told so, and nobody else. Of one that was
    opened anew since, a member that looks late may be one of the next."""
    for one in history.belongings:
        dropped = [at for name, at in simulation.database.forgotten if name == one.name]
        if one.lost is not None and not any(at < one.lost for at in dropped):
            yield f"member {one.number} of {one.name} was told that it was dropped"
        later = any(0 <= one.joined < at for at in dropped)
        gone = not simulation.database.groups.slots(one.name)
        if later and gone and one.stays and one.lost is None:
            yield f"member {one.number} of {one.name} is not told that it was dropped"


def _handed_out(theirs: list[Belonging], tenures: list[Tenure]) -> Iterator[HandedOut]:
    for one in theirs:
        mine = [tenure for tenure in tenures if tenure.member == one.member]
        for moment, event in one.given:
            slot = aggregate_key_of(event.source)[15] % 16
            begun = [each for each in mine if each.slot == slot and each.began < moment]
            yield HandedOut(moment, event, slot, one, begun[-1] if begun else None)


def _judge_events(log: LogIndex, handed: list[HandedOut]) -> Iterator[str]:
    for one in handed:
        record = log.by_id.get(one.event.id)
        if record is None:
            yield f"{one} is not in the log"
        elif problem := same(one.event, record):
            yield f"{one} has another {problem}"
        if one.tenure is None:
            yield f"{one}, which never had slot {one.slot}"
        elif one.event.position <= one.tenure.position:
            yield f"{one} is below the checkpoint {one.tenure.position}, from which it took it over"


def _judge_order(handed: list[HandedOut], wanted: list[Record], name: str) -> Iterator[str]:
    """Nobody is given an event before the one before it in its aggregate was given to somebody."""
    due: dict[bytes, list[int]] = defaultdict(list)
    for record in wanted:
        due[aggregate_key_of(record.source)].append(record.position)
    first: dict[bytes, dict[int, None]] = defaultdict(dict)
    for one in handed:
        first[aggregate_key_of(one.event.source)][one.event.position] = None
    for key, positions in first.items():
        if list(positions) != (wants := due[key][: len(positions)]):
            yield f"an aggregate came to {name} as {list(positions)}, not as {wants}"


def _judge_streams(handed: list[HandedOut], wanted: list[Record]) -> Iterator[str]:
    """In one member's time with a slot, each aggregate has no gap and comes in order."""
    due: dict[bytes, list[int]] = defaultdict(list)
    for record in wanted:
        due[aggregate_key_of(record.source)].append(record.position)
    streams: dict[tuple[int, int, bytes], list[HandedOut]] = defaultdict(list)
    for one in handed:
        key = aggregate_key_of(one.event.source)
        streams[one.by.number, id(one.tenure), key].append(one)
    for (_, _, key), stream in streams.items():
        first, place = stream[0], 0
        if first.tenure is not None:
            behind = [each for each in due[key] if each > first.tenure.position]
            for one in stream:
                returned = any(
                    each.event.id == one.event.id and _returned(each, one.moment) for each in stream
                )
                if place < len(behind) and behind[place] == one.event.position:
                    place += 1
                elif not (returned and one.event.position in behind[max(place - 1, 0) : place]):
                    yield f"{one} came in the place of {behind[place : place + 1]}"


def _judge_repeats(handed: list[HandedOut]) -> Iterator[str]:
    """An event comes again where its first reader left before it was finished, or was out."""
    by_event: dict[bytes, list[HandedOut]] = defaultdict(list)
    for one in handed:
        by_event[one.event.id].append(one)
    for times in by_event.values():
        for number, again in enumerate(times[1:], 1):
            for before in times[:number]:
                if before.tenure is again.tenure:
                    continue  # judged with its stream
                if not (
                    _is_out(before.tenure, again.moment)
                    or _is_out(again.tenure, again.moment)
                    or _returned(before, again.moment)
                ):
                    yield f"{again}, and before it {before}, who had it"


def _returned(one: HandedOut, moment: int) -> bool:
    """Was it taken back by then? Then it is in nobody's hand, and the slot may go."""
    return any(id_ == one.event.id and one.moment < at < moment for at, id_ in one.by.returned)


def _is_out(tenure: Tenure | None, moment: int) -> bool:
    """Had the member lost the slot by then, without giving it up in peace?"""
    return (
        tenure is not None
        and tenure.ended is not None
        and tenure.ended < moment
        and tenure.how in ("taken", "left")
    )


def _judge_tenures(handed: list[HandedOut], tenures: list[Tenure]) -> Iterator[str]:
    for tenure in tenures:
        name = f"slot {tenure.slot} of {tenure.name}"
        if tenure.robbed:
            yield f"{name} was taken from member {tenure.member}, who lived"
        if tenure.how != "freed" or tenure.ended is None:
            continue
        for one in handed:
            if one.tenure is not tenure:
                continue
            if one.moment > tenure.ended:
                yield f"{one}, who had given {name} up"
            elif one.event.position > tenure.reached and not _returned(one, tenure.ended):
                yield f"{name} was given up at {tenure.reached}, and {one} was in hand"


def _judge_kept(
    theirs: list[Belonging],
    handed: list[HandedOut],
    tenures: list[Tenure],
    simulation: "Simulation",
) -> Iterator[str]:
    """What was said to be kept is, and nobody is given it again but who is out."""
    kept: dict[bytes, int] = {}
    slots = {tenure.slot for tenure in tenures}
    for one in theirs:
        there = simulation.database.groups.slots(one.name)
        for moment, begin, end in one.kept:
            for event in one.finished[begin:end]:
                slot = aggregate_key_of(event.source)[15] % 16
                kept[event.id] = min(kept.get(event.id, moment), moment)
                if slot in slots and there[slot].position < event.position:
                    yield f"event {event.position} was said to be kept by member {one.number}"
    for again in handed:
        late = kept.get(again.event.id, again.moment) < again.moment
        if late and not _is_out(again.tenure, again.moment):
            yield f"{again}, which was said to be kept before"


def _judge_receipts(
    name: str,
    theirs: list[Belonging],
    wanted: list[Record],
    simulation: "Simulation",
    erased: Set[int],
) -> Iterator[str]:
    finished = {event.id for one in theirs for event in one.finished}
    for slot, record in simulation.database.groups.slots(name).items():
        counted = [
            one
            for one in wanted
            if aggregate_key_of(one.source)[15] % 16 == slot and one.position <= record.position
        ]
        owed = [one for one in counted if one.position not in erased]
        if early := [one.position for one in owed if one.id not in finished]:
            yield f"{record.name} is said to be finished up to {record.position}; {early[:5]} not"
        sums = [0, 0]
        for one in counted:
            digest = sha256(one.id).digest()
            for lane in (0, 1):
                sums[lane] += int.from_bytes(digest[8 * lane : 8 * lane + 8])
        digest = b"".join((each % 2**64).to_bytes(8) for each in sums)
        if (record.receipt.count, record.receipt.digest) != (len(counted), digest):
            yield f"the receipt of {record.name} has {record.receipt.count}, not {len(counted)}"
        if record.position < simulation.heads.get(name, 0):
            yield f"{record.name} stands at {record.position} of {simulation.heads[name]}"


def _judge_expulsions(simulation: "Simulation") -> Iterator[str]:
    """Nobody is put out who was heard of, or because the database was away: of such a time little
    counts."""
    timeout_s = simulation.settings.processing.member_timeout_ms / 1000
    for one in simulation.database.groups.expulsions:
        silent_s, until_s = one.at_s - one.heard_s, one.heard_s
        if silent_s < ALMOST * timeout_s:
            yield f"member {one.member} was put out {silent_s:.2f} s after a sign"
            continue
        for begun, over in sorted(simulation.database.aways_s):
            away_s = min(over, one.at_s) - max(begun, until_s)
            silent_s -= max(away_s - COUNTED * timeout_s, 0.0)
            until_s = max(over, until_s)
        if silent_s < ALMOST * timeout_s:
            yield f"member {one.member} was put out, and the database had been away"


def _wanted(log: LogIndex, name: str) -> list[Record]:
    types, sources = GROUPED[name]
    return [
        one
        for one in log.records
        if fnmatchcase(one.event_type, types) and fnmatchcase(one.source, sources)
    ]

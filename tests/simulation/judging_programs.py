"""Stream programs: what each has finished has its outputs in the log, once, and nothing else has.

What a program is to come to is said again here, in other words than its own.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import uuid5

from actors.naming import AGGREGATES
from tests.simulation.companies import MEMBERS
from tests.simulation.dropping import DROPPED
from tests.simulation.failing_programs import STANDING
from tests.simulation.judging_companies import judge_order
from tests.simulation.judging_drops import judge_echoes, judge_glimpses, judge_gone
from tests.simulation.judging_erasing import judge_doors, judge_rents, judge_tenants
from tests.simulation.judging_parked import judge_parked, judge_passing
from tests.simulation.judging_refused import judge_choosy, judge_odd_index
from tests.simulation.judging_tables import judge_sightings
from tests.simulation.log_index import LogIndex
from tests.simulation.programs import PROGRAMS, SPAN_US
from tests.simulation.rebuilds import PROJECTION
from tests.simulation.refusing import ODD_INDEX
from thornback.simulation.plain_rows import Record

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

_SLOTS = 16


class Finished:
    """How far the slots of a program are, and which events it wants."""

    def __init__(self, log: LogIndex, name: str, simulation: "Simulation") -> None:
        self.log, self.name = log, name
        self.kept = {
            int(record.name.partition("/")[2]): record
            for record in simulation.database.subscriptions.all()
            if record.name.startswith(f"{name}/")
        }
        sources = (MEMBERS[name][1] if name in MEMBERS else PROGRAMS[name]).sources
        self.selected = [
            record
            for record in log.records
            if any(fnmatchcase(record.source, pattern) for pattern in sources)
        ]
        self.rows = simulation.database.projections.rows(name)
        self.wanted = [
            record for record in self.selected if not record.source.startswith(f"{name}/")
        ]
        self.outputs = [record for record in log.records if record.source.startswith(f"{name}/")]

    def slot(self, key: str) -> int:
        """The slot of a key."""
        return uuid5(AGGREGATES, key).bytes[15] % _SLOTS

    def through(self, key: str) -> int:
        """Up to which position the slot of a key is finished."""
        slot = self.slot(key)
        return self.kept[slot].position if slot in self.kept else 0


def judge_programs(log: LogIndex, simulation: "Simulation") -> list[str]:
    """Every program, whether or not it runs now."""
    wrong: list[str] = []
    for name, judge in _JUDGES.items():
        finished = Finished(log, name, simulation)
        wrong += [f"program {name}: {problem}" for problem in judge(finished, simulation)]
        wrong += [f"program {name}: {problem}" for problem in _judge_receipts(finished)]
        wrong += [f"program {name}: {problem}" for problem in _judge_causes(log, finished)]
    return [*wrong, *judge_order(log, simulation), *judge_gone(log, simulation)]


def is_wished(simulation: "Simulation", name: str) -> bool:
    """Is it sure that this program runs in the end?"""
    if name == PROJECTION and (rebuildings := simulation.history.rebuildings):
        return rebuildings[-1].ended_s is not None and not rebuildings[-1].error
    names = (name, MEMBERS[name][0]) if name in MEMBERS else (name,)
    wishes = [one for one in simulation.history.runnings if one.program in names]
    if not wishes or simulation.history.away_s or simulation.history.replaced:
        return False
    last = wishes[-1]
    dropped = DROPPED.get(last.program)
    if any(one.program == dropped and one.at_s > last.began_s for one in simulation.database.drops):
        return False  # somebody had given up waiting for that
    if not last.workers or last.error or last.ended_s is None:
        return False
    return not any(one.ended_s is None or one.ended_s > last.began_s for one in wishes[:-1])


def judge_progress(log: LogIndex, simulation: "Simulation", due: set[int]) -> list[str]:
    """Who runs is up to date."""
    wrong = []
    for name in PROGRAMS | MEMBERS:
        if not is_wished(simulation, name) or name in STANDING:
            continue  # these at what they fail at, for as long as nobody says anything
        finished = Finished(log, name, simulation)
        owed = max((one.position for one in finished.wanted if one.position in due), default=0)
        for slot in range(_SLOTS):
            position = finished.kept[slot].position if slot in finished.kept else -1
            if position < owed:
                wrong.append(f"program {name}: slot {slot} stands at {position}, not at {owed}")
    return wrong


def _judge_echo(finished: Finished, _: Any) -> Iterable[str]:
    echoes: dict[Any, list[Record]] = defaultdict(list)
    for output in finished.outputs:
        echoes[output.causation_id].append(output)
    for record in finished.wanted:
        theirs = echoes.pop(record.id, [])
        due = record.position <= finished.through(record.source)
        if len(theirs) != due:
            yield f"event {record.position} has {len(theirs)} echoes, not {int(due)}"
        for echo in theirs:
            if echo.source != f"{finished.name}/{record.source}":
                yield f"the echo of event {record.position} is in {echo.source}"
            if echo.payload != {"of": _text(record.id), "position": record.position}:
                yield f"the echo of event {record.position} says {echo.payload}"
    if echoes:
        yield f"echoes of {len(echoes)} events that it does not want"
    yield from _judge_order(finished, [output.payload["position"] for output in finished.outputs])


def _judge_order(finished: Finished, causes: list[int]) -> Iterable[str]:
    last: dict[str, int] = {}
    for output, cause in zip(finished.outputs, causes, strict=True):
        if cause < last.get(output.source, 0):
            yield f"output {output.position} is behind that of a later event"
        last[output.source] = cause


def _judge_sums(finished: Finished, _: Any) -> Iterable[str]:
    groups: dict[str, list[int]] = defaultdict(list)
    for record in finished.wanted:
        key = f"group-{int.from_bytes(record.aggregate_id) % 3}"
        if record.position <= finished.through(key):
            groups[f"sums/{key}"].append(record.position)
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for output in finished.outputs:
        found[output.source].append((output.payload["count"], output.payload["through"]))
    for source in groups.keys() | found.keys():
        every_other = list(enumerate(groups[source], 1))[1::2]
        if found[source] != every_other:
            yield f"{source} has {found[source]}, not {every_other}"


def _judge_hours(finished: Finished, simulation: "Simulation") -> Iterable[str]:
    """The last revision of each hour is what there is of it; what is over is closed. A worker that
    dies as it closes what the last event has ended leaves the rest to the next one."""
    newest = 0
    watermark: dict[int, int] = {}  # after each position
    for record in finished.wanted:
        newest = max(newest, _moment_us(record))
        watermark[record.position] = newest
    counted: Counter[tuple[str, int]] = Counter()
    over: set[tuple[str, int]] = set()
    for record in finished.wanted:
        if record.position <= (through := finished.through(record.source)):
            hour = _moment_us(record) // SPAN_US
            counted[record.source, hour] += 1
            seen = [at for position, at in watermark.items() if position <= through]
            if (hour + 1) * SPAN_US <= max(seen):
                over.add((record.source, hour))
    causes = _causes_of_hours(finished)
    revisions: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for output in finished.outputs:
        data = output.payload
        key = (output.source.removeprefix("hours/"), data["hour"])
        if data["revision"] == 1 and output.causation_id != causes.get(key):
            yield f"{key} was not closed by the event that has ended it"
        revisions[key].append((data["revision"], data["count"]))
    if not is_wished(simulation, finished.name):
        at = {record.position: record.id for record in finished.wanted}
        left = [key for key in over if causes.get(key) == at.get(finished.through(key[0]))]
        over -= {key for key in left if key not in revisions}
    if revisions.keys() != over:
        yield f"the hours {revisions.keys() ^ over} are closed and not over, or over and not closed"
    for key, theirs in revisions.items():
        if [revision for revision, _ in theirs] != list(range(1, len(theirs) + 1)):
            yield f"{key} has the revisions {theirs}"
        if theirs[-1][1] != counted[key]:
            yield f"{key} was closed with {theirs[-1][1]} events last, and has {counted[key]}"


def _causes_of_hours(finished: Finished) -> dict[tuple[str, int], bytes]:
    """By which event each is closed first: that with which event time comes to its end, or its own
    first one, where that comes later."""
    causes: dict[tuple[str, int], bytes] = {}
    open_hours: set[tuple[str, int]] = set()
    newest = 0
    for record in finished.wanted:
        key = record.source, _moment_us(record) // SPAN_US
        newest = max(newest, _moment_us(record))
        if key not in causes:
            open_hours.add(key)
        for over in [each for each in open_hours if (each[1] + 1) * SPAN_US <= newest]:
            open_hours.discard(over)
            causes[over] = record.id
    return causes


def _judge_presence(finished: Finished, _: Any) -> Iterable[str]:
    """A source has a row after an odd number of its events, which says where the last one is."""
    counted: Counter[str] = Counter()
    last: dict[str, int] = {}
    for record in finished.wanted:
        if record.position <= finished.through(record.source):
            counted[record.source] += 1
            last[record.source] = record.position
    expected = {source: (last[source],) for source, count in counted.items() if count % 2}
    if finished.rows != expected:
        yield f"its rows are {finished.rows}, not {expected}"
    if finished.outputs:
        yield f"it has put out {len(finished.outputs)} events"


def _judge_index(finished: Finished, _: Any) -> Iterable[str]:
    """A ledger has a row, which says what its events up to there come to."""
    theirs: dict[str, list[Record]] = defaultdict(list)
    for record in finished.wanted:
        if record.position <= finished.through(record.source):
            theirs[record.source].append(record)
    if finished.rows.keys() != theirs.keys():
        yield f"it has the rows {finished.rows.keys()}, not {theirs.keys()}"
        return
    for source, records in theirs.items():
        types = [record.event_type for record in records]
        doors = [each for each in types if each in ("noted", "opened")]
        is_open = bool(doors) and doors[-1] == "opened"
        taken = types.count("taken") + types.count("taken-back")
        *found, state = finished.rows[source]
        # Whoever publishes under its aggregate's id before it says anything takes versions.
        expected = [is_open, taken, records[-1].version]
        if found != expected:
            yield f"{source} is {found} in it, not {expected}"
        tokens = [record.payload["token"] for record in records if record.event_type == "noted"]
        if state is not None and json.loads(state.rpartition("\n")[2])["tokens"] != tokens:
            yield f"{source} has the state {state} in it, whose tokens are {tokens}"


def _judge_receipts(finished: Finished) -> Iterable[str]:
    for slot, kept in finished.kept.items():
        theirs = [
            record
            for record in finished.selected
            if record.aggregate_id[15] % _SLOTS == slot
            and kept.began < record.position <= kept.position
        ]
        sums = [0, 0]
        for record in theirs:
            digest = sha256(record.id).digest()
            for lane in (0, 1):
                sums[lane] += int.from_bytes(digest[8 * lane : 8 * lane + 8])
        digest = b"".join((each % 2**64).to_bytes(8) for each in sums)
        if (kept.receipt.count, kept.receipt.digest) != (len(theirs), digest):
            yield f"the receipt of slot {slot} has {kept.receipt.count}, the log {len(theirs)}"


def _judge_causes(log: LogIndex, finished: Finished) -> Iterable[str]:
    """Each output has a cause that it follows, and says what that was a part of."""
    for output in finished.outputs:
        cause = log.by_id.get(output.causation_id or b"")
        if cause is None or cause.position >= output.position:
            yield f"output {output.position} has no cause before it"
            continue
        if output.correlation_id != cause.correlation_id:
            yield f"output {output.position} belongs to something else than its cause"
        known = {node: n for node, n in cause.counts.items() if node.startswith("node-001.")}
        if any(ticks > output.counts.get(node, 0) for node, ticks in known.items()):
            yield f"output {output.position} has not seen its cause: {known}, {output.counts}"


def _moment_us(record: Record) -> int:
    """Rows count from the year 2000, programs from 1970."""
    return record.timestamp_us + 946_684_800_000_000


def _text(event_id: bytes) -> str:
    digits = event_id.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


_JUDGES = {
    "echo": _judge_echo,
    "sums": _judge_sums,
    "hours": _judge_hours,
    "presence": _judge_presence,
    "index-of-ledger": _judge_index,
    "fussy": judge_parked,
    "skips": judge_passing,
    "stands": judge_passing,
    "sulky": judge_passing,
    "stuck": judge_passing,
    "ahead": _judge_echo,
    "behind": _judge_echo,
    "brisk": _judge_echo,
    "calm": _judge_echo,
    "clumsy": judge_passing,
    PROJECTION: judge_sightings,
    "choosy": judge_choosy,
    "choosy-skips": judge_choosy,
    "choosy-stands": judge_choosy,
    ODD_INDEX: judge_odd_index,
    "brief": judge_echoes,
    "upper": judge_echoes,
    "lower": judge_echoes,
    "fleeting": judge_glimpses,
    "rents": judge_rents,
    "doors": judge_doors,
    "index-of-tenant": judge_tenants,
}

"""A table that is built anew: readers see it grow alone, and it is what the log comes to.

By code of its own, out of the log, of what readers saw, and of what was swapped.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from store.projected import REBUILD
from tests.simulation.log_index import LogIndex
from tests.simulation.rebuilds import PROJECTION

if TYPE_CHECKING:
    from tests.simulation.judging_programs import Finished
    from tests.simulation.simulation import Simulation

Rows = Mapping[str, tuple[Any, ...]]


def judge_tables(log: LogIndex, simulation: "Simulation") -> list[str]:
    """What readers saw, and what has taken the place of what."""
    positions = _positions(log)
    wrong: list[str] = []
    looks = simulation.history.looks
    for look in looks:
        wrong += [f"at {look.at_s:.2f} s {said}" for said in _judge_rows(look.rows, positions)]
    for before, after in pairwise(looks):
        said = _judge_order(before.rows, after.rows)
        wrong += [f"from {before.at_s:.2f} to {after.at_s:.2f} s {problem}" for problem in said]
    for swap in simulation.database.swaps:
        if any(swap.after.get(slot, -1) < position for slot, position in swap.before.items()):
            wrong.append(f"a table at {swap.after} has taken the place of one at {swap.before}")
        if swap.program == PROJECTION:
            wrong += [f"in its place {said}" for said in _judge_fold(log, swap.after, swap.rows)]
    return [f"projection {PROJECTION}: {problem}" for problem in wrong]


def judge_rebuilt(simulation: "Simulation") -> list[str]:
    """After quiet: everybody was told what has come of it, and nothing is left beside it."""
    wrong = []
    for one in simulation.history.rebuildings:
        driver = simulation.drivers.get(one.driver.partition(".")[0])
        gone = driver is not None and (driver.dead or driver.label != one.driver)
        if one.ended_s is None and not gone:
            wrong.append(f"{one.driver} still waits for its rebuild {one.number}")
    if not simulation.history.rebuildings:
        return wrong
    built = PROJECTION + REBUILD
    workers = [name for name in simulation.cluster.processes if name.endswith(f"-of-{built}")]
    slots = [one for one in simulation.database.subscriptions.all() if one.name.startswith(built)]
    there = simulation.database.projections.find(built)
    if workers or slots or there is not None:
        wrong.append(f"of {built} there are left {workers}, {len(slots)} slots, {there}")
    return wrong


def judge_sightings(finished: "Finished", _: Any) -> Iterable[str]:
    """The table in service is what the log comes to where it stands."""
    through = {record.name: record.position for record in finished.kept.values()}
    yield from _judge_fold(finished.log, through, finished.rows)


def _positions(log: LogIndex) -> dict[str, list[int]]:
    """Of the events of each source that it wants."""
    return {
        source: [record.position for record in records]
        for source, records in log.by_source.items()
        if source.startswith(("ledger/", "feed/"))
    }


def _judge_rows(rows: Rows, positions: Mapping[str, list[int]]) -> Iterable[str]:
    for source, (count, through, _) in rows.items():
        if positions.get(source, [])[count - 1 : count] != [through]:
            yield f"{source} has {count} events, the last at {through}"
    if len(revisions := {revision for _, _, revision in rows.values()}) > 1:
        yield f"its rows are of the revisions {sorted(revisions)}"


def _judge_order(before: Rows, after: Rows) -> Iterable[str]:
    """Nobody sees a row that is older than one that he saw, nor is one lost."""
    for source, (count, _, revision) in before.items():
        if source not in after:
            yield f"{source} was lost, which had {count} events"
        elif after[source][0] < count or after[source][2] < revision:
            yield f"{source} went from {before[source]} back to {after[source]}"


def _judge_fold(log: LogIndex, places: Mapping[str, int], rows: Rows) -> Iterable[str]:
    """What the events up to there come to, in whichever revision that is."""
    expected = {}
    for source, positions in _positions(log).items():
        slot = log.by_source[source][0].aggregate_id[15] % 16
        through = places.get(f"{PROJECTION}/{slot}", 0)
        if theirs := [position for position in positions if position <= through]:
            expected[source] = len(theirs), theirs[-1]
    found = {source: tuple(values[:2]) for source, values in rows.items()}
    if found != expected:
        yield f"it has {found}, not {expected}"
    if len(revisions := {values[2] for values in rows.values()}) > 1:
        yield f"its rows are of the revisions {sorted(revisions)}"

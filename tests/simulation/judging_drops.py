"""Programs that are dropped while they run: each generation has its outputs, those that it has
finished and once each; and what was dropped does not come back by itself."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from runtime.topology.names import program_of_worker
from tests.simulation.dropping import DROPPED
from tests.simulation.log_index import LogIndex

if TYPE_CHECKING:
    from tests.simulation.judging_programs import Finished
    from tests.simulation.simulation import Simulation

#: So long after it is told that its program was dropped, the worker of it has ended.
ENDED_S = 3.0


def judge_echoes(finished: "Finished", simulation: "Simulation") -> Iterable[str]:
    """In the log, from one time that it was dropped to the next: what its slots had finished."""
    drops = [one for one in simulation.database.drops if one.program == finished.name]
    places = {slot: record.position for slot, record in finished.kept.items()}
    ends = [*((one.head, one.places) for one in drops), (len(finished.log.records), places)]
    since = 0
    for generation, (head, through) in enumerate(ends):
        echoes = Counter(
            output.causation_id for output in finished.outputs if since < output.position <= head
        )
        for record in finished.wanted:
            due = record.position <= through.get(finished.slot(record.source), 0)
            if (found := echoes.pop(record.id, 0)) != due:
                yield f"event {record.position} has {found} echoes of generation {generation}"
        if echoes:
            yield f"generation {generation} has echoes of {len(echoes)} events it does not want"
        since = head


def judge_glimpses(finished: "Finished", _: "Simulation") -> Iterable[str]:
    """Its table is that of its last generation."""
    found: dict[str, tuple[int, int]] = {}
    for record in finished.wanted:
        if record.position <= finished.through(record.source):
            count = found.get(record.source, (0, 0))[0]
            found[record.source] = count + 1, record.position
    if finished.rows != found:
        yield f"its rows are {finished.rows}, not {found}"


def judge_gone(log: LogIndex, simulation: "Simulation") -> Iterable[str]:
    """What was dropped last, after all that was wished of it, is not there: neither its slots, nor
    its table, nor a worker that has had anything to commit since."""
    database = simulation.database
    for program, name in DROPPED.items():
        drops = [one for one in database.drops if one.program == name]
        wishes = [one for one in simulation.history.runnings if one.program == program]
        runs = [one for one in wishes if one.kind == "run"]
        if not drops or any(
            one.error or one.ended_s is None or one.ended_s >= drops[-1].at_s for one in runs
        ):
            continue
        slots = [one for one in database.subscriptions.all() if one.name.startswith(f"{name}/")]
        if slots or database.projections.find(name) is not None:
            yield f"{name} was dropped, and there are {len(slots)} slots of it, or its table"
        told = [
            record
            for record in log.records[drops[-1].head :]
            if record.source.startswith(("ledger/", "feed/"))
            and database.committed_s[record.position - 1] < simulation.loop.time() - ENDED_S
        ]
        if told and program in {program_of_worker(each) for each in simulation.cluster.processes}:
            yield f"{name} was dropped, and a worker of it is there"

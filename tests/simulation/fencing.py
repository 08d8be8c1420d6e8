"""Who was fenced off: somebody else has opened his epoch, or his checkpoints, since."""

from typing import TYPE_CHECKING

from runtime.cluster.directory import Directory
from runtime.partition.bus import Bus
from runtime.partition.writer import WriterActor
from runtime.processing.companion import Companion
from runtime.processing.company import Company
from runtime.processing.deliverer import Deliverer
from runtime.processing.hearing import Hearing
from runtime.processing.posting import Posting
from runtime.processing.timekeeper import Timekeeper
from runtime.processing.worker import Worker
from store.event_store import WRITER
from thornback.simulation.processes import Incarnation

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


def fenced_off(simulation: "Simulation", life: Incarnation) -> bool:
    """Has an epoch been opened after its own?"""
    process = life.instance
    if process is None or not process._started or isinstance(process, Bus | Directory):
        return False
    posting = _posting_of(process)
    if posting is not None:
        opened = simulation.database.subscriptions.epoch_of(posting.name)
        return bool(posting._epoch) and opened != posting._epoch
    if isinstance(process, Worker):
        run = process._run
        assert run is not None
        assert not isinstance(run, Hearing)
        runs, away = [run], set[Companion]()
        if isinstance(run, Company):
            runs, away = list(run.companions), run._away
        of, epochs = simulation.database.subscriptions.epoch_of, simulation.database.epochs
        return any(
            epochs[one._node].number != one._number for one in {run, *away} if one._number
        ) or any(
            of(f"{one.program.name}/{slot}") != one._epoch for one in runs for slot in one._slots
        )
    if isinstance(process, Deliverer):
        delivery, of = process._delivery, simulation.database.subscriptions.epoch_of
        assert delivery is not None
        number = simulation.database.epochs[delivery._node].number
        return number != delivery._number or of("messages") != delivery._epoch
    if isinstance(process, WriterActor):
        return simulation.database.epochs[WRITER].number != process._commits._attempts._epoch
    number = process._incarnation if process._shards is None else process._shards._epoch.number
    return bool(simulation.database.epochs[process.node].number != number)


def _posting_of(process: object) -> Posting | None:
    """What it posts, where no epoch but that of its checkpoint fences it off."""
    if isinstance(process, Timekeeper):
        return process._timekeeping
    run = process._run if isinstance(process, Worker) else None
    return run if isinstance(run, Hearing) else None

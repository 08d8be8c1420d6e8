"""Bounds that hold at every moment: looked at again and again while a simulation runs."""

from typing import TYPE_CHECKING, Any

from runtime.processing.hearing import Hearing
from runtime.processing.worker import Worker

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: Virtual seconds between two looks.
EVERY_S = 0.25
#: Bytes: a ledger has its tokens, and no history has so many.
LARGEST_SNAPSHOT = 10_000
#: Messages of one page.
LARGEST_PAGE = 1_000
#: Bytes of what one event comes to in a program.
LARGEST_EFFECT = 20_000


def watch(simulation: "Simulation") -> None:
    """Look at every living process and connection, and again in a while."""
    for process in simulation.cluster.processes.values():
        life = process.incarnation
        if life is not None and life.instance._started:
            kind = _worker if isinstance(life.instance, Worker) else _host
            look = _LOOKS.get(process.name, kind)
            for problem in look(life.instance, simulation):
                simulation.history.complain(f"{life.name}: {problem}")
    for driver in simulation.drivers.values():
        for channel in driver.connection.channels.all():
            if len(channel._under_way) > channel.WINDOW:
                simulation.history.complain(f"{len(channel._under_way)} batches are under way")
    simulation.loop.world.later(EVERY_S, watch, simulation)


def _host(host: Any, simulation: "Simulation") -> list[str]:
    wrong = []
    size = simulation.settings.actor_system.mailbox_size
    if host._mailbox.unanswered > max(size, simulation.largest_batch):
        wrong.append(f"its mailbox of {size} holds {host._mailbox.unanswered} commands")
    executor = host._executor
    if len(executor._in_flight) > executor.WINDOW:
        wrong.append(f"{len(executor._in_flight)} appends are under way")
    saving = executor._answering._snapshots
    waiting = sum(len(one.data) for one in saving._waiting.values())
    if waiting > simulation.plan.setup.knobs["snapshot_bytes"] + LARGEST_SNAPSHOT:
        wrong.append(f"{waiting} bytes of snapshots wait to be saved")
    if host._mailbox.unanswered == 0 and not executor._finishing:
        residents = host._residents
        most = simulation.settings.actor_system.max_actors
        if len(residents) > most and not executor._recovery.needed:
            wrong.append(f"{len(residents)} actors are resident, {most} may be")
    return wrong


def _worker(worker: Any, simulation: "Simulation") -> list[str]:
    run, settings = worker._run, simulation.settings.processing
    if isinstance(run, Hearing):
        return _posting(run)
    # What one batch comes to, at the most: each of a few events has a row and a state.
    most = run.APPEND_BYTES + settings.batch_processing_size * LARGEST_EFFECT
    if run._effects.bytes > most:
        return [f"{run._effects.bytes} bytes of effects wait, {most} may"]
    return []


def _writer(writer: Any, simulation: "Simulation") -> list[str]:
    if len(writer._unpublished) > writer.MAX_UNPUBLISHED:
        return [f"{len(writer._unpublished)} commits wait for the bus"]
    sizes = [len(commit.rows.data) for commit in writer._unpublished]
    if len(sizes) > 1 and sum(sizes) > writer.UNPUBLISHED_BYTES:
        return [f"{sum(sizes)} bytes of commits wait for the bus"]
    return []


def _bus(bus: Any, simulation: "Simulation") -> list[str]:
    held = sum(map(len, bus._buffer._kept[bus._buffer._gone :]))
    if held > simulation.settings.event_bus.buffer_size:
        return [f"its buffer holds {held} events"]
    return []


def _directory(directory: Any, simulation: "Simulation") -> list[str]:
    starting = len(directory._dedicated._starting)
    return (
        [f"{starting} hosts are being started"] if starting > directory._dedicated.AT_ONCE else []
    )


def _deliverer(deliverer: Any, simulation: "Simulation") -> list[str]:
    return _posting(deliverer._delivery)


def _posting(posting: Any) -> list[str]:
    mailing = posting._mailing
    wrong = []
    # A page more: what the largest answer of the bus, or the largest page of the log, may have.
    if mailing.unfinished > mailing.MESSAGES + LARGEST_PAGE:
        wrong.append(f"{mailing.unfinished} messages are unfinished, {mailing.MESSAGES} may be")
    for receiver, way in mailing._way.items():
        if receiver in mailing._ready.get(way, ()) and receiver in mailing._busy:
            wrong.append(f"it is the turn of {receiver}, which is busy")
    return wrong


def _timekeeper(timekeeper: Any, simulation: "Simulation") -> list[str]:
    window = timekeeper._timekeeping._window
    wrong = _posting(timekeeper._timekeeping)
    if len(window) > 2 * window.MOST + LARGEST_PAGE:
        wrong.append(f"{len(window)} timers are in memory, {2 * window.MOST} may be")
    if len(window._at_work) > window.AT_WORK:
        wrong.append(f"{len(window._at_work)} timers are at work, {window.AT_WORK} may be")
    return wrong


_LOOKS = {
    "writer": _writer, "bus": _bus, "directory": _directory, "deliverer": _deliverer,
    "timekeeper": _timekeeper,
}  # fmt: skip

"""How each fault strikes."""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from runtime.topology.names import program_of_worker, worker_name
from tests.simulation.companies import COMPANIES
from tests.simulation.ending import end_too_often
from tests.simulation.plan import Fault
from tests.simulation.planned_work import door_steps
from thornback.simulation.database_requests import AtCommit
from thornback.simulation.draws import stream
from thornback.simulation.processes import SimulatedProcess
from thornback.simulation.striking import OF_NO_PROCESS, STRIKES

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: The numbers of the steps that a fault takes begin here; no plan has so many, and no load.
FIRST_STEP = 2_000_000
#: Seconds that a commit takes longer, at most, when the answers behind it are lost: it is there
#: before its callers give up.
SLOW_COMMIT_S = 0.3


def strike(simulation: "Simulation", fault: Fault) -> None:
    """Have it happen now."""
    told = f"{fault.kind} {fault.target} {fault.other}"
    simulation.history.faults.append((simulation.loop.time(), told))
    if fault.target in simulation.cluster.processes or fault.kind in _OF_NO_PROCESS:
        _HOW[fault.kind](simulation, fault)


def _process(simulation: "Simulation", fault: Fault) -> SimulatedProcess:
    return simulation.cluster.processes[fault.target]


def _move_late(simulation: "Simulation", fault: Fault) -> None:
    """Whoever moves shards next hears nothing, and the database does it later."""
    simulation.database.trouble.late_moves.append(fault.seconds)


def _saves_late(simulation: "Simulation", fault: Fault) -> None:
    """Whoever saves snapshots next hears nothing, and the database does it later; some of them."""
    simulation.database.trouble.late_saves += [fault.seconds] * int(fault.amount)


def _move_unheard(simulation: "Simulation", fault: Fault) -> None:
    """The database moves shards next, and whoever has it done hears of that late, or never."""
    simulation.database.trouble.unheard_moves.append((fault.seconds, fault.other != "lost"))


def _dies_as_asked(simulation: "Simulation", fault: Fault) -> None:
    """A host dies as a driver asks it who has its shards; its successor is asked that as it begins,
    and finds the database away."""
    process, down_s = _process(simulation, fault), fault.amount

    def strikes() -> float:
        process.crash(down_s=down_s)
        later = simulation.loop.world.later
        later(down_s / 2, lambda: simulation.database.go_away(fault.seconds, silent=False))
        return down_s

    process.trouble.asked["shard_table"] = strikes


def _ends_late(simulation: "Simulation", fault: Fault) -> None:
    """Whoever has the directory end the workers of a program next comes there late."""
    _process(simulation, fault).trouble.asked["stop_program"] = lambda: fault.seconds


def _give_up_late(simulation: "Simulation", fault: Fault) -> None:
    """Whoever gives the claim up next hears nothing, and the database does it later."""
    simulation.database.trouble.late_give_ups.append(fault.seconds)


def _dies_at_commit(simulation: "Simulation", fault: Fault) -> None:
    """A worker of a program dies in the moment in which the database has committed something of it,
    and before it has heard of that: in the midst of all that takes several commits."""
    program = program_of_worker(fault.target)
    together = COMPANIES.get(program)
    named = [program] if together is None else [each.name for each in together.handlers]

    def strike(slot: int) -> None:
        there = simulation.cluster.processes
        workers = [name for name in there if program_of_worker(name) == program]
        process = there.get(worker_name(program, slot % max(len(workers), 1)))
        if process is not None:
            simulation.loop.world.later(0.0, lambda: process.crash(down_s=fault.seconds))

    simulation.database.trouble.at_commits.append(AtCommit(named, int(fault.amount), strike))


def _hangs_as_it_begins(simulation: "Simulation", fault: Fault) -> None:
    """A worker stops when it has opened its epoch, and nothing else. Ray takes it for dead, and it
    goes on when another one of its name begins, behind its successor; or after a while."""
    there, later = simulation.cluster.processes, simulation.loop.world.later
    worker, program = fault.target.split("-of-")
    epoch = f"{program}/{worker.removeprefix('worker-')}"
    draw = stream(simulation.loop.seed, "fault", fault.number)
    at_epochs = simulation.database.trouble.at_epochs

    def hang() -> None:
        if (process := there.get(fault.target)) and (life := process.incarnation):
            life.stop()
            process.replace(down_s=fault.amount, lives_on_s=fault.seconds + 3.0)
            later(fault.seconds, life.go_on)
            go_on = partial(later, draw.uniform(0.0, 0.02), life.go_on)
            at_epochs[epoch] = lambda: at_epochs.update({epoch: go_on})

    at_epochs[epoch] = partial(later, 0.0, hang)


def _answers_lost(simulation: "Simulation", fault: Fault) -> None:
    """A driver's connections break when its host has decided, and commits, of which some have
    effects and some do not: all of it is sent again. Or the hosts' to the writer do, which commits
    all the same: all of it is run again."""
    driver, trouble = simulation.drivers[fault.target], simulation.database.trouble
    if driver.dead:
        return
    draw = stream(simulation.loop.seed, "fault", fault.number)
    numbers = count(FIRST_STEP + 100 * fault.number)
    door = door_steps(f"ledger/{draw.randrange(8)}", "ask", 1 + int(fault.amount), numbers)
    trouble.commits_take_s = takes_s = min(fault.seconds, SLOW_COMMIT_S)

    def break_off() -> None:
        for host in simulation.topology.hosts:
            link = (host, fault.other) if fault.other else (fault.target, host)
            simulation.network.break_connections(*link, draw)
        simulation.database.trouble.commits_take_s = 0.0

    driver.holder.context.copy().run(driver.burst, door)
    simulation.loop.world.later(draw.uniform(0.2, 1.0) * takes_s, break_off)


def _operate(simulation: "Simulation", fault: Fault) -> None:
    simulation.operate(fault)


def _kill_driver(simulation: "Simulation", fault: Fault) -> None:
    driver = simulation.drivers[fault.target]
    if driver.dead:
        return
    driver.dead = True
    driver.holder.kill()
    simulation.network.died(driver.holder, stream(simulation.loop.seed, "fault", fault.number))
    for call in simulation.history.calls:
        if call.ended_s is None and call.driver.partition(".")[0] == driver.name:
            call.abandoned = True
    for reading in simulation.history.readings:
        if reading.driver.partition(".")[0] == driver.name:
            reading.abandoned = True


_HOW: dict[str, Callable[["Simulation", Fault], None]] = {
    **STRIKES,
    "dies at commit": _dies_at_commit,
    "hangs as it begins": _hangs_as_it_begins,
    "answers lost": _answers_lost,
    "give up late": _give_up_late,
    "driver dies": _kill_driver,
    "drain": _operate,
    "take over": _operate,
    "move": _operate,
    "scale": _operate,
    "promote": _operate,
    "move late": _move_late,
    "saves late": _saves_late,
    "move unheard": _move_unheard,
    "dies as asked": _dies_as_asked,
    "ends late": _ends_late,
    "ends too often": end_too_often,
}

#: What befalls connections, machines, drivers, the database or all of the system: whatever else
#: befalls a process does not where there is none of its name.
_OF_NO_PROCESS = OF_NO_PROCESS | {
    "answers lost", "driver dies", "drain", "take over",
    "give up late", "dies at commit", "hangs as it begins", "scale", "promote",
    "move", "move late",
    "move unheard",
    "saves late",
}  # fmt: skip

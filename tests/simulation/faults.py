"""How each fault strikes."""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from runtime.topology.names import program_of_worker, worker_name
from tests.simulation.companies import COMPANIES
from tests.simulation.plan import Fault
from tests.simulation.planned_work import door_steps
from thornback.simulation.database_requests import AtCommit, Trouble
from thornback.simulation.draws import stream
from thornback.simulation.processes import CallTrouble, SimulatedProcess

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


def cease(simulation: "Simulation") -> None:
    """Nothing goes wrong any more: what was still to go wrong is forgotten."""
    database = simulation.database
    database.trouble = Trouble(away_until_s=database.trouble.away_until_s)
    for cluster in simulation.clusters:
        cluster.head_slow = False
        for process in cluster.processes.values():
            process.trouble = CallTrouble()


def _process(simulation: "Simulation", fault: Fault) -> SimulatedProcess:
    return simulation.cluster.processes[fault.target]


def _crash(simulation: "Simulation", fault: Fault) -> None:
    _process(simulation, fault).crash(down_s=fault.amount)


def _replace(simulation: "Simulation", fault: Fault) -> None:
    lives_on_s = fault.amount + fault.seconds
    _process(simulation, fault).replace(down_s=fault.amount, lives_on_s=lives_on_s)


def _stop(simulation: "Simulation", fault: Fault) -> None:
    life = _process(simulation, fault).incarnation
    if life is not None:
        life.stop()
        simulation.loop.world.later(fault.seconds, life.go_on)


def _break(simulation: "Simulation", fault: Fault) -> None:
    draw = stream(simulation.loop.seed, "fault", fault.number)
    simulation.network.break_connections(fault.target, fault.other, draw)


def _silence(simulation: "Simulation", fault: Fault) -> None:
    simulation.network.silence(fault.target, fault.other, fault.seconds)


def _calls_lost(simulation: "Simulation", fault: Fault) -> None:
    _process(simulation, fault).trouble.losing += int(fault.amount)


def _calls_unheard(simulation: "Simulation", fault: Fault) -> None:
    _process(simulation, fault).trouble.muting += int(fault.amount)


def _calls_doubled(simulation: "Simulation", fault: Fault) -> None:
    _process(simulation, fault).trouble.doubling += int(fault.amount)


def _calls_late(simulation: "Simulation", fault: Fault) -> None:
    """By Ray, and so most of all the question where a process listens."""
    _process(simulation, fault).trouble.delaying += [fault.seconds] * int(fault.amount)


def _store_away(simulation: "Simulation", fault: Fault) -> None:
    simulation.database.go_away(fault.seconds, silent=fault.kind == "store silent")


def _store_slow(simulation: "Simulation", fault: Fault) -> None:
    def quick_again() -> None:
        simulation.database.trouble.slow = 1.0

    simulation.database.trouble.slow = 1 + 500 * fault.amount
    simulation.loop.world.later(fault.seconds, quick_again)


def _commit_late(simulation: "Simulation", fault: Fault) -> None:
    late = [fault.seconds / n for n in range(1, int(fault.amount) + 1)]
    simulation.database.trouble.late += late


def _epoch_late(simulation: "Simulation", fault: Fault) -> None:
    """A process dies, and what its successor opens its epoch with takes its time. It may be
    replaced meanwhile, and live on to try again beside its own successor."""
    process, down_s = _process(simulation, fault), fault.amount
    simulation.database.trouble.late_epochs.append(fault.seconds)
    process.crash(down_s=down_s)
    if fault.other:
        draw = stream(simulation.loop.seed, "fault", fault.number)
        simulation.loop.world.later(
            down_s + draw.uniform(0.01, 1.0),
            lambda: process.replace(down_s=draw.uniform(0.01, 1.0), lives_on_s=fault.seconds + 3),
        )


def _move_late(simulation: "Simulation", fault: Fault) -> None:
    """Whoever moves shards next hears nothing, and the database does it later."""
    simulation.database.trouble.late_moves.append(fault.seconds)


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


def _give_up_late(simulation: "Simulation", fault: Fault) -> None:
    """Whoever gives the claim up next hears nothing, and the database does it later."""
    simulation.database.trouble.late_give_ups.append(fault.seconds)


def _commit_locked(simulation: "Simulation", fault: Fault) -> None:
    simulation.database.trouble.locked_late += [fault.seconds] * int(fault.amount)


def _commit_unheard(simulation: "Simulation", fault: Fault) -> None:
    simulation.database.trouble.unheard += int(fault.amount)


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


def _jump(simulation: "Simulation", fault: Fault) -> None:
    """The wall clock of a process's machine is set."""
    jumped_us = int(fault.amount * 1e6)
    simulation.jumped_us[fault.target] = simulation.jumped_us.get(fault.target, 0) + jumped_us
    for world in simulation.worlds.get(fault.target, []):
        world.jumped_us += jumped_us


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
    "crash": _crash,
    "replace": _replace,
    "stop": _stop,
    "break": _break,
    "silence": _silence,
    "calls lost": _calls_lost,
    "calls unheard": _calls_unheard,
    "calls doubled": _calls_doubled,
    "calls late": _calls_late,
    "store away": _store_away,
    "store silent": _store_away,
    "store slow": _store_slow,
    "commit late": _commit_late,
    "commit locked": _commit_locked,
    "commit unheard": _commit_unheard,
    "dies at commit": _dies_at_commit,
    "hangs as it begins": _hangs_as_it_begins,
    "epoch late": _epoch_late,
    "answers lost": _answers_lost,
    "give up late": _give_up_late,
    "jump": _jump,
    "driver dies": _kill_driver,
    "drain": _operate,
    "take over": _operate,
    "move": _operate,
    "scale": _operate,
    "move late": _move_late,
    "move unheard": _move_unheard,
    "dies as asked": _dies_as_asked,
}

#: What befalls connections, machines, drivers, the database or all of the system: whatever else
#: befalls a process does not where there is none of its name.
_OF_NO_PROCESS = {kind for kind in _HOW if kind.startswith(("store", "commit"))} | {
    "break", "silence", "answers lost", "jump", "driver dies", "drain", "take over",
    "give up late", "dies at commit", "hangs as it begins", "scale", "move", "move late",
    "move unheard",
}  # fmt: skip

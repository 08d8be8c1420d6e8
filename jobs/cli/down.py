"""`thornback down`: the end of what `thornback up` started, and of nothing else."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import click
import psutil

from jobs.cli import options
from jobs.command_line import waiting
from jobs.drain import show as show_drained
from jobs.terminal import INTERRUPTED, UNWELL, console, leave_ray, problems
from runtime.cluster.clearing import databases_stopped, drain_namespace, settings_in
from runtime.cluster.programs import connected_programs
from runtime.cluster.project_ray import (
    Note,
    await_end,
    forget,
    note_ending,
    noted,
    one_at_a_time,
    refuse_if_busy,
    up_near,
    use_project_ray,
)
from runtime.cluster.ray_session import NoRay, join_ray
from runtime.driver.directory_link import namespaces_there
from runtime.errors import AnotherSystem, SystemNotFound
from runtime.settings.settings import Settings
from runtime.topology.status import Progress

#: How long Ray may take to end.
_END_S = 60.0
#: How long programs may take to leave it before, and between two looks whether they have.
_LEAVE_S, _LOOK_S = 10.0, 0.1


@click.command
@options.drain_timeout
@options.config
def command(timeout: float, config: Path | None) -> int:
    """Drain the system that `thornback up` started in this folder, and end it with its Ray.

    Everything that was accepted is answered and durable first. The database stays for the next
    `up`. A system on another Ray is not touched. The exit code is 1 when something did not end
    as it should.

    Drivers that were started in this folder run on, and find the system of the next `up`. Other
    programs that are connected to this Ray are ended by it, about 60 s after it has ended itself.
    """
    far = HowFar()
    try:
        return _down(timeout, config, far)
    except KeyboardInterrupt:
        problems.print(f"interrupted: {far}; `thornback down` ends the rest", markup=False)
        return INTERRUPTED


@dataclass(slots=True)
class HowFar:
    """How far ending it all has come, for whoever interrupts that."""

    drained: list[str] = field(default_factory=list)  #: the namespaces that are
    draining: str | None = None  #: the namespace that may be
    certain: bool = False  #: has the drain of that one begun, in its own directory?
    ray: str = "runs on"

    def __str__(self) -> str:
        said = [f"the system in namespace {name!r} is drained" for name in self.drained]
        if self.draining is not None:
            how = "goes on by itself" if self.certain else "may have begun"
            said.append(f"the drain of namespace {self.draining!r} {how}")
        return ", ".join([*(said or ["no system was drained"]), f"Ray {self.ray}"])


def drain_all(settings: Settings, timeout_s: float, far: HowFar) -> bool:
    """Drain every system of the Ray that this process has joined: those of other namespaces than
    that of the settings here are the project's, too. Is all as it should be?"""
    well = True
    own = settings.actor_system.namespace
    for namespace in sorted({own, *namespaces_there()}):
        there = settings_in(settings, namespace)
        far.draining, far.certain = namespace, False
        with suppress(SystemNotFound), waiting("draining") as show_progress:

            def progress(now: Progress, show: Callable[[Progress], None] = show_progress) -> None:
                far.certain = True  # its directory has been told
                show(now)

            while True:
                with suppress(AnotherSystem):  # the Ray is to end, and whatever is in it
                    report = drain_namespace(there, timeout_s, progress)
                    break
            far.drained.append(namespace)
            far.draining = None
            show_drained(report)
            well &= not report.problems
        far.draining = None
    return well


def end_keeper() -> None:
    """End the process that keeps the project's Ray, and with it that Ray. This one leaves it
    before: who leaves a Ray that has ended waits for its answer for seconds."""
    leave_ray()
    found = noted()
    keeper = found.keeper() if found else None
    if keeper is not None:
        with suppress(psutil.NoSuchProcess):
            keeper.terminate()
            try:
                keeper.wait(_END_S)
            except psutil.TimeoutExpired:
                keeper.kill()
                keeper.wait()
    forget()


def _down(timeout_s: float, config: Path | None, far: HowFar) -> int:
    if noted() is None:
        refuse_if_busy()
        return _nothing_is_up()
    settings = Settings.load(config)
    with one_at_a_time():
        found = noted()  # another `down` may just have come to its end, and even another `up`
        if found is None:
            return _nothing_is_up()
        keeper = found.keeper()
        if keeper is None:
            far.ray = "had ended by itself"
            console.print(
                "Ray had ended by itself, and all processes with it; what is committed stays"
            )
            await_end(found)
            well = _database_ended(settings)
            forget()
        else:
            well = _drained(settings, timeout_s, found, keeper, far)
            _end_ray(far)
    console.print("down")
    return 0 if well else UNWELL


def _nothing_is_up() -> int:
    near = up_near()
    elsewhere = f", but in {near}" if near is not None else ""
    console.print(f"nothing is up in this folder{elsewhere}", markup=False, soft_wrap=True)
    return 0


def _drained(
    settings: Settings, timeout_s: float, found: Note, keeper: psutil.Process, far: HowFar
) -> bool:
    """Drain what answers; a Ray that does not is ended as it is."""
    use_project_ray()
    try:
        join_ray()
    except NoRay as error:
        problems.print(f"ended without a drain: {error}; what is committed stays", markup=False)
        _end_ray(far)
        _database_ended(settings)
        return False
    well = drain_all(settings, timeout_s, far)
    _let_leave(found, keeper.pid)
    return well


def _let_leave(found: Note, keeper: int) -> None:
    """Have the programs that are connected leave Ray before it ends: Ray's own code ends those
    that have lost it, and they cannot catch that."""
    there = connected_programs(but=[keeper])
    note_ending(found, ending=True)
    until_s = time.monotonic() + _LEAVE_S
    stay = connected_programs(but=[keeper]) if there else []
    while stay and time.monotonic() < until_s:
        time.sleep(_LOOK_S)  # Ray does not say when one leaves
        stay = connected_programs(but=[keeper])
    if left := [program for program in there if program not in stay]:
        problems.print(f"these programs wait for the next `up`: {', '.join(left)}", markup=False)
    if stay:
        problems.print(
            "these programs do not leave Ray, which ends them about 60 s after it has ended "
            f"itself: {', '.join(stay)}",
            markup=False,
        )


def _end_ray(far: HowFar) -> None:
    far.ray = "is ending"
    end_keeper()
    far.ray = "has ended"


def _database_ended(settings: Settings) -> bool:
    """An embedded PostgreSQL outlives the processes that started it."""
    amiss = databases_stopped(settings)
    for problem in amiss:
        problems.print(problem, markup=False)
    return not amiss

"""`thornback down`: the end of what `thornback up` started, and of nothing else."""

from contextlib import suppress
from pathlib import Path

import click
import psutil

from jobs.cli import options
from jobs.command_line import waiting
from jobs.drain import show as show_drained
from jobs.terminal import INTERRUPTED, UNWELL, console, problems
from runtime.cluster.clearing import database_stopped, drain_namespace
from runtime.cluster.project_ray import (
    await_end,
    forget,
    noted,
    one_at_a_time,
    refuse_if_busy,
    up_above,
    use_project_ray,
)
from runtime.cluster.ray_session import NoRay, join_ray
from runtime.driver.directory_link import namespaces_there
from runtime.errors import SystemNotFound
from runtime.settings.settings import Settings

#: How long Ray may take to end.
_END_S = 60.0


@click.command
@options.drain_timeout
@options.config
def command(timeout: float, config: Path | None) -> int:
    """Drain the system that `thornback up` started in this folder, and end it with its Ray.

    Everything that was accepted is answered and durable first. The database stays for the next
    `up`. A system on another Ray is not touched. The exit code is 1 when something did not end
    as it should.

    End your drivers before: Ray ends the programs that are still connected to it about 60 s after
    it has ended itself, from outside Python. Only `drain` and `launch`, on a Ray that stays, leave
    them running; a change of code needs neither.
    """
    found = noted()
    if found is None:
        refuse_if_busy()
        above = up_above()
        elsewhere = f", but in {above}" if above is not None else ""
        console.print(f"nothing is up in this folder{elsewhere}", markup=False, soft_wrap=True)
        return 0
    settings = Settings.load(config)
    with one_at_a_time():
        try:
            if found.keeper() is None:
                console.print(
                    "Ray had ended by itself, and all processes with it; what is committed stays"
                )
                await_end(found)
                well = _database_ended(settings)
                forget()
            else:
                well = _drained(settings, timeout)
                end_keeper()
        except KeyboardInterrupt:
            problems.print(
                "interrupted; what has begun to end goes on: `thornback down` ends the rest"
            )
            return INTERRUPTED
    console.print("down")
    return 0 if well else UNWELL


def drain_all(settings: Settings, timeout_s: float) -> bool:
    """Drain every system of the Ray that this process has joined: those of other namespaces than
    that of the settings here are the project's, too. Is all as it should be?"""
    well = True
    own = settings.actor_system.namespace
    for namespace in sorted({own, *namespaces_there()}):
        there = settings.replaced("actor_system", "namespace", namespace, "what runs")
        with suppress(SystemNotFound), waiting("draining") as show_progress:
            report = drain_namespace(there, timeout_s, show_progress)
            show_drained(report)
            well &= not report.problems
    return well


def end_keeper() -> None:
    """End the process that keeps the project's Ray, and with it that Ray."""
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


def _drained(settings: Settings, timeout_s: float) -> bool:
    """Drain what answers; a Ray that does not is ended as it is."""
    use_project_ray()
    try:
        join_ray()
    except NoRay as error:
        problems.print(f"ended without a drain: {error}; what is committed stays", markup=False)
        end_keeper()
        _database_ended(settings)
        return False
    return drain_all(settings, timeout_s)


def _database_ended(settings: Settings) -> bool:
    """An embedded PostgreSQL outlives the processes that started it."""
    amiss = database_stopped(settings)
    for problem in amiss:
        problems.print(problem, markup=False)
    return not amiss

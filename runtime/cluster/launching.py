"""Launching a system from a driver: one directory in the namespace, and what it starts.

Launches may race: Ray gives all of them the same directory, and they share one start. A
directory that was drained, or that failed to start and undid it, is over; whoever finds it
so ends it and starts a new one.
"""

from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayError

from runtime.cluster import embedded_database as embedded
from runtime.cluster.directory import Directory
from runtime.cluster.spawning import reason_of
from runtime.driver.directory_link import Look, Patience, answer
from runtime.errors import LaunchFailed
from runtime.process.ray_actors import RayActors
from runtime.process.ray_machines import machines_of_ray
from runtime.settings.settings import Settings
from runtime.telemetry.exporter import fresh_folder
from runtime.topology.names import DIRECTORY_ACTOR
from runtime.topology.release import RELEASE
from runtime.topology.status import Progress, Topology
from runtime.transport.certificates import check_certificates
from runtime.transport.loopback import this_machine
from runtime.transport.ray_stay import InNoRay, asking_ray
from store.errors import SystemReplaced


def launch(
    settings: Settings,
    timeout_s: float,
    progress: Callable[[Progress], None] | None = None,
    *,
    take_over: bool = False,
) -> Topology:
    """The topology of the system; what does not run yet is started.

    `progress` hears now and then how far the start has come. Raises LaunchFailed with the
    reason, after stopping what this launch had started and nothing else, and SystemDraining
    for a system that is just being drained, and AnotherRelease for one that runs already and
    is of another. `take_over` takes the database from whichever
    system has it. What migrations of the database take is not counted in `timeout_s`. Raises
    ConfigurationError where calls between machines are to be in TLS and there are no certificates
    here for that.
    """
    check_certificates(settings)
    try:
        with asking_ray():
            return _launched(settings, Patience(timeout_s), progress, take_over=take_over)
    except InNoRay as error:
        raise LaunchFailed(str(error)) from error


def _launched(
    settings: Settings,
    patience: Patience,
    progress: Callable[[Progress], None] | None,
    *,
    take_over: bool,
) -> Topology:
    while True:
        directory = _ensure_directory(settings)
        try:
            topology: Topology | None = answer(
                directory, "launch", patience, take_over, RELEASE, look=_look(directory, progress)
            )
        except (LaunchFailed, SystemReplaced):
            _end_if_over(directory)
            raise
        except ActorDiedError as error:
            # Whoever drained the system, or failed to launch it, has just ended this one.
            if error.actor_init_failed or patience.left_s <= 0:
                raise LaunchFailed(reason_of(error)) from error
            continue
        if topology is not None:
            return topology
        _end_if_over(directory)


def _ensure_directory(settings: Settings) -> Any:
    namespace = settings.actor_system.namespace
    counts = settings.event_bus.metrics_enabled
    folder = fresh_folder(namespace) if counts else None
    machine = _machine_of_data(settings) if embedded.has_own(settings) else ""
    spawn = RayActors(namespace).spawn
    return spawn(Directory, settings, DIRECTORY_ACTOR, folder, machine=machine)


def _machine_of_data(settings: Settings) -> str:
    """The machine that has the data of an embedded PostgreSQL: this one, or one with the labels of
    the core where this one lacks them. Ray is to start the directory anew on no other one, which
    would begin with an empty log. Nothing where there is none with these labels yet."""
    here, labels = this_machine(), settings.actor_system.core_labels
    if not labels:
        return here
    theirs = [each.id for each in machines_of_ray() if each.has(labels) and not each.leaving]
    return here if here in theirs else min(theirs, default="")


def _end_if_over(directory: Any) -> None:
    try:
        if ray.get(directory.over.remote(), timeout=5.0):
            ray.kill(directory, no_restart=True)
    except RayError:
        return  # it is away, or has ended: there is nothing left to end


def _look(directory: Any, progress: Callable[[Progress], None] | None) -> Look:
    counts = True

    def look() -> bool:
        nonlocal counts
        try:
            now: Progress = ray.get(directory.progress.remote(), timeout=1.0)
            counts = now.counts
        except RayError:
            # It does what it did: else looks in vain would use up the time of a launch whose
            # migration takes hours. That it has ended for good, the call that is waited for tells.
            now = Progress(doing="waiting for the directory")
        if progress is not None:
            progress(now)
        return counts

    return look

"""Draining whatever there is in a namespace: a whole system, a half of one, or what is left.

Usually the directory does it. Where it cannot (its start fails for ever, or somebody has killed it
for good), what is left is flushed and ended from here. No system is launched meanwhile, which would
go on with processes that are about to be ended: the name of its directory is taken.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Protocol

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayError

from runtime.cluster import embedded_database as embedded
from runtime.cluster.claim import in_use
from runtime.cluster.draining import Drain
from runtime.cluster.spawning import reason_of
from runtime.driver.directory_link import called, directory_of, namespaces_of_processes
from runtime.errors import AnotherSystem, HostUnavailable, SystemNotFound
from runtime.process.claim_table import PostgresClaimTable
from runtime.process.partitioning import each_partition, of_partition
from runtime.process.ray_actors import RayActors
from runtime.process.world import Actors
from runtime.settings.settings import Settings
from runtime.topology.names import DIRECTORY_ACTOR, ProcessKind
from runtime.topology.partitions import named_partition
from runtime.topology.status import DrainReport, Progress
from store.embedded.server import EmbeddedPostgres
from store.errors import EmbeddedError, StoreError

logger = logging.getLogger("thornback.directory")

#: Between two looks at how far it has come, or for a directory that restarts.
_LOOK_S = 0.5
#: What the directory may take beyond flushing: most of it is the embedded database's shutdown.
_GRACE_S = 150.0
#: How long a directory that restarts may stay away.
_AWAY_S = 30.0


def drain_namespace(
    settings: Settings, timeout_s: float, progress: Callable[[Progress], None]
) -> DrainReport:
    """Drain what the namespace of these settings has; `timeout_s` is for each process to flush.
    `progress` hears now and then how far it has come. Raises SystemNotFound where there is
    nothing, and AnotherSystem where what there was has ended, and another system was launched."""
    left = Left(RayActors(settings.actor_system.namespace), settings)
    try:
        left.directory = directory_of(settings.actor_system.namespace)
    except SystemNotFound:
        if not left.names():
            raise
        return _cleared(left, settings, timeout_s, "the directory is gone")
    try:
        report = _stopped(left.directory, timeout_s, progress)
    except (RayError, GetTimeoutError) as error:
        return _cleared(left, settings, timeout_s, reason_of(error).splitlines()[0])
    ray.kill(left.directory, no_restart=True)
    return report


class Names(Actors, Protocol):
    """The actors of a namespace, and who has which name. What RayActors is."""

    def hold(self, kind: type[Any], settings: Settings, name: str) -> Any:
        """The handle of an actor that has a name as long as this program does not end it, nor ends.
        Raises ValueError where another one has it."""


class Left:
    """What there is of one system, whose `directory` may be gone for good."""

    #: Between two tries: Ray does not say when a name is free again, which is at once.
    PAUSE_S = 0.02

    def __init__(self, actors: Names, settings: Settings, directory: Any = None) -> None:
        self._actors, self._settings = actors, settings  # immutable
        self._section = settings.actor_system  # immutable
        self.directory = directory  #: the handle; None where there was none

    def names(self) -> dict[str, ProcessKind]:
        """Its processes, each with its kind."""
        return self._actors.processes(self._section.placement)

    @contextmanager
    def to_end(self) -> Iterator[dict[str, Any]]:
        """The handle of each process but the directory, which ends first; then all of them do. No
        system is launched meanwhile. Raises AnotherSystem where one was before, and then nothing of
        that one is ended."""
        if self.directory is not None:
            self._actors.kill(self.directory)
        holder = self._held()
        try:
            found = {name: self._found(name) for name in self.names() if name != DIRECTORY_ACTOR}
            handles = {name: handle for name, handle in found.items() if handle is not None}
            yield handles
            for handle in handles.values():
                self._actors.kill(handle)
        finally:
            self._actors.kill(holder)

    def _held(self) -> Any:
        """Who has the directory's name from now on."""
        from runtime.cluster.place_holder import PlaceHolder  # noqa: PLC0415 - most drains need none

        until_s = time.monotonic() + _AWAY_S
        while time.monotonic() < until_s:
            try:
                return self._actors.hold(PlaceHolder, self._settings, DIRECTORY_ACTOR)
            except ValueError:
                there = self._found(DIRECTORY_ACTOR)
                if there is not None and there != self.directory:
                    raise AnotherSystem(self._section.namespace) from None
                time.sleep(self.PAUSE_S)
        raise HostUnavailable(DIRECTORY_ACTOR, "it was ended, and Ray keeps its name")

    def _found(self, name: str) -> Any:
        try:
            return self._actors.find(name)
        except ValueError:
            return None


def _stopped(directory: Any, timeout_s: float, progress: Callable[[Progress], None]) -> DrainReport:
    limit_s = time.monotonic() + 3 * timeout_s + _GRACE_S
    away_until_s = time.monotonic() + _AWAY_S
    while True:
        reply = called(directory, "stop", timeout_s)
        try:
            while not ray.wait([reply], timeout=_LOOK_S)[0] and time.monotonic() < limit_s:
                progress(ray.get(directory.progress.remote(), timeout=_GRACE_S))
            report: DrainReport = ray.get(reply, timeout=0)
            return report
        except ActorUnavailableError:
            if time.monotonic() > away_until_s:
                raise
            time.sleep(_LOOK_S)  # Ray does not say when a process that restarts is back


def _cleared(left: Left, settings: Settings, timeout_s: float, why: str) -> DrainReport:
    """Without the directory: flush who answers, end all of them, and stop the embedded database
    unless it is somebody else's."""
    kinds = left.names()
    with left.to_end() as handles:
        logger.warning("the system is ended without its directory: %s", why)
        there = {name: kind for name, kind in kinds.items() if name in handles}

        def drained(name: str) -> Awaitable[int]:
            asked: Awaitable[int] = handles[name].drain.remote()
            return asked

        flushed = asyncio.run(Drain(there, drained, timeout_s).run())
    problems = [f"the directory did not do it: {why}"]
    problems += database_stopped(settings)
    return DrainReport(processes=flushed, end_problems=tuple(problems))


def drain_partitions(
    settings: Settings, timeout_s: float, progress: Callable[[Progress], None]
) -> DrainReport:
    """The same for all partitions of a system, or what there is of them: by their namespaces, so
    also where these settings say another number of them. The first one is the last. The processes
    of others are named with their namespace. Raises SystemNotFound where there is none of them,
    and AnotherSystem, behind which the rest is left."""
    own = settings.actor_system.namespace
    partitions = {each: named_partition(each) for each in namespaces_of_processes()}
    others = [each for each, named in partitions.items() if named is not None and named[0] == own]
    if not others:
        return drain_namespace(settings, timeout_s, progress)
    reports: list[DrainReport] = []
    for namespace in others:
        with suppress(SystemNotFound):  # somebody else drains it, too
            theirs = settings_in(settings, namespace)
            reports.append(_named(drain_namespace(theirs, timeout_s, progress), namespace))
    with suppress(SystemNotFound):
        reports.append(drain_namespace(settings, timeout_s, progress))
    return DrainReport(
        processes=tuple(process for report in reports for process in report.processes),
        end_problems=tuple(problem for report in reports for problem in report.end_problems),
    )


def settings_in(settings: Settings, namespace: str) -> Settings:
    """Those of whatever runs in a namespace, as far as they say it: of another system, or of a
    partition of the one that they are of."""
    named = named_partition(namespace)
    store, own = settings.event_store, settings.actor_system.namespace
    if named is not None and named[0] == own and 0 < named[1] < store.partitions:
        return of_partition(settings, named[1])
    return settings.replaced("actor_system", "namespace", namespace, "what runs")


def _named(report: DrainReport, namespace: str) -> DrainReport:
    processes = (replace(each, name=f"{each.name} in {namespace}") for each in report.processes)
    problems = (f"{namespace}: {each}" for each in report.end_problems)
    return DrainReport(processes=tuple(processes), end_problems=tuple(problems))


def database_user(server: EmbeddedPostgres, settings: Settings) -> str | None:
    """Which system uses an embedded PostgreSQL that runs; None where none does. It may take
    DatabaseClaim.LAPSE_S. Raises StoreUnavailable."""
    there = embedded.with_database(settings, server.url)
    return asyncio.run(in_use(PostgresClaimTable(lambda: there)))


def databases_stopped(settings: Settings) -> list[str]:
    """The same for each partition of a system, which has a database of its own."""
    return [problem for each in each_partition(settings) for problem in database_stopped(each)]


def database_stopped(settings: Settings) -> list[str]:
    """Stop the embedded database of a system that has ended without doing so, unless it is
    somebody else's; why that did not happen, if it did not."""
    if not embedded.wanted(settings):
        return []
    server = EmbeddedPostgres(embedded.folder_of(settings))
    try:
        if server.running():
            using = database_user(server, settings)
            if using is not None:
                return [f"the embedded PostgreSQL is left to {using}"]
            server.stop()
    except (EmbeddedError, StoreError, OSError) as error:
        return [str(error)]
    return []

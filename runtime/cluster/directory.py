"""The directory: which process runs which actors, and the root of the system.

Actor ids hash into shards, and the directory maps shards to hosts. It is the Ray actor
that starts the others, finds or makes dedicated hosts, keeps the embedded PostgreSQL
running, serves the metrics of all, and stops everything when the system is drained.
"""

import asyncio
import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError

from runtime.cluster.embedded_database import with_database
from runtime.cluster.spawning import actor_options
from runtime.host.host import Host
from runtime.partition.bus import Bus
from runtime.partition.writer import WriterActor
from runtime.process.process import Process
from runtime.process.store_access import migrate_store
from runtime.process.world import World
from runtime.settings.settings import Settings, redacted_url
from runtime.telemetry.exporter import Exporter, PortTaken, fresh_folder, remove_folder
from runtime.topology.names import BUS_ACTOR, DIRECTORY_ACTOR, WRITER_ACTOR, host_name
from runtime.wire.error_codec import EncodedError
from store.embedded.server import EmbeddedError, EmbeddedPostgres
from store.errors import StoreError

logger = logging.getLogger("thornback.directory")


class Directory(Process):
    """Named `directory`. `start` is what `ActorSystem.launch` waits for."""

    def __init__(
        self,
        name: str,
        settings_json: str,
        metrics_folder: str | None,
        *,
        world: World | None = None,
    ) -> None:
        super().__init__(name, settings_json, metrics_folder, world=world)
        self._metrics_folder = metrics_folder
        self._dedicated: set[str] = set()
        self._locating = asyncio.Lock()
        self._exporter: Exporter | None = None
        self._database: EmbeddedPostgres | None = None
        self._stopping = threading.Event()
        if ray.get_runtime_context().was_current_actor_reconstructed:
            self._open()

    async def start(self) -> None:
        """Start every process of the system and wait until each is ready."""
        if self._database is None and self._exporter is None:
            await asyncio.get_running_loop().run_in_executor(None, self._open)
        await migrate_store(self.settings)
        await asyncio.gather(*(actor.ready.remote() for actor in self._pooled_actors()))

    async def launch(self) -> dict[str, Any] | EncodedError:
        """Start, and say what runs; or why it could not."""
        try:
            await self.started()
        except (StoreError, EmbeddedError, PortTaken, RayError) as error:
            cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
            return "LaunchFailed", [str(cause)]
        return self.topology()

    def topology(self) -> dict[str, Any]:
        """What a driver needs: the settings, with the database's address, and the hosts."""
        hosts = self.settings.actor_system.hosts
        return {
            "settings": self.settings.model_dump_json(),
            "hosts": [host_name(number) for number in range(hosts)],
        }

    async def locate(self, source: str, actor: bytes | None) -> str:
        """The dedicated host of an actor, started if it is not there; its name."""
        async with self._locating:
            if source not in self._dedicated:
                handle = self._spawn(Host, source, source, actor)
                await handle.ready.remote()
                self._dedicated.add(source)
        return source

    async def statuses(self) -> list[dict[str, Any]]:
        """The status of every process; one that does not answer says so."""
        return [await self.status(), *await asyncio.gather(*map(self._status, self._names()))]

    async def stop(self, timeout_s: float) -> dict[str, Any]:
        """Flush every host and the writer, then end every process but this one."""
        drained: dict[str, Any] = {}
        for name in (*self._hosts(), WRITER_ACTOR):
            try:
                drained[name] = await asyncio.wait_for(self._drained(name), timeout_s)
            except (RayError, ValueError, TimeoutError) as error:
                drained[name] = f"not drained: {type(error).__name__}"
        for name in self._names():
            try:
                ray.kill(self._handle(name), no_restart=True)
            except ValueError:
                logger.info("%s: was gone already", name)
        self._stopping.set()
        if self._exporter:
            self._exporter.close()
        if self._database:
            await asyncio.get_running_loop().run_in_executor(None, self._database.stop)
        if self._metrics_folder:
            remove_folder(Path(self._metrics_folder))
        return drained

    async def _drained(self, name: str) -> Any:
        while True:
            try:
                return await self._handle(name).drain.remote()
            except ActorUnavailableError:
                # It is being restarted, or is back and this process does not know yet.
                await asyncio.sleep(0.1)

    async def facts(self) -> dict[str, Any]:
        store = self.settings.event_store
        url = store.connection_string.get_secret_value()
        where = "memory" if store.type == "memory" else redacted_url(url)
        return {"store": where, "embedded": self._database is not None}

    def _open(self) -> None:
        """The parts that are not actors: the embedded database and the exporter."""
        store = self.settings.event_store
        if store.type == "postgres" and not store.connection_string.get_secret_value():
            self._database = EmbeddedPostgres(store.data_folder / "postgres")
            url = self._database.start()
            self.settings = with_database(self.settings, url)
            threading.Thread(target=self._keep_database, daemon=True).start()
        metrics = self.settings.metrics
        if self.settings.event_bus.metrics_enabled and metrics.port:
            assert self._metrics_folder is not None
            folder = Path(self._metrics_folder)
            self._exporter = Exporter(folder, metrics.host, metrics.port)

    def _keep_database(self) -> None:
        """Start the embedded server again when it has died."""
        database = self._database
        assert database is not None
        while not self._stopping.wait(0.5):  # a server of another user's is not our child
            try:
                if not database.running():
                    logger.error("the embedded PostgreSQL is gone: starting it again")
                    database.start()
            except (EmbeddedError, OSError):
                logger.exception("the embedded PostgreSQL does not start")

    def _pooled_actors(self) -> Iterable[Any]:
        yield self._spawn(WriterActor, WRITER_ACTOR)
        yield self._spawn(Bus, BUS_ACTOR)
        for name in self.topology()["hosts"]:
            yield self._spawn(Host, name)

    def _spawn(self, kind: type[Process], name: str, *more: Any) -> Any:
        options = actor_options(self.settings, name)
        return (
            ray.remote(kind)
            .options(**options)
            .remote(name, self.settings.model_dump_json(), self._metrics_folder, *more)
        )

    def _names(self) -> list[str]:
        return [WRITER_ACTOR, BUS_ACTOR, *self._hosts()]

    def _hosts(self) -> list[str]:
        named = ray.util.list_named_actors(all_namespaces=True)
        ours = {one["name"] for one in named if one["namespace"] == self._namespace}
        ours -= {WRITER_ACTOR, BUS_ACTOR, DIRECTORY_ACTOR}
        return sorted(ours)

    @property
    def _namespace(self) -> str:
        return self.settings.actor_system.namespace

    def _handle(self, name: str) -> Any:
        return ray.get_actor(name, namespace=self._namespace)

    async def _status(self, name: str) -> dict[str, Any]:
        try:
            return await asyncio.wait_for(_await(self._handle(name).status.remote()), 5)
        except (RayError, ValueError, TimeoutError) as error:
            return {"name": name, "away": type(error).__name__}


def start_directory(settings: Settings) -> Any:
    """The directory's handle; started if there is none in the namespace."""
    folder = None
    try:
        return ray.get_actor(DIRECTORY_ACTOR, namespace=settings.actor_system.namespace)
    except ValueError:
        if _counts(settings):
            folder = str(fresh_folder(settings.actor_system.namespace))
    return (
        ray.remote(Directory)
        .options(**actor_options(settings, DIRECTORY_ACTOR))
        .remote(DIRECTORY_ACTOR, settings.model_dump_json(), folder)
    )


def _counts(settings: Settings) -> bool:
    return settings.event_bus.metrics_enabled


async def _await(reference: Any) -> Any:
    return await reference

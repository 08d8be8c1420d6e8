"""How the processes of a system are started as Ray actors, and found again."""

import asyncio
import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayError, RayTaskError

from actors.errors import ThornbackError
from runtime.errors import StartFailed
from runtime.process.process import Process
from runtime.settings.settings import Settings
from runtime.topology.names import ProcessKind, processes_among
from runtime.transport.peers import awaited

logger = logging.getLogger("thornback.directory")


def actor_options(settings: Settings, name: str) -> dict[str, Any]:
    """How every process of the system is started: named, detached, restarted for ever."""
    return {
        "name": name,
        "namespace": settings.actor_system.namespace,
        "lifetime": "detached",
        "get_if_exists": True,
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": 0,
        "max_concurrency": 10_000,
        "enable_task_events": False,
    }


def spawn(kind: type[Process], settings: Settings, name: str, *arguments: Any) -> Any:
    """The handle of a process, which is started if there is none of its name."""
    options = actor_options(settings, name)
    return _remote(kind).options(**options).remote(name, settings.model_dump_json(), *arguments)


def handle_of(settings: Settings, name: str) -> Any:
    """The handle of a process. Raises ValueError where there is none of its name."""
    return ray.get_actor(name, namespace=settings.actor_system.namespace)


def processes_of(settings: Settings) -> dict[str, ProcessKind]:
    """The processes of the system that there are now. Other actors of the namespace are
    somebody else's and not among them."""
    named = ray.util.list_named_actors(all_namespaces=True)
    namespace = settings.actor_system.namespace
    names = (one["name"] for one in named if one["namespace"] == namespace)
    return processes_among(names, settings.actor_system.placement)


def end(settings: Settings, name: str) -> None:
    """Kill a process for good; none of that name is fine."""
    try:
        ray.kill(handle_of(settings, name), no_restart=True)
    except ValueError:
        logger.info("%s: was gone already", name)


def reason_of(error: BaseException) -> str:
    """Why a process did not start, without what Ray tells about the way there."""
    if isinstance(error, RayTaskError):
        return str(error.cause)
    if isinstance(error, ActorDiedError) and error.actor_init_failed:
        return str(error).strip().splitlines()[-1]  # the last line of a traceback
    return str(error) or type(error).__name__


class DedicatedHosts:
    """Finds the hosts that run one actor each, and starts those that are not there.

    Starts run side by side, a bounded number at a time, so that one which hangs or fails
    keeps nobody else waiting. Who asks for the same host meanwhile shares its start.
    """

    #: Starts at a time: one takes most of a second of a processor, and 50 MB to stay.
    AT_ONCE = 16
    #: How long one start may take until it is given up and its process ended.
    START_S = 60.0

    def __init__(
        self,
        find: Callable[[str], Any],
        start: Callable[[str, bytes | None], Any],
        end: Callable[[str], None],
    ) -> None:
        self._find, self._start, self._end = find, start, end
        self._known: set[str] = set()
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(self.AT_ONCE)

    async def ensure_started(self, source: str, actor: bytes | None) -> None:
        """Return when the host of this source is ready. Raises StartFailed, and then the
        next call tries again."""
        if source in self._known:
            return
        starting = self._starting.get(source)
        if starting is None:
            starting = asyncio.ensure_future(self._make_ready(source, actor))
            self._starting[source] = starting
            starting.add_done_callback(lambda _: self._starting.pop(source, None))
        await asyncio.shield(starting)

    async def cancel(self) -> None:
        """Start no more, and wait until no start is under way."""
        under_way = list(self._starting.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _make_ready(self, source: str, actor: bytes | None) -> None:
        async with self._room:
            handle, ours = self._handle(source, actor)
            try:
                await asyncio.wait_for(awaited(handle.ready.remote()), self.START_S)
            except TimeoutError as error:
                if ours:  # nobody has used it yet, and its name shall be free for another try
                    self._end(source)
                raise StartFailed(source, f"not ready within {self.START_S:g} s") from error
            except (RayError, ThornbackError) as error:
                raise StartFailed(source, reason_of(error)) from error
        self._known.add(source)

    def _handle(self, source: str, actor: bytes | None) -> tuple[Any, bool]:
        try:
            return self._find(source), False
        except ValueError:
            return self._start(source, actor), True


@cache
def _remote(kind: type[Process]) -> Any:
    """The class as Ray knows it; making one ships the class."""
    return ray.remote(kind)

"""The hosts of a system, asked one by one: what they know, and whether they are there.

Commands take other ways (channel.py). What is asked here may be asked as often as one likes.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from ray.exceptions import ActorDiedError, RayError, RayTaskError

from actors.errors import InvalidActor, ThornbackError
from actors.naming import actor_type_of
from runtime.driver.connection import Connection
from runtime.errors import HostUnavailable
from runtime.topology.names import DIRECTORY_ACTOR, ProcessKind, program_of_worker
from runtime.topology.status import FailureRecord, Status
from runtime.wire.type_descriptions import TypeDescription

logger = logging.getLogger("thornback.driver")

T = TypeVar("T")


class Silent(NamedTuple):
    """A process that did not say what it was asked."""

    name: str
    reason: str


class FailuresHeard(NamedTuple):
    """What those hosts tell of failures that answer, and which do not."""

    records: list[FailureRecord]
    silent: list[Silent]


class Hosts:
    """Asks the hosts. In the loop of its connection."""

    #: How long one of them may take to answer.
    LIMIT_S = 5.0

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def descriptions(self, known: Mapping[str, str]) -> list[TypeDescription]:
        """What they tell of the actor types that they decide, less those of the `known`
        fingerprints. A host that is away tells nothing."""
        names = [*self._pooled(), *await self._dedicated()]
        asked = (self._ask(name, "describe", known) for name in names)
        return _told(await asyncio.gather(*asked, return_exceptions=True))

    async def offer(self, source: str, code: bytes) -> None:
        """Have the host of a source know a class of its actor type, unless it knows one. Raises
        HostUnavailable, and InvalidActor for a class that the host refuses."""
        host = self._connection.channels.of(source, None).host
        await self._ask(host, "offer", actor_type_of(source), code)

    async def class_named(self, actor_type: str) -> bytes | None:
        """The class of a receiver, as code, where a process has it because messages of its own name
        it; None if none has, of those that answer."""
        names = [*self._pooled(), *await self._dedicated(), *await self._workers()]
        for name in names:
            try:
                code: bytes | None = await self._ask(name, "class_named", actor_type)
            except HostUnavailable as error:  # also one whose class cannot travel
                logger.info("%s tells no class of %s: %s", name, actor_type, error)
                continue
            if code is not None:
                return code
        return None

    async def register(self, code: bytes) -> None:
        """Have all pooled hosts know a class from now on. Raises HostUnavailable, and InvalidActor
        for a class that one of them refuses."""
        await asyncio.gather(*(self._ask(name, "register", code) for name in self._pooled()))

    async def failures(self) -> FailuresHeard:
        """What they have answered with an error, by host and type, and which of them do not say.
        All are asked side by side, so that it takes LIMIT_S at the most."""
        until_s = asyncio.get_running_loop().time() + self.LIMIT_S
        pooled = self._failures_of(self._pooled(), until_s)
        first, second = await asyncio.gather(pooled, self._failures_of_dedicated(until_s))
        return FailuresHeard(first.records + second.records, first.silent + second.silent)

    async def _failures_of_dedicated(self, until_s: float) -> FailuresHeard:
        if not self._has_dedicated():
            return FailuresHeard([], [])
        try:
            async with asyncio.timeout_at(until_s):
                names = await self._connection.rejoining.ask("dedicated_hosts")
        except (RayError, ThornbackError, ConnectionError, TimeoutError) as error:
            # Which there are, it alone could say.
            return FailuresHeard([], [Silent(DIRECTORY_ACTOR, type(error).__name__)])
        return await self._failures_of(names, until_s)

    async def _failures_of(self, names: Iterable[str], until_s: float) -> FailuresHeard:
        left_s = max(until_s - asyncio.get_running_loop().time(), 0.0)
        asked = (self._ask(name, "failures", limit_s=left_s) for name in names)
        heard = FailuresHeard([], [])
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, HostUnavailable):
                heard.silent.append(Silent(answer.host, answer.reason))
            elif isinstance(answer, BaseException):
                raise answer
            else:
                heard.records.extend(answer)
        return heard

    async def check_ready(self, limit_s: float) -> None:
        """Return if every pooled host says that it has started. Raises HostUnavailable."""
        await asyncio.gather(
            *(self._ask(name, "ready", limit_s=limit_s) for name in self._pooled())
        )

    def _pooled(self) -> list[str]:
        return sorted(set(self._connection.channels.table.hosts))

    async def _dedicated(self) -> list[str]:
        """A host of each actor type that has hosts of its own: one is as good as another."""
        if not self._has_dedicated():
            return []
        hosts = await self._connection.rejoining.ask("dedicated_hosts")
        return list({actor_type_of(name): name for name in hosts}.values())

    async def _workers(self) -> list[str]:
        """One of each stream program: the messages of all of them name the same classes."""
        statuses: tuple[Status, ...] = await self._connection.rejoining.ask("statuses")
        workers = [one.name for one in statuses if one.kind is ProcessKind.WORKER]
        return list({program_of_worker(name): name for name in workers}.values())

    def _has_dedicated(self) -> bool:
        return "dedicated" in self._connection.settings.actor_system.placement.values()

    async def _ask(
        self, host: str, method: str, *arguments: Any, limit_s: float | None = None
    ) -> Any:
        limit_s = self.LIMIT_S if limit_s is None else limit_s
        try:
            async with asyncio.timeout(limit_s):
                handle = await self._connection.world.handle(host)
                return await getattr(handle, method).remote(*arguments)
        except TimeoutError as error:
            raise HostUnavailable(host, f"no answer within {limit_s:g} s") from error
        except RayTaskError as error:  # the host raised it
            if isinstance(error.cause, InvalidActor):
                raise InvalidActor(*error.cause.args) from error
            raise HostUnavailable(host, str(error.cause)) from error
        except (RayError, ValueError, ConnectionError) as error:
            if isinstance(error, ActorDiedError):
                self._connection.world.forget(host)  # another one may have its name by now
            # It may have no shards any more, and have been ended: whoever asks again knows.
            await self._connection.channels.look_elsewhere(host)
            raise HostUnavailable(host, type(error).__name__) from error


def _told(answers: Iterable[list[T] | BaseException]) -> list[T]:
    """What those said that are not away."""
    found: list[T] = []
    for one in answers:
        if isinstance(one, BaseException):
            if not isinstance(one, ThornbackError):
                raise one
        else:
            found += one
    return found

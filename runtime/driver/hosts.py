"""The hosts of a system, asked one by one: what they know, and whether they are there.

Commands take other ways (channel.py). What is asked here may be asked as often as one likes.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ray.exceptions import RayError, RayTaskError

from actors.errors import InvalidActor, ThornbackError
from actors.naming import actor_type_of
from runtime.driver.connection import Connection
from runtime.errors import HostUnavailable
from runtime.topology.names import HOSTS, ProcessKind, host_name
from runtime.topology.status import FailureRecord
from runtime.wire.type_descriptions import TypeDescription

T = TypeVar("T")


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

    async def failures(self) -> list[FailureRecord]:
        """What they have answered with an error, by host and type. A host that is away tells
        nothing."""
        statuses = await self._connection.rejoining.ask("statuses")
        names = [each.name for each in statuses if each.kind in HOSTS]
        asked = (self._ask(name, "failures") for name in names)
        return _told(await asyncio.gather(*asked, return_exceptions=True))

    async def check_ready(self, limit_s: float) -> None:
        """Return if every pooled host says that it has started. Raises HostUnavailable."""
        await asyncio.gather(
            *(self._ask(name, "ready", limit_s=limit_s) for name in self._pooled())
        )

    def _pooled(self) -> list[str]:
        return [host_name(n) for n in range(self._connection.settings.actor_system.hosts)]

    async def _dedicated(self) -> list[str]:
        """A host of each actor type that has hosts of its own: one is as good as another."""
        if "dedicated" not in self._connection.settings.actor_system.placement.values():
            return []
        statuses = await self._connection.rejoining.ask("statuses")
        hosts = [each.name for each in statuses if each.kind is ProcessKind.DEDICATED_HOST]
        return list({actor_type_of(name): name for name in hosts}.values())

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

"""A gateway notices within five seconds who is away that it needs, and as fast that he is back."""

import asyncio
from typing import Any, cast

import pytest
from ray.exceptions import ActorDiedError

from gateways.web.parts import Parts
from gateways.web.readiness import Readiness
from runtime.driver.connection import Connection
from runtime.settings.settings import Settings
from store.errors import StoreUnavailable
from store.shards import dealt
from tests.virtual_time import virtual_time

WITHIN_S = 5.0
#: How long after a look somebody goes away.
PHASES_S = (0.0, 0.4, 0.9)


class Played:
    """A connection to two hosts and a database, of which any may hang or fail."""

    def __init__(self) -> None:
        self.settings = Settings.load(environ={}, actor_system={"hosts": 2})
        self.world = self.channels = self.rejoining = self
        self.table = dealt(["host-0", "host-1"])
        self.hangs, self.fails = "", ""

    async def ensure(self) -> None:
        """The system is as it is known."""

    async def open_store(self) -> Any:
        """The log, which is asked where it stands."""
        return self

    async def head(self) -> int:
        """Where it stands."""
        await self._asked("database", StoreUnavailable("the log", "away"))
        return 0

    async def handle(self, name: str) -> Any:
        """A host, which is asked whether it is ready."""
        return PlayedHost(self, name)

    def forget(self, name: str) -> None:
        """A host has ended for good."""

    async def look_elsewhere(self, host: str) -> None:
        """It may have no shards any more."""

    async def _asked(self, whom: str, error: Exception) -> None:
        if whom == self.hangs:
            await asyncio.Event().wait()
        if whom == self.fails:
            raise error


class PlayedHost:
    """The handle of one."""

    def __init__(self, played: Played, name: str) -> None:
        self._played, self._name = played, name
        self.ready = self

    async def remote(self) -> str:
        """Ready."""
        await self._played._asked(self._name, ActorDiedError())
        return self._name


@pytest.mark.parametrize("how", ["hangs", "fails"])
@pytest.mark.parametrize("who", ["database", "host-1"])
@virtual_time
async def test_who_is_away_is_noticed_in_time_and_that_he_is_back(who: str, how: str) -> None:
    played = Played()
    connection = cast(Connection, played)
    readiness = Readiness(Parts([connection]))
    assert readiness.problem is not None
    keeping = asyncio.ensure_future(readiness.keep())
    for phase_s in PHASES_S:
        await asyncio.sleep(WITHIN_S + phase_s)
        assert readiness.problem is None
        setattr(played, how, who)
        await asyncio.sleep(WITHIN_S)
        assert readiness.problem is not None
        setattr(played, how, "")
    keeping.cancel()

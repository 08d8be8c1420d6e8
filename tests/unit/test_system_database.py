"""An embedded server that two systems come to, and who of them stops it."""

from collections.abc import Coroutine
from typing import Any

import pytest

from runtime.cluster import system_database as module
from runtime.cluster.system_database import SystemDatabase
from runtime.errors import DatabaseInUse
from runtime.process.claim_table import PostgresClaimTable
from runtime.settings.settings import Settings
from store.errors import SystemReplaced
from tests.virtual_time import virtual_time


class PlayedServer:
    """What a keeper would do with the one server of a folder."""

    def __init__(self, *_: object) -> None:
        self.found_running = self.started = False
        self.trouble: str | None = None
        self.end = ""  #: what became of it

    async def start(self) -> None:
        self.started = True

    async def keep(self) -> None:
        """Nothing happens to it."""

    def leave(self) -> None:
        self.end = "left"

    async def stop(self) -> None:
        self.end = "stopped"


class PlayedClaim:
    """The claim of a system that another one may be before, or come after."""

    def __init__(self, *_: object) -> None:
        self.held = self.others = False
        self.refusal: Exception | None = None

    async def take(self, **_: object) -> None:
        self.held, self.others = self.refusal is None, self.refusal is not None
        if self.refusal is not None:
            raise self.refusal

    async def keep(self, replaced: object, has_system: object) -> None:
        """Nobody takes it."""

    async def give_up(self) -> str | None:
        self.held = False
        return None

    def close(self) -> None:
        """Nothing is open."""


class Played:
    """The database of a system, and what it works with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server, self.claim = PlayedServer(), PlayedClaim()
        monkeypatch.setattr(module, "DatabaseKeeper", lambda *_: self.server)
        monkeypatch.setattr(module, "DatabaseClaim", lambda *_: self.claim)
        self.database = SystemDatabase(
            Settings,
            "ours",
            PostgresClaimTable(Settings),
            moved=lambda _: None,
            doing=lambda _: None,
            must_live=_left_undone,
        )

    async def launch(self) -> None:
        await self.database.ensure_started()
        await self.database.claim(_unheard, _ours, take_over=lambda: False, again=False)


def _left_undone(work: Coroutine[Any, Any, None]) -> None:
    work.close()


async def _unheard(_: SystemReplaced) -> None:
    """Nobody is replaced here."""


async def _ours() -> bool:
    """There is one incarnation of the directory."""
    return True


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    return Played(monkeypatch)


@virtual_time
async def test_a_drained_system_stops_its_embedded_server(played: Played) -> None:
    await played.launch()
    assert await played.database.give_up() == []
    assert played.server.end == "stopped"


@virtual_time
async def test_a_refused_launch_leaves_the_embedded_server_that_it_started_to_whoever_has_it(
    played: Played,
) -> None:
    """The server had died, and this launch was quicker in starting it than the one that lives."""
    played.claim.refusal = DatabaseInUse("the database", "another")
    with pytest.raises(DatabaseInUse):
        await played.launch()
    await played.database.give_up()
    assert played.server.end == "left"


@virtual_time
async def test_a_replaced_system_leaves_the_embedded_server_to_its_successor(
    played: Played,
) -> None:
    await played.launch()
    played.claim.held, played.claim.others = False, True
    await played.database.give_up()
    assert played.server.end == "left"


@virtual_time
async def test_a_launch_that_fails_before_it_has_the_claim_leaves_a_server_that_ran_before(
    played: Played,
) -> None:
    played.server.found_running = True
    await played.database.ensure_started()
    await played.database.give_up()
    assert played.server.end == "left"

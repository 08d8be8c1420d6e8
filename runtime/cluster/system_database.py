"""The database of a system, as its directory has it: started if it is embedded, claimed, and at the
end given up and stopped."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from runtime.cluster import embedded_database as embedded
from runtime.cluster.claim import DatabaseClaim
from runtime.cluster.embedded_database import DatabaseKeeper
from runtime.process.claim_table import ClaimTable
from runtime.settings.settings import Settings
from runtime.topology.status import Progress
from store.embedded.server import EmbeddedPostgres
from store.errors import EmbeddedError, SystemReplaced

logger = logging.getLogger("thornback.directory")


class SystemDatabase:
    """The embedded server, where the system brings one, and the claim, where there is something to
    be claimed: a memory store lives and dies with its system.

    `settings` tells the settings as they are now, and `moved` hears where an embedded server is;
    `doing` hears what is waited for. `must_live` runs what the directory cannot do without.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        system: str | None,
        table: ClaimTable,
        *,
        moved: Callable[[str], None],
        doing: Callable[[str], None],
        must_live: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        # Set once:
        self._settings, self._moved, self._doing = settings, moved, doing
        self._must_live = must_live
        self.embedded = embedded.wanted(settings())  #: does the system bring its own?
        self._claim: DatabaseClaim | None = None  #: where there is something to be claimed
        if system is not None and settings().event_store.type == "postgres":
            self._claim = DatabaseClaim(system, table)
        # Made when it is first needed:
        self._opening = asyncio.Lock()  #: guards the making and the start of the keeper
        self._keeper: DatabaseKeeper | None = None

    @property
    def trouble(self) -> str | None:
        """Why the embedded server does not start, or others do not see that this system lives."""
        server = self._keeper.trouble if self._keeper is not None else None
        return server or (self._claim.trouble if self._claim is not None else None)

    @property
    def progress(self) -> Progress | None:
        """What claiming the database waits for now: a migration, or a system that may be alive."""
        return self._claim.progress if self._claim is not None else None

    def migrated_s(self) -> float:
        """How many seconds migrations have taken so far."""
        return self._claim.migrated_s() if self._claim is not None else 0.0

    @property
    def log(self) -> str | None:
        """What tells the log from any other; None where nothing was claimed."""
        return self._claim.log if self._claim is not None else None

    async def url(self) -> str:
        """Where the log is now: an embedded server may have had to move to another port."""
        if self._keeper is None:
            await self.ensure_started()
        return self._settings().event_store.connection_string.get_secret_value()

    async def ensure_started(self) -> None:
        """Return when an embedded server answers; it is kept running from then on. Raises an
        EmbeddedError that says what to do."""
        if not self.embedded or (self._keeper is not None and self._keeper.started):
            return
        async with self._opening:
            if self._keeper is None:
                settings = self._settings()
                server = EmbeddedPostgres(
                    embedded.folder_of(settings), servers=settings.event_store.partitions
                )
                self._keeper = DatabaseKeeper(server, self._moved)
            if not self._keeper.started:
                self._doing("starting the embedded PostgreSQL")
                await self._keeper.start()
                self._must_live(self._keeper.keep())

    async def claim(
        self,
        replaced: Callable[[SystemReplaced], Coroutine[Any, Any, None]],
        has_system: Callable[[], Coroutine[Any, Any, bool]],
        *,
        take_over: Callable[[], bool],
        again: bool,
    ) -> None:
        """Nobody else is to extend the log from now on; and its schema is up to date. `replaced`
        hears of a system that has it instead, now or later; `has_system` says whether this
        directory may claim again what another incarnation of it has given up. Raises what
        DatabaseClaim.take raises.
        """
        self._doing("claiming the database, and bringing its schema up to date")
        if self._claim is None:
            return
        try:
            await self._claim.take(take_over=take_over, again=again)
        except SystemReplaced as error:
            # Not from within the start, which this ends.
            self._must_live(replaced(error))
            raise
        self._must_live(self._claim.keep(replaced, has_system))

    async def give_up(self) -> list[str]:
        """Give it up. An embedded one is stopped, unless it is somebody else's; why it did not
        stop, if it did not."""
        held = self._claim is not None and self._claim.held
        if self._claim is not None:
            kept = await self._claim.give_up()
            self._claim.close()
            if kept is not None:
                logger.warning("the database could not be given up: %s", kept)
        if self._keeper is None:
            return []
        self._doing("stopping the embedded PostgreSQL")
        others = self._claim is not None and self._claim.others
        if others or (self._keeper.found_running and not held):
            self._keeper.leave()
            return []
        try:
            await self._keeper.stop()
        except (EmbeddedError, OSError) as error:
            return [f"the embedded PostgreSQL did not stop: {error}"]
        return []

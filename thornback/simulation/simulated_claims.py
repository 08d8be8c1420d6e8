"""The claim on the simulated database, as directories see it."""

from store.postgres.claims import Claim, MayTake
from store.postgres.migrations import Telling
from thornback.simulation.database import Database
from thornback.simulation.database_link import DatabaseLink
from thornback.simulation.scheduler import Owner


class SimulatedClaimTable:
    """The claim on the simulated database, for one directory."""

    where = "database"

    def __init__(self, database: Database, client: Owner) -> None:
        self._database = database
        self._ask = DatabaseLink(database, client, pool_size=1, timeout_s=5.0).ask

    async def take(self, holder: str, may_take: MayTake, tell: Telling) -> None:
        work = self._database.take_claim
        await self._ask(lambda: work(holder, may_take))

    async def log(self) -> str:
        return "the only one"

    async def renew(self, holder: str) -> bool:
        work = self._database.renew_claim
        return bool(await self._ask(lambda: work(holder)))

    async def find(self) -> Claim | None:
        return await self._ask(self._database.found_claim)  # type: ignore[no-any-return]

    async def give_up(self, holder: str) -> None:
        work = self._database.give_up_claim
        await self._ask(lambda: work(holder), gives_up=True)

    def has_ended(self, found: Claim) -> bool:
        """Whether it has, nobody sees who is on another Ray and another machine."""
        return False

    def close(self) -> None:
        """Nothing is open."""

"""A database that somebody has claimed, and our claim on it: in virtual time."""

import asyncio
from datetime import UTC, datetime, timedelta

from runtime.cluster.claim import DatabaseClaim
from store.errors import DatabaseClaimed, StoreUnavailable, SystemReplaced
from store.postgres.claims import Claim, MayTake
from store.postgres.migrations import Step, Telling
from tests.virtual_time import now_s

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def never() -> bool:
    """Nobody said --take-over."""
    return False


class PlayedDatabase:
    """A database that somebody else has claimed. Its own clock stands still: nothing is to be
    judged by it."""

    where = "db:5432/prod"

    def __init__(self) -> None:
        self.head = 0
        self.clock_s = 0.0  #: what it says of a beat, as seconds after BEGIN
        self.given_up = self.ended = False
        self.holder = "theirs"
        self.away = False
        self.closed = 0  #: how often the connection was given back
        self.migrates_s: float | None = None  #: there is a migration, which takes so long
        self.beats: list[float] = []  #: when the claim was renewed
        self.beats_every_s: float | None = None

    async def log(self) -> str:
        return str(BEGIN)

    async def renew(self, holder: str) -> bool:
        self._check_there()
        self.beats.append(now_s())
        return holder == self.holder and not self.given_up

    async def find(self) -> Claim | None:
        self._check_there()
        return self.found()

    async def give_up(self, holder: str) -> None:
        self._check_there()
        self.given_up |= holder == self.holder

    def has_ended(self, found: Claim) -> bool:
        return self.ended

    def close(self) -> None:
        self.closed += 1

    def found(self) -> Claim:
        beat_s = now_s() // self.beats_every_s if self.beats_every_s else 0.0
        return Claim(
            holder=self.holder, system="s", namespace="n", place="p", traces="{}",
            claimed_at=BEGIN, beat=BEGIN + timedelta(seconds=self.clock_s + beat_s), head=self.head,
            silent_s=1e6, given_up=self.given_up,
        )  # fmt: skip

    async def take(self, holder: str, may_take: MayTake, tell: Telling) -> None:
        found = self.found()
        if found.holder != holder and not may_take(found):
            raise DatabaseClaimed(str(found))
        if self.migrates_s is not None:
            tell(Step(5, 8))
            await asyncio.sleep(self.migrates_s)
        self.holder, self.given_up = holder, False
        self.clock_s += 1  # whoever claims gives a sign

    def _check_there(self) -> None:
        if self.away:
            raise StoreUnavailable(self.where, "nothing comes back")


def ours(database: PlayedDatabase) -> DatabaseClaim:
    return DatabaseClaim("ours", database)


async def kept(
    database: PlayedDatabase,
) -> tuple[DatabaseClaim, asyncio.Future[None], list[str]]:
    """Our claim on that database, which is kept from now on, and by whom it was replaced."""
    database.holder, claim, heard = "ours", ours(database), []

    async def replaced(error: SystemReplaced) -> None:
        heard.append(str(error))

    await claim.take(take_over=never, again=False)
    return claim, asyncio.ensure_future(claim.keep(replaced, ours_alone)), heard


async def ours_alone() -> bool:
    """Ray has made no other incarnation of the directory."""
    return True


async def unheard(error: SystemReplaced) -> None:
    """Where nobody is to be replaced."""
    raise error

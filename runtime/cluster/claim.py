"""A system's claim on its database: taken at launch, kept while it lives, given up when it drains.

Nobody can see from a database whether the system that has it is alive. So that system says so
itself, every few seconds, in the row of its claim. Whoever wants the claim judges by that:

- given up, or its own: free;
- the system has certainly ended, as its traces on this machine or this Ray tell: free;
- its sign of life changes while we look (runtime/cluster/watch.py): it is alive, and the launch is
  refused;
- we have listened to LAPSE_S of silence: taken for dead. A cut off or stopped system that comes
  back afterwards finds itself replaced, and does no harm: it opens no epoch, and the fence of
  epochs refuses what it has under way;
- to less: in doubt, so we go on looking.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from runtime.cluster.watch import Verdict, Watch
from runtime.errors import DatabaseInUse
from runtime.process.claim_table import ClaimTable
from runtime.topology.status import Progress
from store.errors import DatabaseClaimed, StoreUnavailable, SystemReplaced
from store.postgres.claims import Claim
from store.postgres.migrations import Step

logger = logging.getLogger("thornback.directory")


class DatabaseClaim:
    """The directory's side of the claim. A memory store has nothing to be claimed."""

    #: Between two signs of life.
    BEAT_S = 3.0
    #: A system that was silent for so long is taken for dead: ten beats.
    LAPSE_S = 30.0
    #: Between two looks at a claim that is in doubt.
    LOOK_S = 0.5

    def __init__(self, holder: str, table: ClaimTable) -> None:
        self._holder = holder  # immutable
        self._table = table  # immutable
        #: Held over each sign of life and over giving up: none is given once the claim is given up.
        self._speaking = asyncio.Lock()
        self.held = False
        self.log = ""  #: what tells the log from any other: when its database got its first schema
        self.others = False  #: was it somebody else's when we looked last?
        self.doubt: str | None = None  #: whom we wait for, to see whether he lives
        self.trouble: str | None = None  #: why this system cannot say that it lives
        # Of migrations, which take the time that they take:
        self._step: Step | None = None  #: the one that is under way
        self._step_since_s = 0.0
        self._now_s: Callable[[], float] = time.monotonic  #: the loop's, from the first try on
        self._steps_took_s = 0.0  #: those before it

    async def take(self, *, take_over: Callable[[], bool], again: bool) -> None:
        """Claim the database and bring its schema up to date. `take_over` says, at every look,
        whether to take it from whoever has it; `again`: as one who may have had it before, and has
        lost it if somebody else has it now.

        Raises DatabaseInUse when another system is alive, SystemReplaced, StoreUnavailable and
        SchemaMismatch. It may take LAPSE_S until that is known.
        """
        watch, first = _watch(type(self)), ""
        while True:
            try:
                await self._try(watch, take_over=take_over, again=again)
            except DatabaseClaimed as claimed:
                self.others, first = True, first or claimed.by
                # In steps of five seconds: a job's log has a line for each that is new.
                heard = f"{watch.silent_s // 5 * 5:.0f} of {self.LAPSE_S:g} s of silence"
                self.doubt = f"{heard} so far, {first}"
                if again:
                    raise SystemReplaced(self._table.where, f"it went to {claimed.by}") from claimed
                if watch.verdict is Verdict.ALIVE:
                    raise DatabaseInUse(self._table.where, claimed.by) from claimed
                await asyncio.sleep(self.LOOK_S)
            else:
                # At once: whatever fails from now on, the claim is ours to give up.
                self.held, self.others, self.doubt = True, False, None
                self.log = await self._table.log()
                return

    @property
    def progress(self) -> Progress | None:
        """What `take` waits for now, if that is not just an answer."""
        if self._step is not None:
            step = f"migration {self._step.number} of {self._step.last}"
            return Progress(doing=f"bringing the schema up to date: {step}", counts=False)
        if self.doubt is not None:
            return Progress(doing=f"waiting whether it is alive: {self.doubt}")
        return None

    def migrated_s(self) -> float:
        """How many seconds migrations have taken so far."""
        if self._step is None:
            return self._steps_took_s
        return self._steps_took_s + self._now_s() - self._step_since_s

    async def keep(
        self,
        replaced: Callable[[SystemReplaced], Awaitable[None]],
        has_system: Callable[[], Awaitable[bool]],
    ) -> None:
        """Say that this system lives, until it is given up or lost; `replaced` hears by whom. One
        that cannot say so for a while, and has not lost the claim meanwhile, goes on. Where another
        incarnation of the directory has given it up, `has_system` says whether it is this one's
        to claim again."""
        while self.held:
            await asyncio.sleep(self.BEAT_S)
            async with self._speaking:
                if not self.held:
                    return
                try:
                    renewed = await self._table.renew(self._holder)
                    lost = None if renewed else await self._table.find()
                    if lost is not None and lost.holder == self._holder:
                        renewed = self.held = await self._claimed_again(has_system)
                except (StoreUnavailable, DatabaseClaimed) as error:
                    self._say(f"cannot say in its database that this system lives: {error}")
                    continue
                if lost is not None and lost.holder != self._holder:
                    self.held, self.others = False, True
                elif self.held:
                    self._say(None if renewed else "the claim is gone from the database")
            if self.others:
                await replaced(SystemReplaced(self._table.where, f"it went to {lost}"))

    async def _claimed_again(self, has_system: Callable[[], Awaitable[bool]]) -> bool:
        """An older incarnation of the directory has given it up too late, or a later one, which
        has the system, has drained it."""
        if not await has_system():
            return False
        await self._table.take(self._holder, lambda _: False, self._told)
        return True

    def _say(self, trouble: str | None) -> None:
        """What keeps others from seeing that this system lives; None: nothing does."""
        if trouble is not None:
            trouble += "; while that lasts, another launch may take the database"
        if (trouble is None) != (self.trouble is None):
            logger.warning(
                trouble or "this system lives, still has its database, and says so again"
            )
        self.trouble = trouble

    async def give_up(self) -> str | None:
        """Say that the database is free; why that could not be said, if it could not. The claim
        then lapses by itself."""
        async with self._speaking:
            return await self._give_up()

    async def _give_up(self) -> str | None:
        if not self.held:
            return None
        self.held = False
        try:
            await self._table.give_up(self._holder)
        except StoreUnavailable as error:
            return f"the claim lapses only {self.LAPSE_S:g} s from now: {error}"
        return None

    def close(self) -> None:
        """Give the connection back."""
        self._table.close()

    async def _try(self, watch: Watch, *, take_over: Callable[[], bool], again: bool) -> None:
        def may_take(found: Claim) -> bool:
            if take_over():
                return True
            free = _is_free(found, self._table)
            return not again and (free or watch.look(found) is Verdict.DEAD)

        # Of this loop, also where its end is what ends this.
        self._now_s = asyncio.get_running_loop().time
        try:
            await self._table.take(self._holder, may_take, self._told)
        finally:
            self._told(None)

    def _told(self, step: Step | None) -> None:
        """A migration begins; None: none is under way here."""
        self._steps_took_s = self.migrated_s()
        self._step, self._step_since_s = step, self._now_s()
        if step is not None:
            logger.info("bringing the schema up to date: migration %d of %d", *step)


def _watch(of: type[DatabaseClaim]) -> Watch:
    return Watch(lapse_s=of.LAPSE_S, gap_s=of.BEAT_S, now_s=asyncio.get_running_loop().time)


async def in_use(table: ClaimTable) -> str | None:
    """Which system has this database and gives a sign of life; None where none does. It may take
    LAPSE_S until that is known. Raises StoreUnavailable."""
    watch = _watch(DatabaseClaim)
    try:
        while (found := await table.find()) is not None and not _is_free(found, table):
            if watch.look(found) is Verdict.ALIVE:
                return str(found)
            if watch.verdict is Verdict.DEAD:
                break
            await asyncio.sleep(DatabaseClaim.LOOK_S)
    finally:
        table.close()
    return None


def _is_free(found: Claim, table: ClaimTable) -> bool:
    return found.given_up or table.has_ended(found)

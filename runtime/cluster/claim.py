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
import getpass
import logging
import os
import socket
from collections.abc import Awaitable, Callable

import msgspec

from runtime.cluster.traces import have_ended, own_traces
from runtime.cluster.watch import Verdict, Watch
from runtime.errors import DatabaseInUse
from runtime.settings.settings import Settings
from runtime.topology.status import Progress
from store.errors import DatabaseClaimed, StoreUnavailable, SystemReplaced
from store.postgres.claims import Claim, Claimant, find
from store.postgres.connections import Connections
from store.postgres.migrations import Step, migrate
from store.postgres.moving_address import MovingAddress
from store.postgres.queries import QUERIES

logger = logging.getLogger("thornback.directory")


class DatabaseClaim:
    """The directory's side of the claim. A memory store has nothing to be claimed."""

    #: Between two signs of life.
    BEAT_S = 3.0
    #: A system that was silent for so long is taken for dead: ten beats.
    LAPSE_S = 30.0
    #: A beat that does not get through within this long is given up for the next one, so that one
    #: that is stuck does not use up the time that there is for ten.
    BEAT_LIMIT_S = 5.0
    #: Between two looks at a claim that is in doubt.
    LOOK_S = 0.5

    def __init__(self, holder: str, settings: Callable[[], Settings]) -> None:
        self._holder = holder  # immutable
        self._settings = settings  # as they are now: an embedded database may move
        self._connections: Connections | None = None  #: from the first `keep` on
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
        self._steps_took_s = 0.0  #: those before it

    async def take(self, *, take_over: Callable[[], bool], again: bool) -> None:
        """Claim the database and bring its schema up to date. `take_over`: whoever has it, asked
        at every look;
        `again`: as one who may have had it before, and has lost it if somebody else has it now.

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
                    raise SystemReplaced(self._where(), f"it went to {claimed.by}") from claimed
                if watch.verdict is Verdict.ALIVE:
                    raise DatabaseInUse(self._where(), claimed.by) from claimed
                await asyncio.sleep(self.LOOK_S)
            else:
                # At once: whatever fails from now on, the claim is ours to give up.
                self.held, self.others, self.doubt = True, False, None
                [born] = await (await self._opened()).fetch(QUERIES["log_born"])
                self.log = str(born["applied_at"])
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
        return self._steps_took_s + asyncio.get_running_loop().time() - self._step_since_s

    async def keep(self, replaced: Callable[[SystemReplaced], Awaitable[None]]) -> None:
        """Say that this system lives, until it is given up or lost; `replaced` hears by whom. One
        that cannot say so for a while, and has not lost the claim meanwhile, goes on."""
        while self.held:
            await asyncio.sleep(self.BEAT_S)
            async with self._speaking:
                if not self.held:
                    return
                try:
                    renewed = await self._renewed()
                    lost = None if renewed else await self._found()
                except StoreUnavailable as error:
                    self._say(f"cannot say in its database that this system lives: {error}")
                    continue
                if lost is not None and lost.holder != self._holder:
                    self.held, self.others = False, True
                else:
                    self._say(None if renewed else "the claim is gone from the database")
            if self.others:
                await replaced(SystemReplaced(self._where(), f"it went to {lost}"))

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
            await (await self._opened()).fetch(QUERIES["give_up_claim"], self._holder)
        except StoreUnavailable as error:
            return f"the claim lapses only {self.LAPSE_S:g} s from now: {error}"
        return None

    def close(self) -> None:
        """Give the connection back."""
        if self._connections is not None:
            self._connections.close()
            self._connections = None

    async def _try(self, watch: Watch, *, take_over: Callable[[], bool], again: bool) -> None:
        settings = self._settings()
        traces = own_traces()

        def may_take(found: Claim) -> bool:
            if take_over():
                return True
            return not again and (is_free(found, settings) or watch.look(found) is Verdict.DEAD)

        try:
            await migrate(
                settings.event_store.connection_string.get_secret_value(),
                timeout_s=settings.actor_system.actor_timeout_ms / 1000,
                claimant=Claimant(
                    holder=self._holder,
                    system=settings.event_bus.node_id,
                    namespace=settings.actor_system.namespace,
                    place=f"{_user()}@{socket.gethostname()} on the Ray at {traces.head}",
                    traces=msgspec.json.encode(traces).decode(),
                ),
                may_take=may_take,
                tell=self._told,
            )
        finally:
            self._told(None)

    def _told(self, step: Step | None) -> None:
        """A migration begins; None: none is under way here."""
        self._steps_took_s = self.migrated_s()
        self._step, self._step_since_s = step, asyncio.get_running_loop().time()
        if step is not None:
            logger.info("bringing the schema up to date: migration %d of %d", *step)

    async def _renewed(self) -> bool:
        return bool(await (await self._opened()).fetch(QUERIES["renew_claim"], self._holder))

    async def _found(self) -> Claim | None:
        return await find(await self._opened())

    async def _opened(self) -> Connections:
        if self._connections is None:
            self._connections = await Connections.open(
                MovingAddress(self._url(), self._whereabouts),
                pool_size=1,
                timeout_s=min(
                    self._settings().actor_system.actor_timeout_ms / 1000, self.BEAT_LIMIT_S
                ),
                operation_s=self.BEAT_LIMIT_S,
            )
        return self._connections

    async def _whereabouts(self) -> str:
        return self._url()

    def _url(self) -> str:
        return self._settings().event_store.connection_string.get_secret_value()

    def _where(self) -> str:
        return str(MovingAddress(self._url()))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number alone
        return f"uid {os.getuid()}"


def _watch(of: type[DatabaseClaim]) -> Watch:
    return Watch(lapse_s=of.LAPSE_S, gap_s=of.BEAT_S, now_s=asyncio.get_running_loop().time)


def is_free(found: Claim, settings: Settings) -> bool:
    """May a launch with these settings take this claim without waiting for anything?"""
    return found.given_up or have_ended(found.traces, settings, found.namespace)


async def in_use(url: str, settings: Settings) -> str | None:
    """Which system has this database and gives a sign of life; None where none does. It may take
    LAPSE_S until that is known."""
    connections = await Connections.open(MovingAddress(url), pool_size=1, timeout_s=5.0)
    watch = _watch(DatabaseClaim)
    try:
        tables = await connections.fetch("SELECT to_regclass('claim') IS NOT NULL AS there")
        while tables[0]["there"]:
            found = await find(connections)
            if found is None or is_free(found, settings):
                break
            if watch.look(found) is Verdict.ALIVE:
                return str(found)
            if watch.verdict is Verdict.DEAD:
                break
            await asyncio.sleep(DatabaseClaim.LOOK_S)
    finally:
        connections.close()
    return None

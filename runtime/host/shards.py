"""The shards of one host: which it has, and how it gives some of them away.

The host decides for an actor only while it has its shard by the table in the store. It knows that
table as of a version, and may lag behind it in one way alone: others may have given it shards that
it has not heard of. For what leaves it, it is always ahead, because it alone gives that away: in
its line of work, and by ending its own epoch in the same transaction. Nothing that it had sent
before can come about behind that.

| state   | what holds                                          | how it ends            | next    |
|---------|-----------------------------------------------------|------------------------|---------|
| HAVING  | commands are decided for the shards of the table    | some are to go         | LEAVING |
| LEAVING | nothing is decided, and all that was ends           | an append has failed   | HAVING  |
|         |                                                     | nothing is under way   | GIVING  |
| GIVING  | the store is asked to move them, and to begin the   | it has                 | HAVING  |
|         | next epoch of this host                             | the epoch was over     | (ended) |
|         |                                                     | the store is away      | UNSURE  |
| UNSURE  | nothing is decided: before each batch the store is  | it says what became    | HAVING  |
|         | asked again, by the same attempt                    | the epoch was over     | (ended) |

docs/decisions/0086 has the interleavings.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from runtime.errors import ActorsMoved
from runtime.host.batch import Batch
from runtime.host.shard_loads import ShardLoads
from runtime.topology.placement import shard_of
from runtime.wire.commands import INVALID, SOURCE
from store.errors import StaleEpoch, StoreUnavailable
from store.event_store import Epoch, EventStore
from store.shards import ShardTable

logger = logging.getLogger("thornback.host")


class State(Enum):
    """Where the shards of a host stand; the module's table says what follows what."""

    HAVING = "having"
    LEAVING = "leaving"
    GIVING = "giving"
    UNSURE = "unsure"


class LineOfWork(Protocol):
    """The host's line of work, as its shards see it."""

    async def wait_settled(self) -> None:
        """Wait until no append is under way."""

    @property
    def troubled(self) -> bool:
        """Is something to be undone, or run again, before anything else?"""

    def begin_epoch(self, epoch: Epoch) -> None:
        """What is appended from now on is of this epoch."""

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Forget the actors of such sources, and what became of their commands."""


@dataclass(eq=False)
class _Move:
    """Shards that are to go, or perhaps have gone."""

    shards: Collection[int]
    to: str
    attempt: int
    done: "asyncio.Future[ShardTable]"

    def fail(self, error: Exception) -> None:
        """Whoever asked is told; perhaps nobody listens any more."""
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()


class Shards:
    """Those of one pooled host. `leave`, `learn` and `end` may be called at any time; the line of
    work alone calls the rest."""

    def __init__(
        self,
        table: ShardTable,
        store: EventStore,
        epoch: Epoch,
        *,
        name: str,
        pooled: Collection[str],
        draw: Callable[[], int],
    ) -> None:
        # Set once:
        self._store, self._name = store, name
        self._pooled = list(pooled)  # of the system, as it was launched
        self._draw = draw  # numbers of attempts
        # Changed by the line of work:
        self.state = State.HAVING
        self._epoch = epoch
        self._table = table
        #: Whoever found this host by a version from here on, up to the known one, found it rightly.
        self._since = table.version
        #: Of shards that came later than this host began: by which version it has them.
        self._gained: dict[int, int] = {}
        self._moves: deque[_Move] = deque()  #: to be made; the first one may be under way
        self._ended: Exception | None = None  # none is made any more, because of this
        self.loads = ShardLoads(asyncio.get_running_loop().time)  #: what came for each of them

    @property
    def table(self) -> ShardTable:
        """As it is known here."""
        return self._table

    @property
    def some_leave(self) -> bool:
        """Are any to be given away?"""
        return bool(self._moves)

    def leave(self, shards: Collection[int], to: str) -> "asyncio.Future[ShardTable]":
        """Have shards given away; the line of work is to be woken. The future has the table as it
        is afterwards, or why it is not known to have happened: then it may be asked for again."""
        done: asyncio.Future[ShardTable] = asyncio.get_running_loop().create_future()
        move = _Move(shards, to, self._draw(), done)
        if self._ended is not None:
            move.fail(self._ended)
        else:
            self._moves.append(move)
        return done

    def end(self, error: Exception) -> None:
        """This host is done: what was to go stays, or goes with its successor."""
        self._ended = error
        moves, self._moves = list(self._moves), deque()
        for move in moves:
            move.fail(error)

    def found_rightly(self, version: int) -> bool:
        """Does whoever found this host by that version of the table find only actors here that it
        has? Then nobody looks at each of them."""
        return self._since <= version <= self._table.version and self.state is State.HAVING

    async def learn(self) -> ShardTable:
        """Read the table anew; at any time: what is left of it here, the line of work alone gives
        away. Raises StoreUnavailable."""
        self._learn(await self._store.open_shards(self._pooled))
        return self._table

    async def why_not(self, line: LineOfWork, batch: Batch) -> Exception | None:
        """Why a batch is not to be decided here; None if it is. Looks at every command. Raises
        StaleEpoch when this host was replaced."""
        if not batch.commands:
            return None
        try:
            if self.state is State.UNSURE:
                await self._give(line)
            if batch.request.shards > self._table.version:
                await self.learn()
        except StoreUnavailable as error:
            return error
        for command in batch.commands:
            if moved := self.moved(command[SOURCE], batch.request.shards):
                return moved
        return None

    def moved(self, source: str, version: int) -> ActorsMoved | None:
        """Why whoever found this host by that version of the table is to look for an actor anew;
        None where it has lived here ever since. What was sent here before it left, and has come
        back since, may have been answered elsewhere in between."""
        if source == INVALID:
            return None
        shard = shard_of(source)
        if (host := self._table.hosts[shard]) != self._name:
            return ActorsMoved(self._name, f"{source} lives at {host} by now", self._table.version)
        if version < self._gained.get(shard, 0):
            reason = f"{source} has lived elsewhere since"
            return ActorsMoved(self._name, reason, self._table.version)
        return None

    async def give_away(self, line: LineOfWork) -> None:
        """Give away what is to go, as far as that can be now. Raises StaleEpoch when this host was
        replaced."""
        while self._moves:
            if self.state is not State.UNSURE:
                self.state = State.LEAVING
                await line.wait_settled()
                if line.troubled:  # which wakes the line of work
                    self.state = State.HAVING
                    return
                self.state = State.GIVING
            try:
                await self._give(line)
            except StoreUnavailable:
                return

    async def _give(self, line: LineOfWork) -> None:
        """Make the first move, or find out what became of it."""
        move = self._moves[0]
        try:
            moved = await self._store.move_shards(
                move.shards, self._name, move.to, self._epoch, move.attempt
            )
        except StoreUnavailable as error:
            logger.warning("%s: shards may have left for %s: %s", self._name, move.to, error)
            self.state = State.UNSURE
            # What was to go behind it is asked for again by whoever asked: nobody else wakes the
            # line of work of a host that has nothing to do.
            for each in self._moves:
                each.fail(error)
            self._moves = deque([move])
            raise
        except StaleEpoch as stale:
            self.end(stale)
            raise
        self._epoch = moved.epoch
        self._learn(moved.table)
        self._moves.popleft()
        self.state = State.HAVING
        line.begin_epoch(moved.epoch)
        left = set(move.shards)  # and they may be back: nobody has heard of anything meanwhile
        line.forget(lambda source: shard_of(source) in left or not self._has(source))
        if not move.done.done():
            move.done.set_result(moved.table)

    def _has(self, source: str) -> bool:
        return self._table.hosts[shard_of(source)] == self._name

    def _learn(self, table: ShardTable) -> None:
        known = self._table
        if table.version > known.version:
            before, now = known.of(self._name), table.of(self._name)
            # Behind a version that was not seen here, it may have had shards, and given them away.
            unseen = table.version > known.version + 1
            if unseen or now != before:
                self._since = table.version
            stayed = before.difference(self._moves[0].shards) if self._leaving else before
            for shard in now - stayed:
                self._gained[shard] = table.version
            self._table = table

    @property
    def _leaving(self) -> bool:
        """May the first move have been made already?"""
        return bool(self._moves) and self.state in (State.GIVING, State.UNSURE)

"""A database that behaves like PostgreSQL: what is committed, and how that may go wrong.

One transaction is atomic: all rows and all counters, or nothing. Ids, versions and positions
are unique. The rows of `epochs` are locked by who updates them until the end of the
transaction, and whoever waits for a lock checks again what it then finds. What a client asked
for may happen after the client has given up; the answer to a commit may be lost.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from actors.event_shape import Shape
from store.dead_letters import DeadLetter, Parked
from store.erasures import Erasure, ErasureReceipt
from store.errors import (
    DatabaseClaimed,
    DuplicateEvent,
    RowsRefused,
    StaleEpoch,
    StoreUnavailable,
    SystemReplaced,
    VersionConflict,
)
from store.event_store import (
    WRITER,
    CheckpointMove,
    Epoch,
    EventSchemaKey,
    ShardsMoved,
    Snapshot,
    Tallied,
)
from store.memory import after_move, makes_way
from store.memory_erasing import ErasingInMemory
from store.memory_letters import LettersInMemory
from store.memory_merges import MergesInMemory
from store.memory_projections import ProjectionsInMemory
from store.memory_states import StatesInMemory, recounted
from store.memory_subscriptions import SubscriptionsInMemory
from store.memory_timers import TimersInMemory
from store.postgres.claims import Claim, MayTake
from store.projected import REBUILD, ProjectedTable
from store.rows.layout import aggregate_at, id_at
from store.shards import ShardTable, opened
from thornback.simulation.database_requests import ClientRequest, Drop, Swap, Transaction, Trouble
from thornback.simulation.draws import stream
from thornback.simulation.scheduler import Owner, SimulatedLoop
from thornback.simulation.watched_groups import WatchedGroups

#: Between two looks whether what a transaction waits for, with its locks held, is so.
LOOK_S = 0.02
#: The name by which the table of shards is locked; no node is called so.
SHARD_TABLE = "the table of shards"


class Database:
    """The server. Everything here happens at one instant; the ways there take time.

    More than fifteen fields: a table of the real one each, and what is under way.
    """

    def __init__(self, loop: SimulatedLoop, poison: bytes | None = None) -> None:
        self.loop = loop
        self.poison = poison  #: a row whose data has this text in it is one that it cannot hold
        self.asked: Callable[[ClientRequest], None] = lambda _: None  #: is told of each request
        self.server = Owner(loop, "database")
        self.draw = stream(loop.seed, "database")
        self.trouble = Trouble()
        self.rows: list[bytes] = []  #: by position, from 1
        self.written: list[bytes] = []  #: the same as they were committed, also what was erased
        #: Of each row, the epochs of the nodes in its commit.
        self.epochs_of: list[dict[str, int]] = []
        self.committed_s: list[float] = []  #: of each row, when
        self.by_id: dict[bytes, int] = {}
        self.versions: dict[bytes, dict[int, int]] = {}
        self.epochs: dict[str, Epoch] = {}
        self.snapshots: dict[bytes, Snapshot] = {}
        self.subscriptions = SubscriptionsInMemory()
        self.groups = WatchedGroups(self.subscriptions, loop)
        self.states = StatesInMemory()
        self.merges = MergesInMemory()
        self.projections = ProjectionsInMemory()
        self.letters = LettersInMemory()
        self.timers = TimersInMemory()
        self.erasing = ErasingInMemory(
            self.rows, self.versions, self.snapshots, self.subscriptions, self.states,
            self.projections, self.letters, self.timers, self.epochs,
        )  # fmt: skip
        #: By the position of actor-erased: where the log ended when its receipt was written.
        self.forgotten_at: dict[int, int] = {}
        self.dropped: list[DeadLetter] = []
        self.swaps: list[Swap] = []
        self.drops: list[Drop] = []
        #: Subscriptions and groups that were, with moments of the history.
        self.forgotten: list[tuple[str, int]] = []
        self.tallied: Tallied | None = None
        self.shards: ShardTable | None = None
        #: Each move that was made: the position behind which, and the table from there on.
        self.shard_moves: list[tuple[int, ShardTable]] = []
        self.shards_moved_s: list[float] = []  #: when
        self.classes: dict[str, str] = {}  #: that decide, by actor type
        self.event_types: set[tuple[str, str]] = set()  #: noted, with the actor type of each
        self.event_schemas: dict[tuple[str, str], int] = {}  #: the newest of each, but the first
        self.event_shapes: dict[EventSchemaKey, Shape] = {}
        self.aways_s: list[tuple[float, float]] = []  #: when the server was down
        self.wrong_receipts: list[str] = []  #: of slots of groups, as they were moved
        self.commits = 0
        self.claim: Claim | None = None  #: whose it is
        self._locked: dict[str, ClientRequest] = {}
        self._waiting: list[ClientRequest] = []
        self._under_way: dict[int, ClientRequest] = {}

    @property
    def away(self) -> bool:
        """Is the server down?"""
        return self.loop.time() < self.trouble.away_until_s

    def erase(self, erasure: Erasure, epoch: int) -> ErasureReceipt:
        """Forget an actor, and note when that was done first."""
        receipt = self.erasing.erase(erasure, epoch)
        self.forgotten_at.setdefault(receipt.position, len(self.rows))
        return receipt

    def go_away(self, seconds: float, *, silent: bool) -> None:
        """The server ends at once, and is back after a while. What was under way is lost,
        what was committed stays."""
        if self.away:  # it may be back sooner than it was to be
            self.aways_s[-1] = self.aways_s[-1][0], self.loop.time()
        self.trouble.away_until_s = self.loop.time() + seconds
        self.aways_s.append((self.loop.time(), self.trouble.away_until_s))
        self.trouble.silent = silent
        lost = [*self._waiting, *self._under_way.values()]
        self._waiting.clear()
        self._under_way.clear()
        self._locked.clear()
        for request in lost:
            self._answer(request, None, gone("the server went away"))

    def ask(self, request: ClientRequest) -> None:
        """A request has arrived."""
        self.asked(request)
        if self.away:
            if not self.trouble.silent:
                self._answer(request, None, gone("connection refused"))
            return
        delay_s = 0.0002 * self.trouble.slow * (1 + self.draw.random())
        if request.commits:
            delay_s += self.trouble.commits_take_s
        if late := self._late(request):
            # The connection breaks; what was sent is in the server's hands, and it is slow.
            delay_s += late.pop()
            self._answer(request, None, gone("the connection broke"))
        self._under_way[id(request)] = request
        self.server.later(delay_s, self._run, request)

    def _late(self, request: ClientRequest) -> list[float]:
        if request.gives_up:
            return self.trouble.late_give_ups
        if request.opens:
            return self.trouble.late_epochs
        if request.moves:
            return self.trouble.late_moves
        if request.saves:
            return self.trouble.late_saves
        return self.trouble.late if request.commits else []

    def _run(self, request: ClientRequest) -> None:
        if self._under_way.pop(id(request), None) is None:
            return  # lost with the server
        if any(self._locked.get(name, request) is not request for name in request.names):
            self._waiting.append(request)
            return
        if request.ready is not None and not request.ready() and self._may_hold(request):
            for name in request.names:
                self._locked[name] = request
            self._under_way[id(request)] = request
            self.server.later(LOOK_S, self._run, request)
            return
        if request.commits and self.trouble.locked_late and request.open:
            # The rows are updated and locked; COMMIT takes its time, unheard by the client.
            for name in request.names:
                self._locked[name] = request
            self._answer(request, None, gone("the connection broke"))
            self._under_way[id(request)] = request
            self.server.later(self.trouble.locked_late.pop(), self._run, request)
            return
        self._execute(request)

    def _may_hold(self, request: ClientRequest) -> bool:
        if request.held_since_s is None:
            request.held_since_s = self.loop.time()
        return self.loop.time() < request.held_since_s + request.holds_s

    def _execute(self, request: ClientRequest) -> None:
        result, error = None, None
        try:
            result = request.work()
        except Exception as raised:
            error = raised
        for name in request.names:
            self._locked.pop(name, None)
        if request.commits and error is None and self.trouble.unheard and request.open:
            self.trouble.unheard -= 1
            error = gone("the connection broke before the answer")
        if request.moves and error is None and self.trouble.unheard_moves:
            after_s, heard = self.trouble.unheard_moves.pop()
            error = None if heard else gone("the connection broke before the answer")
            self.server.later(after_s, self._answer, request, result, error)
        else:
            self._answer(request, result, error)
        waiting, self._waiting = self._waiting, []
        for other in waiting:
            self._under_way[id(other)] = other
            self.server.later(0.0, self._run, other)

    def _answer(self, request: ClientRequest, result: Any, error: Exception | None) -> None:
        if request.open:
            request.open = False
            request.answered(result, error)

    # What requests do, each at one instant.

    def take_claim(self, holder: str, may_take: MayTake) -> None:
        """A system takes the database, if it may."""
        found = self.found_claim()
        if found is not None and found.holder != holder and not may_take(found):
            raise DatabaseClaimed(str(found))
        self.claim = Claim(
            holder=holder, system="node-001", namespace="thornback", place=holder, traces="",
            claimed_at=self._moment(), beat=self._moment(), head=0, silent_s=0.0, given_up=False,
        )  # fmt: skip

    def found_claim(self) -> Claim | None:
        """Whose it is, and the signs of life of that system."""
        if self.claim is None:
            return None
        silent_s = (self._moment() - self.claim.beat).total_seconds()
        return replace(self.claim, head=len(self.rows), silent_s=silent_s)

    def renew_claim(self, holder: str) -> bool:
        """A sign of life."""
        if self.claim is None or self.claim.holder != holder or self.claim.given_up:
            return False
        self.claim = replace(self.claim, beat=self._moment())
        return True

    def give_up_claim(self, holder: str) -> None:
        """It is free."""
        if self.claim is not None and self.claim.holder == holder:
            self.claim = replace(self.claim, given_up=True)

    def _moment(self) -> datetime:
        return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=self.loop.time())

    def open_epoch(self, name: str, holder: str, system: str | None = None) -> Epoch:
        """A new incarnation, of a system that has the claim, if it names one."""
        if self.claim is not None and system not in (None, self.claim.holder):
            raise SystemReplaced("database", str(self.claim))
        old = self.epochs.get(name) or Epoch(name=name, number=0, counter=0)
        new = self.epochs[name] = replace(old, number=old.number + 1, holder=holder)
        if strike := self.trouble.at_epochs.pop(name.partition("/")[2], None):
            strike()  # and perhaps another one at the next
        return new

    def open_shards(self, hosts: Sequence[str], *, anew: bool) -> ShardTable:
        """The table of shards, which is made where there is none."""
        table = opened(self.shards, hosts, anew=anew)
        if table is not self.shards:
            self._keep_shards(table)
        return table

    def move_shards(
        self, shards: frozenset[int], host: str, to: str, epoch: Epoch, attempt: int
    ) -> ShardsMoved:
        """Shards and an epoch, or nothing."""
        present = after_move(self.epochs.get(epoch.name), epoch, attempt)
        assert self.shards is not None
        if present is not self.epochs[epoch.name]:
            self.epochs[epoch.name] = present
            self._keep_shards(self.shards.given(shards, host, to))
        return ShardsMoved(table=self.shards, epoch=present)

    def _keep_shards(self, table: ShardTable) -> None:
        self.shards = table
        self.shard_moves.append((len(self.rows), table))
        self.shards_moved_s.append(self.loop.time())

    def append(self, transaction: Transaction) -> None:
        """All of it, or nothing."""
        rows, writer = transaction.rows, transaction.writer
        self._fence(transaction)
        positions = range(writer.counter - len(rows) + 1, writer.counter + 1)
        ids: set[bytes] = set()
        versions: set[tuple[bytes, int]] = set()
        for row, position in zip(rows, positions, strict=True):
            if self.poison is not None and self.poison in row:
                raise RowsRefused("invalid input: poison")
            self._check(row, position, ids, versions)
        self.commits += 1
        self.committed_s += [self.loop.time()] * len(rows)
        epochs = {move.name: move.epoch for move in transaction.nodes}
        for row in rows:
            self.rows.append(row)
            self.written.append(row)
            self.epochs_of.append(epochs)
            self.by_id[id_at(row, 0)] = len(self.rows)
            self.versions.setdefault(aggregate_at(row, 0), {})[_version(row)] = len(self.rows)
        for move in transaction.nodes:
            self.epochs[move.name] = replace(
                self.epochs[move.name], counter=move.counter, attempt=0
            )
        self.epochs[WRITER] = replace(
            self.epochs[WRITER], counter=writer.counter, attempt=transaction.attempt
        )
        self.states.change(transaction.states)
        self.letters.change(transaction.letters)
        self.move(transaction.checkpoints)

    def move(self, checkpoints: Sequence[CheckpointMove]) -> None:
        """Those that were checked; with them all is done that one transaction does."""
        for checkpoint in checkpoints:
            self.subscriptions.move(checkpoint)
        trouble, names = self.trouble, [checkpoint.name for checkpoint in checkpoints]
        trouble.at_commits = [each for each in trouble.at_commits if not each.committed(names)]

    def swap(self, built: ProjectedTable) -> bool:
        """The table that was built takes the place of the other, if it is as far."""
        program, subscriptions = built.projection, self.subscriptions
        self.projections.check_built(built)
        if not subscriptions.reaches(built.name, program):
            return False
        before, rows = self._places(program), self.projections.rows(built.name)
        self.projections.swap(program)
        self.letters.rename(built.name, program)
        subscriptions.replace(built.name, program)
        self.swaps.append(Swap(program, before, self._places(program), rows))
        return True

    def drop_subscription(self, name: str) -> bool:
        """It goes; was there one?"""
        dropped = self.subscriptions.drop(name)
        if dropped:
            self.forgotten.append((name, self.groups.moment()))
        return dropped

    def drop_program(self, program: str) -> bool:
        """All that there is of it goes, in one transaction; was there anything?"""
        places = self._places(program)
        if places:
            by_slot = {int(name.partition("/")[2]): at for name, at in places.items()}
            self.drops.append(Drop(program, self.loop.time(), len(self.rows), by_slot))
        if self.groups.slots(program):
            self.forgotten.append((program, self.groups.moment()))
        slots = self.subscriptions.drop_slots(program)
        kept = self.states.drop(program)
        tables = [self.projections.drop(name) for name in (program, program + REBUILD)]
        letters = self.letters.drop(program)
        self.groups.drop(program)
        self.merges.drop(program)
        return slots or kept or any(tables) or bool(letters)

    def _places(self, program: str) -> dict[str, int]:
        """How far its slots are."""
        records = self.subscriptions.all()
        return {one.name: one.position for one in records if one.name.startswith(f"{program}/")}

    def move_slots(self, moves: Sequence[CheckpointMove]) -> set[str]:
        """Those of a group; each receipt has to be that of the log at any time."""
        refused = self.subscriptions.move_each(moves)
        records = {record.name: record for record in self.subscriptions.all()}
        for move in moves:
            if move.name in refused:
                continue
            record, slot = records[move.name], int(move.name.rpartition("/")[2])
            stretch = self.rows[record.began : record.position]
            if recounted(stretch, record.selection, slot) != record.receipt:
                self.wrong_receipts.append(f"{move.name} at {record.position}")
        return refused

    def drop_letters(self, program: str, parked: Parked | None, epoch: int) -> int:
        """Dead letters are dropped; which, is kept for whoever judges."""
        before = dict(self.letters._letters)
        dropped = self.letters.drop(program, parked)
        self.dropped += [each for key, each in before.items() if key not in self.letters._letters]
        if dropped:
            self.subscriptions.reopen_slots(program, epoch)
        return dropped

    def dropped_from(self, program: str, key: str, slot: int) -> set[int]:
        """The positions of the events that a key has lost by that."""
        return {
            letter.position
            for letter in self.dropped
            if letter.parked.program == program
            and (letter.slots >> slot & 1 if letter.parked.by_source else letter.parked.name == key)
        }

    def save_snapshots(self, snapshots: Iterable[Snapshot]) -> None:
        """Newer ones replace older ones, and those of the same version."""
        for snapshot in snapshots:
            old = self.snapshots.get(snapshot.aggregate_id)
            if old is None or makes_way(old, snapshot):
                self.snapshots[snapshot.aggregate_id] = snapshot

    def _fence(self, transaction: Transaction) -> None:
        writer = transaction.writer
        for checkpoint in transaction.checkpoints:
            self.subscriptions.check(checkpoint)
        for move in (writer, *transaction.nodes):
            present = self.epochs.get(move.name)
            if present is None or present.number != move.epoch:
                raise StaleEpoch(move.name, move.epoch)
        if self.epochs[WRITER].counter != writer.counter - len(transaction.rows):
            raise StaleEpoch(writer.name, writer.epoch)

    def _check(
        self, row: bytes, position: int, ids: set[bytes], versions: set[tuple[bytes, int]]
    ) -> None:
        event_id, aggregate, version = id_at(row, 0), aggregate_at(row, 0), _version(row)
        if event_id in self.by_id or event_id in ids:
            raise DuplicateEvent(f"Key (id)=({UUID(bytes=event_id)}) already exists.")
        if version in self.versions.get(aggregate, {}) or (aggregate, version) in versions:
            raise VersionConflict(f"Key ({UUID(bytes=aggregate)}, {version}) already exists.")
        if int.from_bytes(row[82:90], "big") != position or position <= len(self.rows):
            raise StaleEpoch(WRITER, 0)  # the unique index on positions
        ids.add(event_id)
        versions.add((aggregate, version))


def gone(reason: str) -> StoreUnavailable:
    """What a client hears of a database that is not there."""
    return StoreUnavailable("database", reason)


def _version(row: bytes) -> int:
    return int.from_bytes(row[46:54], "big")

"""The event store over the simulated database: a pool of connections, and the way there."""

from asyncio import Future, Semaphore, get_running_loop
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from actors.columns import TableSchema
from actors.event import Event
from store.dead_letters import DeadLetter, LetterChange, Parked, ParkedHead, ParkedQueue
from store.event_store import (
    CheckpointMove,
    CounterMove,
    Counts,
    DecidingClass,
    Epoch,
    Found,
    Load,
    Page,
    Snapshot,
    SourceRecord,
    StateChange,
    Tallied,
    TypeRecord,
)
from store.memory import begun_tally, counted, first_found, later_tally, source_record
from store.memory_states import recounted
from store.postgres.claims import Claim, MayTake
from store.postgres.migrations import Telling
from store.projected import REBUILD, Condition, ProjectedTable, RowChange
from store.receipts import Receipt
from store.rows.decoding import Decoder
from store.rows.layout import EncodedRows, causes_at, source_at
from store.selection import EVERYTHING, Selection, row_filter
from store.subscriptions import SubscriptionRecord
from tests.simulation.database import ClientRequest, Database, Transaction, gone
from tests.simulation.draws import latency_s, stream
from tests.simulation.scheduler import Owner

#: What PostgreSQL's index takes of the names of one row.
INDEX_BYTES = 2_704


class SimulatedStore:
    """EventStore, for one process."""

    #: Bytes that a read or a load brings at a time, a row more or less.
    PAGE_BYTES = 1_000_000

    def __init__(
        self,
        database: Database,
        client: Owner,
        *,
        pool_size: int,
        timeout_s: float,
        system: str | None = None,
    ) -> None:
        self._database = database
        self._client = client
        self._pool = Semaphore(pool_size)
        self._timeout_s = timeout_s
        self._system = system  # whose claim epochs are opened under
        self._draw = stream(database.loop.seed, "store", self._client)
        self._closed = False

    async def open_epoch(self, name: str, holder: str = "") -> Epoch:
        work, system = self._database.open_epoch, self._system
        return await self.ask(  # type: ignore[no-any-return]
            lambda: work(name, holder, system), names=(name,), opens=True
        )

    async def append(
        self,
        rows: EncodedRows,
        *,
        writer: CounterMove,
        nodes: Sequence[CounterMove],
        checkpoints: Sequence[CheckpointMove] = (),
        states: Sequence[StateChange] = (),
        letters: Sequence[LetterChange] = (),
        attempt: int = 0,
    ) -> None:
        pieces, at = [], 0
        for length in rows.lengths:
            pieces.append(bytes(rows.data[at : at + length]))
            at += length
        transaction = Transaction(
            pieces, writer, list(nodes), list(checkpoints), list(states), list(letters), attempt
        )
        work = self._database.append
        await self.ask(lambda: work(transaction), names=transaction.names, commits=True)

    async def open_subscription(
        self, name: str, selection: Selection, after: int, epoch: int
    ) -> SubscriptionRecord:
        subscriptions = self._database.subscriptions

        def open_if(seen: int | None) -> SubscriptionRecord | None:
            if subscriptions.epoch_of(name) not in (seen, epoch):
                return None
            return subscriptions.open(name, selection, after, epoch)

        while True:
            seen = await self.ask(lambda: subscriptions.epoch_of(name))
            opened = await self.ask(partial(open_if, seen), names=(name,), commits=True)
            if opened is not None:
                return opened  # type: ignore[no-any-return]

    async def move_checkpoint(self, checkpoint: CheckpointMove) -> None:
        subscriptions = self._database.subscriptions

        def move() -> None:
            subscriptions.check(checkpoint)
            subscriptions.move(checkpoint)

        await self.ask(move, names=(checkpoint.name,), commits=True)

    async def subscriptions(self) -> list[SubscriptionRecord]:
        return await self.ask(self._database.subscriptions.all)  # type: ignore[no-any-return]

    async def drop_subscription(self, name: str) -> bool:
        work = self._database.subscriptions.drop
        return bool(await self.ask(lambda: work(name), commits=True))

    async def recount(
        self, selection: Selection, after: int, through: int, slot: int | None = None
    ) -> Receipt:
        rows = self._database.rows
        return await self.ask(lambda: recounted(rows[after:through], selection, slot))  # type: ignore[no-any-return]

    async def load_states(self, program: str, keys: Sequence[str]) -> dict[str, bytes]:
        states, wanted = self._database.states, list(keys)
        return await self.ask(lambda: states.load(program, wanted))  # type: ignore[no-any-return]

    async def due_states(self, program: str, after: str, limit: int) -> list[tuple[str, int]]:
        states = self._database.states
        return await self.ask(lambda: states.due(program, after, limit))  # type: ignore[no-any-return]

    async def drop_program(self, program: str) -> bool:
        database = self._database

        def drop() -> bool:
            slots = database.subscriptions.drop_slots(program)
            kept = database.states.drop(program)
            tables = [database.projections.drop(name) for name in (program, program + REBUILD)]
            letters = database.letters.drop(program)
            return slots or kept or any(tables) or bool(letters)

        return bool(await self.ask(drop, commits=True))

    async def open_projection(self, schema: TableSchema, *, make: bool = True) -> ProjectedTable:
        work = self._database.projections.open
        return await self.ask(lambda: work(schema, make=make))  # type: ignore[no-any-return]

    async def projections(self) -> list[ProjectedTable]:
        return await self.ask(self._database.projections.all)  # type: ignore[no-any-return]

    async def reached(self, program: str) -> int:
        work = self._database.subscriptions.reached
        return await self.ask(lambda: work(program))  # type: ignore[no-any-return]

    async def load_projected(
        self, table: ProjectedTable, keys: Sequence[str]
    ) -> dict[str, tuple[Any, ...]]:
        work, wanted = self._database.projections.load, list(keys)
        return await self.ask(lambda: work(table, wanted))  # type: ignore[no-any-return]

    async def project(
        self,
        table: ProjectedTable,
        checkpoints: Sequence[CheckpointMove],
        changes: Sequence[RowChange],
        letters: Sequence[LetterChange] = (),
    ) -> None:
        moves, rows, database = list(checkpoints), list(changes), self._database
        put_away = list(letters)

        def project() -> None:
            for move in moves:
                database.subscriptions.check(move)
            database.projections.change(table, rows)
            database.letters.change(put_away)
            for move in moves:
                database.subscriptions.move(move)

        await self.ask(project, names=[move.name for move in moves], commits=True)

    async def select_projected(
        self, table: ProjectedTable, conditions: Sequence[Condition], after: str, limit: int
    ) -> list[tuple[str, tuple[Any, ...]]]:
        work, wanted = self._database.projections.select, list(conditions)
        return await self.ask(lambda: work(table, wanted, after, limit))  # type: ignore[no-any-return]

    async def swap_projection(self, name: str) -> bool:
        database = self._database

        def swap() -> bool:
            database.projections.check_built(name)
            if not database.subscriptions.reaches(name + REBUILD, name):
                return False
            database.projections.swap(name)
            database.letters.rename(name + REBUILD, name)
            database.subscriptions.replace(name + REBUILD, name)
            return True

        return await self.ask(swap, commits=True)  # type: ignore[no-any-return]

    async def parked_heads(self, program: str) -> list[ParkedHead]:
        letters = self._database.letters
        return await self.ask(lambda: letters.heads(program))  # type: ignore[no-any-return]

    async def dead_letters(self, parked: Parked, after: int, limit: int) -> list[DeadLetter]:
        letters = self._database.letters
        return await self.ask(lambda: letters.of(parked, after, limit))  # type: ignore[no-any-return]

    async def parked_queues(self, program: str | None = None) -> list[ParkedQueue]:
        letters = self._database.letters
        return await self.ask(lambda: letters.queues(program))  # type: ignore[no-any-return]

    async def drop_dead_letters(self, program: str, parked: Parked | None, epoch: int) -> int:
        work = self._database.drop_letters
        return int(await self.ask(lambda: work(program, parked, epoch), commits=True))

    async def last_versions(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, int]:
        wanted, versions = list(aggregate_ids), self._database.versions
        return await self.ask(  # type: ignore[no-any-return]
            lambda: {each: max(versions[each]) for each in wanted if each in versions}
        )

    async def epochs(self, names: Iterable[str]) -> dict[str, Epoch]:
        wanted, epochs = list(names), self._database.epochs
        return await self.ask(  # type: ignore[no-any-return]
            lambda: {name: epochs[name] for name in wanted if name in epochs}
        )

    async def nodes(self) -> set[str]:
        epochs = self._database.epochs
        return await self.ask(lambda: {name.partition("/")[0] for name in epochs})  # type: ignore[no-any-return]

    async def head(self) -> int:
        rows = self._database.rows
        return await self.ask(lambda: len(rows))  # type: ignore[no-any-return]

    async def read(self, after: int, limit: int, *, selection: Selection = EVERYTHING) -> Page:
        match, rows = row_filter(selection), self._database.rows

        def read() -> Page:
            through = max(after, min(after + limit, len(rows)))
            found, size = [], 0
            for position in range(after, through):
                if match(row := rows[position]):
                    found.append(row)
                    size += len(row)
                if size > self.PAGE_BYTES:
                    through = position + 1
                    break
            return Page(rows=b"".join(found), through=through)

        return await self.ask(read)  # type: ignore[no-any-return]

    async def load_events(self, aggregate_id: UUID, from_version: int | None = None) -> list[Event]:
        events: list[Event] = []
        rest: Mapping[bytes, int] = {aggregate_id.bytes: (from_version or 1) - 1}
        while rest:
            load = await self.load_rows(rest)
            events += Decoder().events(load.rows)
            rest = load.rest
        return events

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> Load:
        wanted, database = dict(after_versions), self._database

        def load() -> Load:
            found: list[bytes] = []
            rest, size = dict(wanted), 0
            for aggregate, after in wanted.items():
                for version, position in sorted(database.versions.get(aggregate, {}).items()):
                    if version <= after:
                        continue
                    if size > self.PAGE_BYTES:
                        return Load(rows=b"".join(found), rest=rest)
                    found.append(row := database.rows[position - 1])
                    size += len(row)
                    rest[aggregate] = version
                del rest[aggregate]
            return Load(rows=b"".join(found), rest={})

        return await self.ask(load)  # type: ignore[no-any-return]

    async def history(self, aggregate_id: bytes, after: int, limit: int) -> bytes:
        database = self._database

        def history() -> bytes:
            versions = sorted(database.versions.get(aggregate_id, {}).items())
            positions = [position for version, position in versions if version > after]
            return b"".join(database.rows[position - 1] for position in positions[:limit])

        return await self.ask(history)  # type: ignore[no-any-return]

    async def sources(self, prefix: str, after: str, limit: int) -> list[SourceRecord]:
        database, begins, behind = self._database, prefix.encode(), after.encode()

        def sources() -> list[SourceRecord]:
            last = {
                source_at(database.rows[at[1] - 1], 0): database.rows[at[len(at)] - 1]
                for at in database.versions.values()
            }
            found = sorted(name for name in last if name.startswith(begins) and name > behind)
            return [source_record(last[name]) for name in found[:limit]]

        return await self.ask(sources)  # type: ignore[no-any-return]

    async def count(self, after: int, limit: int, prefix: str = "") -> Counts:
        rows = self._database.rows

        def count() -> Counts:
            through = max(after, min(after + limit, len(rows)))
            return Counts(types=counted(rows[after:through], prefix), through=through)

        return await self.ask(count)  # type: ignore[no-any-return]

    async def find_rows(self, event_ids: Sequence[bytes]) -> Found:
        wanted, database = list(event_ids), self._database

        def find() -> Found:
            positions = {database.by_id[each] for each in wanted if each in database.by_id}
            found: list[bytes] = []
            size = 0
            for position in sorted(positions):
                if size > self.PAGE_BYTES:
                    return Found(rows=b"".join(found), more=True)
                found.append(row := database.rows[position - 1])
                size += len(row)
            return Found(rows=b"".join(found), more=False)

        return await self.ask(find)  # type: ignore[no-any-return]

    async def find_ids(self, event_ids: Sequence[bytes]) -> dict[bytes, bytes]:
        wanted, by_id, rows = list(event_ids), self._database.by_id, self._database.rows
        return await self.ask(  # type: ignore[no-any-return]
            lambda: {each: rows[by_id[each] - 1][26:42] for each in wanted if each in by_id}
        )

    async def find_caused(self, causes: Sequence[bytes], limit: int) -> Found:
        wanted, rows = set(causes), self._database.rows

        def find() -> Found:
            found = (row for row in rows if causes_at(row, 0)[1] in wanted)
            return first_found(found, limit, self.PAGE_BYTES)

        return await self.ask(find)  # type: ignore[no-any-return]

    async def find_correlated(self, correlation_id: bytes, limit: int) -> Found:
        rows = self._database.rows

        def find() -> Found:
            found = (row for row in rows if causes_at(row, 0)[0] == correlation_id)
            return first_found(found, limit, self.PAGE_BYTES)

        return await self.ask(find)  # type: ignore[no-any-return]

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        kept, work = list(snapshots), self._database.save_snapshots
        await self.ask(lambda: work(kept))

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        wanted, snapshots = sorted(aggregate_ids), self._database.snapshots
        return await self.ask(  # type: ignore[no-any-return]
            lambda: {key: snapshots[key] for key in wanted if key in snapshots}
        )

    async def save_snapshot(self, aggregate_id: UUID, version: int, data: bytes) -> None:
        await self.save_snapshots(
            [Snapshot(aggregate_id=aggregate_id.bytes, version=version, data=data)]
        )

    async def load_snapshot(self, aggregate_id: UUID) -> tuple[int, bytes] | None:
        found = (await self.load_snapshots([aggregate_id.bytes])).get(aggregate_id.bytes)
        return (found.version, found.data) if found else None

    async def type_records(self, actor_types: Iterable[str]) -> dict[str, TypeRecord]:
        wanted, database = list(actor_types), self._database

        def records() -> dict[str, TypeRecord]:
            return {
                name: TypeRecord(
                    class_name=database.classes.get(name),
                    event_types=frozenset(
                        event for actor, event in database.event_types if actor == name
                    ),
                )
                for name in wanted
            }

        return await self.ask(records)  # type: ignore[no-any-return]

    async def record_deciding_classes(self, classes: Mapping[str, DecidingClass]) -> dict[str, str]:
        wanted, deciding = dict(classes), self._database.classes

        def record() -> dict[str, str]:
            for name, one in wanted.items():
                if deciding.get(name) in (None, *one.replaces):
                    deciding[name] = one.class_name
            return {name: deciding[name] for name in wanted}

        return await self.ask(record)  # type: ignore[no-any-return]

    async def event_types(self) -> set[str]:
        noted = self._database.event_types
        return await self.ask(lambda: {event for _, event in noted})  # type: ignore[no-any-return]

    async def note_event_types(self, pairs: Iterable[tuple[str, str]]) -> None:
        noted, event_types = list(pairs), self._database.event_types

        def note() -> None:
            if any(sum(len(name.encode()) for name in pair) > INDEX_BYTES for pair in noted):
                raise gone("an index row is too large")
            event_types.update(noted)

        await self.ask(note)

    async def open_tally(self, launch: str) -> Tallied:
        database = self._database

        def opened() -> Tallied:
            if database.tallied is None or database.tallied.launch != launch:
                database.tallied = begun_tally(launch, len(database.rows))
            return database.tallied

        return await self.ask(opened)  # type: ignore[no-any-return]

    async def save_tally(self, tallied: Tallied) -> None:
        database = self._database

        def save() -> None:
            database.tallied = later_tally(database.tallied, tallied)

        await self.ask(save)

    async def close(self) -> None:
        self._closed = True

    async def ask(
        self,
        work: Callable[[], Any],
        names: Iterable[str] = (),
        *,
        commits: bool = False,
        opens: bool = False,
        gives_up: bool = False,
    ) -> Any:
        """Have the database do something, in its time."""
        if self._closed:
            raise gone("the pool is closed")
        async with self._pool:
            future: Future[Any] = get_running_loop().create_future()
            request = ClientRequest(
                self._client,
                frozenset(names),
                work,
                self._heard(future),
                commits=commits,
                opens=opens,
                gives_up=gives_up,
            )
            self._database.server.later(latency_s(self._draw), self._database.ask, request)
            given_up = get_running_loop().call_later(
                self._timeout_s, _settle, future, None, gone("no answer in time")
            )
            try:
                return await future
            finally:
                request.open = False
                given_up.cancel()

    def _heard(self, future: "Future[Any]") -> Callable[[Any, Exception | None], None]:
        def heard(result: Any, error: Exception | None) -> None:
            self._client.later(latency_s(self._draw), _settle, future, result, error)

        return heard


class SimulatedClaimTable:
    """The claim on the simulated database, for one directory."""

    where = "database"

    def __init__(self, database: Database, client: Owner) -> None:
        self._database = database
        self._ask = SimulatedStore(database, client, pool_size=1, timeout_s=5.0).ask

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


def _settle(future: "Future[Any]", result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)

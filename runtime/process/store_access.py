"""How the processes of a system reach its event store."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

from ray.exceptions import RayError, RayTaskError

from actors.columns import TableSchema
from actors.event import Event
from actors.event_shape import Shape
from runtime.settings.settings import Settings
from runtime.topology.names import DIRECTORY_ACTOR, WRITER_ACTOR
from store.dead_letters import DeadLetter, LetterChange, Parked, ParkedHead, ParkedQueue
from store.erasures import Erasure, ErasureReceipt, Forgotten, Searched
from store.errors import StoreError, StoreUnavailable
from store.event_store import (
    CheckpointMove,
    CounterMove,
    Counts,
    DecidingClass,
    Epoch,
    EventSchemaKey,
    EventStore,
    Found,
    Load,
    Page,
    ShardsMoved,
    Snapshot,
    SourceRecord,
    StateChange,
    Tallied,
    TypeRecord,
)
from store.groups import GroupView
from store.merges import Leg, Merge
from store.postgres.event_store import PostgresEventStore
from store.postgres.migrations import migrate
from store.projected import Condition, ProjectedTable, RowChange
from store.receipts import Receipt
from store.rows.layout import EncodedRows
from store.selection import EVERYTHING, Selection
from store.shards import ShardTable
from store.subscriptions import SubscriptionRecord
from store.timers import Hastened, Place, Timer, TimerChanges, Woken

#: Finds the handle of a process. Raises ValueError when there is none.
Find = Callable[[str], Awaitable[Any]]

#: How long the directory may take to say where the database is.
ASKED_S = 2.0


async def open_store(settings: Settings, find: Find, system: str | None = None) -> EventStore:
    """The event store that the settings name; `find` gives the handles of processes, `system` is
    whose claim on the database epochs are opened under. Raises StoreUnavailable, and
    SchemaMismatch for a database that no launch of this release has brought up to date."""
    if settings.event_store.type == "memory":
        return WriterMemoryStore(find)
    return await PostgresEventStore.connect(
        settings.event_store.connection_string.get_secret_value(),
        pool_size=settings.event_store.connection_pool_size,
        timeout_s=settings.actor_system.actor_timeout_ms / 1000,
        whereabouts=lambda: _database_url(settings, find),
        system=system,
    )


async def migrate_store(settings: Settings) -> None:
    """Bring the schema of the settings' store up to date where no system claims it. Raises
    StoreUnavailable or SchemaMismatch."""
    if settings.event_store.type == "postgres":
        await migrate(
            settings.event_store.connection_string.get_secret_value(),
            timeout_s=settings.actor_system.actor_timeout_ms / 1000,
        )


async def _database_url(settings: Settings, find: Find) -> str:
    """Where the database is now, as the directory knows; as the settings have it while the
    directory is away."""
    try:
        async with asyncio.timeout(ASKED_S):
            directory = await find(DIRECTORY_ACTOR)
            url: str = await directory.database_url.remote()
    except (RayError, ValueError, TimeoutError):
        return settings.event_store.connection_string.get_secret_value()
    return url


class WriterMemoryStore:
    """The memory store in the writer's process, reached by calls to the writer."""

    def __init__(self, find: Find) -> None:
        self._find = find

    async def open_epoch(self, name: str, holder: str = "") -> Epoch:
        return await self._call("open_epoch", name, holder)  # type: ignore[no-any-return]

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
        raise StoreUnavailable("the writer", "only the writer itself appends")

    async def open_subscription(
        self, name: str, selection: Selection, after: int, epoch: int, *, make: bool = True
    ) -> SubscriptionRecord:
        return await self._call(  # type: ignore[no-any-return]
            "open_subscription", name, selection, after, epoch, make=make
        )

    async def move_checkpoint(self, checkpoint: CheckpointMove) -> None:
        await self._call("move_checkpoint", checkpoint)

    async def move_checkpoints(self, checkpoints: Sequence[CheckpointMove]) -> set[str]:
        return await self._call("move_checkpoints", list(checkpoints))  # type: ignore[no-any-return]

    async def open_group(self, name: str, selection: Selection, after: int) -> None:
        await self._call("open_group", name, selection, after)

    async def meet_group(self, name: str, member: int, sign: int) -> GroupView:
        return await self._call("meet_group", name, member, sign)  # type: ignore[no-any-return]

    async def take_slots(
        self, name: str, member: int, epoch: int, seen: Mapping[int, int]
    ) -> list[SubscriptionRecord]:
        return await self._call("take_slots", name, member, epoch, dict(seen))  # type: ignore[no-any-return]

    async def free_slots(self, name: str, epochs: Mapping[int, int]) -> None:
        await self._call("free_slots", name, dict(epochs))

    async def leave_group(self, name: str, member: int) -> None:
        await self._call("leave_group", name, member)

    async def expel_member(self, name: str, member: int, sign: int) -> bool:
        return await self._call("expel_member", name, member, sign)  # type: ignore[no-any-return]

    async def subscriptions(self) -> list[SubscriptionRecord]:
        return await self._call("subscriptions")  # type: ignore[no-any-return]

    async def drop_subscription(self, name: str) -> bool:
        return await self._call("drop_subscription", name)  # type: ignore[no-any-return]

    async def recount(
        self, selection: Selection, after: int, through: int, slot: int | None = None
    ) -> Receipt:
        return await self._call("recount", selection, after, through, slot)  # type: ignore[no-any-return]

    async def load_states(self, program: str, keys: Sequence[str]) -> dict[str, bytes]:
        return await self._call("load_states", program, list(keys))  # type: ignore[no-any-return]

    async def due_states(self, program: str, after: str, limit: int) -> list[tuple[str, int]]:
        return await self._call("due_states", program, after, limit)  # type: ignore[no-any-return]

    async def drop_program(self, program: str) -> bool:
        return await self._call("drop_program", program)  # type: ignore[no-any-return]

    async def merge_of(self, program: str) -> Merge | None:
        return await self._call("merge_of", program)  # type: ignore[no-any-return]

    async def merges(self) -> list[Merge]:
        return await self._call("merges")  # type: ignore[no-any-return]

    async def make_merge(self, program: str, began: Sequence[int]) -> Merge:
        return await self._call("make_merge", program, list(began))  # type: ignore[no-any-return]

    async def extend_merge(self, merge: Merge, legs: Sequence[Leg]) -> bool:
        return await self._call("extend_merge", merge, list(legs))  # type: ignore[no-any-return]

    async def merge_legs(self, merge: Merge, after: int, limit: int) -> list[Leg]:
        return await self._call("merge_legs", merge, after, limit)  # type: ignore[no-any-return]

    async def last_legs(self, merge: Merge, place: int) -> list[Leg]:
        return await self._call("last_legs", merge, place)  # type: ignore[no-any-return]

    async def places_in_merge(
        self, merge: Merge, partition: int, positions: Sequence[int]
    ) -> dict[int, int]:
        return await self._call("places_in_merge", merge, partition, list(positions))  # type: ignore[no-any-return]

    async def open_projection(self, schema: TableSchema, *, make: bool = True) -> ProjectedTable:
        return await self._call("open_projection", schema, make=make)  # type: ignore[no-any-return]

    async def projections(self) -> list[ProjectedTable]:
        return await self._call("projections")  # type: ignore[no-any-return]

    async def reached(self, program: str) -> int:
        return await self._call("reached", program)  # type: ignore[no-any-return]

    async def load_projected(
        self, table: ProjectedTable, keys: Sequence[str]
    ) -> dict[str, tuple[Any, ...]]:
        return await self._call("load_projected", table, list(keys))  # type: ignore[no-any-return]

    async def project(
        self,
        table: ProjectedTable,
        checkpoints: Sequence[CheckpointMove],
        changes: Sequence[RowChange],
        letters: Sequence[LetterChange] = (),
    ) -> None:
        await self._call("project", table, list(checkpoints), list(changes), list(letters))

    async def select_projected(
        self, table: ProjectedTable, conditions: Sequence[Condition], after: str, limit: int
    ) -> list[tuple[str, tuple[Any, ...]]]:
        return await self._call("select_projected", table, list(conditions), after, limit)  # type: ignore[no-any-return]

    async def swap_projection(self, built: ProjectedTable) -> bool:
        return await self._call("swap_projection", built)  # type: ignore[no-any-return]

    async def parked_heads(self, program: str) -> list[ParkedHead]:
        return await self._call("parked_heads", program)  # type: ignore[no-any-return]

    async def dead_letters(self, parked: Parked, after: int, limit: int) -> list[DeadLetter]:
        return await self._call("dead_letters", parked, after, limit)  # type: ignore[no-any-return]

    async def parked_queues(self, program: str | None = None) -> list[ParkedQueue]:
        return await self._call("parked_queues", program)  # type: ignore[no-any-return]

    async def drop_dead_letters(self, program: str, parked: Parked | None, epoch: int) -> int:
        return await self._call("drop_dead_letters", program, parked, epoch)  # type: ignore[no-any-return]

    async def file_timers(self, checkpoint: CheckpointMove, changes: TimerChanges) -> int:
        return await self._call("file_timers", checkpoint, changes)  # type: ignore[no-any-return]

    async def due_timers(
        self, after: Place, until_us: int, limit: int, most_bytes: int
    ) -> list[Timer]:
        return await self._call("due_timers", after, until_us, limit, most_bytes)  # type: ignore[no-any-return]

    async def hasten_timers(
        self, checkpoint: CheckpointMove, beyond_us: int, limit: int
    ) -> Hastened:
        return await self._call("hasten_timers", checkpoint, beyond_us, limit)  # type: ignore[no-any-return]

    async def wake_timers(
        self,
        checkpoint: CheckpointMove,
        sources: Sequence[str],
        actor_types: Sequence[str],
        beyond_us: int,
        limit: int,
    ) -> Woken:
        return await self._call("wake_timers", checkpoint, sources, actor_types, beyond_us, limit)  # type: ignore[no-any-return]

    async def count_timers(self) -> int:
        return await self._call("count_timers")  # type: ignore[no-any-return]

    async def last_versions(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, int]:
        return await self._call("last_versions", list(aggregate_ids))  # type: ignore[no-any-return]

    async def epochs(self, names: Iterable[str]) -> dict[str, Epoch]:
        return await self._call("epochs", list(names))  # type: ignore[no-any-return]

    async def nodes(self) -> set[str]:
        return await self._call("nodes")  # type: ignore[no-any-return]

    async def head(self) -> int:
        return await self._call("head")  # type: ignore[no-any-return]

    async def read(self, after: int, limit: int, *, selection: Selection = EVERYTHING) -> Page:
        return await self._call("read", after, limit, selection=selection)  # type: ignore[no-any-return]

    async def load_events(self, aggregate_id: UUID, from_version: int | None = None) -> list[Event]:
        return await self._call("load_events", aggregate_id, from_version)  # type: ignore[no-any-return]

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> Load:
        return await self._call("load_rows", dict(after_versions))  # type: ignore[no-any-return]

    async def history(self, aggregate_id: bytes, after: int, limit: int) -> bytes:
        return await self._call("history", aggregate_id, after, limit)  # type: ignore[no-any-return]

    async def sources(self, prefix: str, after: str, limit: int) -> list[SourceRecord]:
        return await self._call("sources", prefix, after, limit)  # type: ignore[no-any-return]

    async def count(self, after: int, limit: int, prefix: str = "") -> Counts:
        return await self._call("count", after, limit, prefix)  # type: ignore[no-any-return]

    async def find_rows(self, event_ids: Sequence[bytes]) -> Found:
        return await self._call("find_rows", event_ids)  # type: ignore[no-any-return]

    async def find_ids(self, event_ids: Sequence[bytes]) -> dict[bytes, bytes]:
        return await self._call("find_ids", event_ids)  # type: ignore[no-any-return]

    async def find_caused(self, causes: Sequence[bytes], limit: int) -> Found:
        return await self._call("find_caused", list(causes), limit)  # type: ignore[no-any-return]

    async def find_correlated(self, correlation_id: bytes, limit: int) -> Found:
        return await self._call("find_correlated", correlation_id, limit)  # type: ignore[no-any-return]

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        await self._call("save_snapshots", snapshots)

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        return await self._call("load_snapshots", aggregate_ids)  # type: ignore[no-any-return]

    async def save_snapshot(self, aggregate_id: UUID, version: int, data: bytes) -> None:
        await self._call("save_snapshot", aggregate_id, version, data)

    async def load_snapshot(self, aggregate_id: UUID) -> tuple[int, bytes] | None:
        return await self._call("load_snapshot", aggregate_id)  # type: ignore[no-any-return]

    async def type_records(self, actor_types: Iterable[str]) -> dict[str, TypeRecord]:
        return await self._call("type_records", list(actor_types))  # type: ignore[no-any-return]

    async def record_deciding_classes(self, classes: Mapping[str, DecidingClass]) -> dict[str, str]:
        return await self._call("record_deciding_classes", dict(classes))  # type: ignore[no-any-return]

    async def event_types(self) -> set[str]:
        return await self._call("event_types")  # type: ignore[no-any-return]

    async def note_event_types(self, pairs: Iterable[tuple[str, str]]) -> None:
        await self._call("note_event_types", list(pairs))

    async def note_event_schemas(self, schemas: Mapping[tuple[str, str], int]) -> None:
        await self._call("note_event_schemas", dict(schemas))

    async def forget_keys(self, erasure: Erasure, epoch: int) -> Forgotten:
        return await self._call("forget_keys", erasure, epoch)  # type: ignore[no-any-return]

    async def forget_reasons(self, event_ids: Sequence[bytes]) -> int:
        return await self._call("forget_reasons", list(event_ids))  # type: ignore[no-any-return]

    async def note_event_shapes(self, shapes: Mapping[EventSchemaKey, Shape]) -> None:
        await self._call("note_event_shapes", dict(shapes))

    async def erase(self, erasure: Erasure, epoch: int) -> ErasureReceipt:
        return await self._call("erase", erasure, epoch)  # type: ignore[no-any-return]

    async def erasures(self) -> list[ErasureReceipt]:
        return await self._call("erasures")  # type: ignore[no-any-return]

    async def erased_keys(self) -> Mapping[tuple[str, int], AbstractSet[str]]:
        return await self._call("erased_keys")  # type: ignore[no-any-return]

    async def search_erased(self, receipt: ErasureReceipt) -> Searched:
        return await self._call("search_erased", receipt)  # type: ignore[no-any-return]

    async def open_shards(self, hosts: Sequence[str], *, anew: bool = False) -> ShardTable:
        return await self._call("open_shards", list(hosts), anew=anew)  # type: ignore[no-any-return]

    async def move_shards(
        self, shards: Collection[int], host: str, to: str, epoch: Epoch, attempt: int
    ) -> ShardsMoved:
        return await self._call(  # type: ignore[no-any-return]
            "move_shards", list(shards), host, to, epoch, attempt
        )

    async def open_tally(self, launch: str) -> Tallied:
        return await self._call("open_tally", launch)  # type: ignore[no-any-return]

    async def save_tally(self, tallied: Tallied) -> None:
        await self._call("save_tally", tallied)

    async def close(self) -> None:
        """Nothing is open."""

    async def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        try:
            writer = await self._find(WRITER_ACTOR)
            return await writer.in_store.remote(method, arguments, named)
        except RayTaskError as error:
            if isinstance(error.cause, StoreError):
                raise error.cause from error
            raise StoreUnavailable("the writer's memory", str(error)) from error
        except (RayError, ValueError) as error:
            raise StoreUnavailable("the writer's memory", str(error)) from error

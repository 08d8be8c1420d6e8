"""The event store: one protocol, one contract suite, two implementations.

The log is append-only. A store keeps, beside it, one row a node and writer: its epoch
(which incarnation may append) and its counter (how far it has durably come).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from actors.event import Event
from store.rows.layout import EncodedRows
from store.selection import EVERYTHING, Selection

#: The writer's name in the table of epochs: one writer a database may append.
WRITER = "writer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A node's incarnation number, and where its counter stood when that began."""

    name: str
    number: int
    counter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterMove:
    """How far an append takes a node: for a host the last tick of its vector clock in
    these rows, for the writer the last position."""

    name: str
    epoch: int
    counter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A stretch of the log: the matching rows of the positions up to `through`."""

    rows: bytes
    through: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An actor's encoded state after its event `version`."""

    aggregate_id: bytes
    version: int
    data: bytes


class EventStore(Protocol):
    """Where events rest. Every method raises StoreUnavailable when it cannot get there."""

    async def open_epoch(self, name: str) -> Epoch:
        """Begin a new incarnation of `name`; appends of every older one are refused from
        now on, and what they had committed is visible from now on."""

    async def append(
        self, rows: EncodedRows, *, writer: CounterMove, nodes: Sequence[CounterMove]
    ) -> None:
        """Commit all rows or none, durably.

        The rows carry versions, positions and commit time; positions end at
        `writer.counter`. Raises StaleEpoch if the writer or one of the nodes was
        replaced, DuplicateEvent if an id is in the log, VersionConflict if an aggregate
        has such a version.
        """

    async def epochs(self, names: Iterable[str]) -> dict[str, Epoch]:
        """The present epochs of those names that have one."""

    async def head(self) -> int:
        """The last committed position; 0 for an empty log."""

    async def read(self, after: int, limit: int, *, selection: Selection = EVERYTHING) -> Page:
        """The events at the next `limit` positions above `after`, in order of position,
        less those not selected. `through` equals `after` at the head of the log."""

    async def load_events(self, aggregate_id: UUID, from_version: int | None = None) -> list[Event]:
        """An aggregate's events in order, from `from_version` (included) or the first."""

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> bytes:
        """The rows of many aggregates, each above its version: by aggregate, by version."""

    async def find_rows(self, event_ids: Sequence[bytes]) -> bytes:
        """The rows of those events that are in the log, in no promised order."""

    async def find_ids(self, event_ids: Sequence[bytes]) -> set[bytes]:
        """Those of the ids that are in the log."""

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep each unless a newer one of its aggregate is there already."""

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        """The snapshots of those aggregates that have one."""

    async def save_snapshot(self, aggregate_id: UUID, version: int, data: bytes) -> None:
        """Keep one snapshot."""

    async def load_snapshot(self, aggregate_id: UUID) -> tuple[int, bytes] | None:
        """One aggregate's snapshot as (version, data)."""

    async def close(self) -> None:
        """Give back what was opened."""

"""A store in memory, for tests and examples: the same contract, nothing survives."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from uuid import UUID

from actors.event import Event
from store.errors import DuplicateEvent, StaleEpoch, VersionConflict
from store.event_store import WRITER, CounterMove, Epoch, Page, Snapshot
from store.rows.decoding import Decoder
from store.rows.layout import EncodedRows
from store.selection import EVERYTHING, Selection, row_filter


class MemoryEventStore:
    """EventStore kept in dicts of this process; rows stay encoded."""

    def __init__(self) -> None:
        self._rows: list[bytes] = []  # by position, from 1
        self._by_id: dict[bytes, int] = {}
        self._aggregates: dict[bytes, dict[int, int]] = {}  # version -> position
        self._epochs: dict[str, Epoch] = {}
        self._snapshots: dict[bytes, Snapshot] = {}

    async def open_epoch(self, name: str) -> Epoch:
        old = self._epochs.get(name)
        new = Epoch(
            name=name, number=old.number + 1 if old else 1, counter=old.counter if old else 0
        )
        self._epochs[name] = new
        return new

    async def append(
        self, rows: EncodedRows, *, writer: CounterMove, nodes: Sequence[CounterMove]
    ) -> None:
        self._check_fence(writer, nodes, len(rows))
        fresh = list(_split(rows))
        self._check_free(fresh)
        for row in fresh:
            self._rows.append(row)
            self._by_id[row[6:22]] = len(self._rows)
            self._aggregates.setdefault(row[26:42], {})[_version(row)] = len(self._rows)
        for tick in (writer, *nodes):
            self._epochs[tick.name] = Epoch(name=tick.name, number=tick.epoch, counter=tick.counter)

    async def epochs(self, names: Iterable[str]) -> dict[str, Epoch]:
        return {name: self._epochs[name] for name in names if name in self._epochs}

    async def head(self) -> int:
        return len(self._rows)

    async def read(self, after: int, limit: int, *, selection: Selection = EVERYTHING) -> Page:
        through = max(after, min(after + limit, len(self._rows)))
        match = row_filter(selection)
        rows = b"".join(row for row in self._rows[after:through] if match(row))
        return Page(rows=rows, through=through)

    async def load_events(self, aggregate_id: UUID, from_version: int | None = None) -> list[Event]:
        rows = await self.load_rows({aggregate_id.bytes: (from_version or 1) - 1})
        return Decoder().events(rows)

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> bytes:
        found = []
        for aggregate, after in after_versions.items():
            versions = sorted(self._aggregates.get(aggregate, {}).items())
            start = bisect_right(versions, after, key=itemgetter(0))
            found += [self._rows[position - 1] for _, position in versions[start:]]
        return b"".join(found)

    async def find_rows(self, event_ids: Sequence[bytes]) -> bytes:
        return b"".join(
            self._rows[self._by_id[event_id] - 1]
            for event_id in event_ids
            if event_id in self._by_id
        )

    async def find_ids(self, event_ids: Sequence[bytes]) -> set[bytes]:
        return {event_id for event_id in event_ids if event_id in self._by_id}

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        for snapshot in snapshots:
            old = self._snapshots.get(snapshot.aggregate_id)
            if old is None or old.version < snapshot.version:
                self._snapshots[snapshot.aggregate_id] = snapshot

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        return {key: self._snapshots[key] for key in aggregate_ids if key in self._snapshots}

    async def save_snapshot(self, aggregate_id: UUID, version: int, data: bytes) -> None:
        await self.save_snapshots(
            [Snapshot(aggregate_id=aggregate_id.bytes, version=version, data=data)]
        )

    async def load_snapshot(self, aggregate_id: UUID) -> tuple[int, bytes] | None:
        snapshot = self._snapshots.get(aggregate_id.bytes)
        return (snapshot.version, snapshot.data) if snapshot else None

    async def close(self) -> None:
        """Nothing is open."""

    def _check_fence(self, writer: CounterMove, nodes: Sequence[CounterMove], count: int) -> None:
        for tick in (writer, *nodes):
            present = self._epochs.get(tick.name)
            if present is None or present.number != tick.epoch:
                raise StaleEpoch(tick.name, tick.epoch)
        if self._epochs[WRITER].counter != writer.counter - count:
            raise StaleEpoch(writer.name, writer.epoch)

    def _check_free(self, rows: list[bytes]) -> None:
        ids: set[bytes] = set()
        versions: set[tuple[bytes, int]] = set()
        for row in rows:
            event_id, aggregate, version = row[6:22], row[26:42], _version(row)
            if event_id in self._by_id or event_id in ids:
                raise DuplicateEvent(f"id {UUID(bytes=event_id)}")
            if version in self._aggregates.get(aggregate, {}) or (aggregate, version) in versions:
                raise VersionConflict(f"{UUID(bytes=aggregate)} version {version}")
            ids.add(event_id)
            versions.add((aggregate, version))


def _version(row: bytes) -> int:
    return int.from_bytes(row[46:54], "big")


def _split(rows: EncodedRows) -> Iterable[bytes]:
    at = 0
    for length in rows.lengths:
        yield bytes(rows.data[at : at + length])
        at += length

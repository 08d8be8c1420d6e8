"""A log out of an export, into a database that has none: every event as it was.

Ids, versions, moments, clocks, causes and data are kept, and so are the moments of commits;
positions are 1, 2, 3 ... again, the same ones where the whole log was exported. No system may have
the database meanwhile. Each append is whole, so one that was interrupted goes on where it was.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from actors.errors import InvalidName
from actors.naming import actor_type_of, checked_type_name
from actors.schema import schema_of
from store.errors import StoreError
from store.event_store import WRITER, CounterMove, Epoch, EventStore
from store.rows.columns import rows_of
from store.rows.json_text import decode_json
from store.rows.layout import EncodedRows, stamp

#: Events of one append.
_AT_ONCE = 5_000


class NotRestorable(StoreError):
    """These events cannot become the log of this database."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"the log cannot be restored: {self.problem}"


@dataclass(slots=True)
class Restored:
    """What became of it so far."""

    events: int = 0
    new: int = 0  #: those that were not in the log before


class Restoring:
    """Restores one log, in the order of its positions. `report` hears of each append."""

    def __init__(
        self,
        store: EventStore,
        holder: str,
        nodes: Iterable[str] | None = None,
        report: Callable[[Restored], None] = lambda _: None,
    ) -> None:
        """`nodes` are those of the system whose log it was: clocks may have entries of others,
        which are nobody's here. None: all are taken for its own."""
        self._store, self._holder, self._report = store, holder, report
        self._own_nodes = None if nodes is None else frozenset(nodes)
        self._writer: Epoch | None = None
        self._nodes: dict[str, Epoch] = {}
        self._ticks: dict[str, int] = {}  # of each node, as far as it has come
        self._versions: dict[str, int] = {}  # by aggregate id
        self._noted: set[tuple[str, str]] = set()
        self._schemas: dict[tuple[str, str], int] = {}
        self._position = 0  # of the last event that was given, in the file
        self.done = Restored()

    async def begin(self) -> None:
        """Become the writer of the log. Raises StoreUnavailable and SystemReplaced."""
        self._writer = await self._store.open_epoch(WRITER, self._holder)

    async def add(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """The events of these columns (store/rows/columns.py). Raises NotRestorable, and what the
        store does."""
        rows = zip(*columns.values(), strict=True)
        while some := list(islice(rows, _AT_ONCE)):
            await self._append(dict(zip(columns, map(list, zip(*some, strict=True)), strict=True)))

    async def _append(self, columns: Mapping[str, Sequence[Any]]) -> None:
        assert self._writer is not None
        first = self.done.events + 1
        self._check(columns)
        count = len(columns["position"])
        self.done.events += count
        known = min(max(self._writer.counter - first + 1, 0), count)
        if known:
            await self._check_known(columns, first, known)
        if known == count:
            return
        try:
            rows = EncodedRows.of(list(islice(rows_of(columns), known, None)))
        except (ValueError, AttributeError, TypeError) as error:  # somebody has changed the files
            raise NotRestorable(f"its events after {first - 1:,} are none: {error}") from error
        data = bytearray(rows.data)
        at = 0
        for number, length in enumerate(rows.lengths, known):
            one = bytearray(data[at : at + length])
            stamp(one, rows.lengths[:1], columns["recorded_at"][number], first + number)
            data[at : at + length] = one
            at += length
        await self._note_types(columns)
        await self._store.append(
            EncodedRows(data, rows.lengths),
            writer=CounterMove(name=WRITER, epoch=self._writer.number, counter=first + count - 1),
            nodes=await self._moves(columns),
        )
        self.done.new += count - known
        self._report(self.done)

    def _check(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Each device's versions are 1, 2, 3 ..., or the log would have a gap."""
        for position, aggregate, version, source in zip(
            columns["position"], columns["aggregate_id"], columns["version"], columns["source"],
            strict=True,
        ):  # fmt: skip
            if position <= self._position:
                raise NotRestorable(
                    f"position {position:,} comes after {self._position:,}: the files are not in "
                    "order"
                )
            expected = self._versions.get(aggregate, 0) + 1
            if version != expected:
                raise NotRestorable(
                    f"{source} has version {version} where {expected} is due: a slice that "
                    "leaves out events of a device is no log; export whole devices"
                )
            self._position, self._versions[aggregate] = position, version

    async def _check_known(
        self, columns: Mapping[str, Sequence[Any]], first: int, known: int
    ) -> None:
        """What the log has already has to be the same."""
        page = await self._store.find_ids([UUID(one).bytes for one in columns["event_id"][:known]])
        if len(page) != known:
            raise NotRestorable(
                f"the log has other events at positions {first:,} to {first + known - 1:,}: it "
                "takes a database without a log, or with the beginning of this one"
            )

    async def _note_types(self, columns: Mapping[str, Sequence[Any]]) -> None:
        pairs = {
            (_noted_under(source), event_type)
            for source, event_type in zip(columns["source"], columns["event_type"], strict=True)
        }
        await self._note_schemas(columns)
        if fresh := pairs - self._noted:
            await self._store.note_event_types(sorted(fresh))
            self._noted |= fresh

    async def _note_schemas(self, columns: Mapping[str, Sequence[Any]]) -> None:
        found: dict[tuple[str, str], int] = {}
        for source, event_type, text in zip(
            columns["source"], columns["event_type"], columns["metadata"], strict=True
        ):
            if text is None or (schema := schema_of(decode_json(text.encode()))) <= 1:
                continue
            pair = _noted_under(source), event_type
            if schema > max(self._schemas.get(pair, 1), found.get(pair, 1)):
                found[pair] = schema
        if found:
            await self._store.note_event_schemas(found)
            self._schemas |= found

    async def _moves(self, columns: Mapping[str, Sequence[Any]]) -> list[CounterMove]:
        """How far the nodes have come by these events: a host goes on from there."""
        moved: set[str] = set()
        for text in columns["vector_clock"]:
            for node, count in decode_json(text.encode()).items():
                own = self._own_nodes is None or node in self._own_nodes
                if own and count > self._ticks.get(node, 0):
                    self._ticks[node] = count
                    moved.add(node)
        for node in moved - self._nodes.keys():
            self._nodes[node] = await self._store.open_epoch(node, self._holder)
        return [
            CounterMove(name=node, epoch=self._nodes[node].number, counter=self._ticks[node])
            for node in sorted(moved)
        ]


def _noted_under(source: str) -> str:
    """The actor type that event types of a source are noted under, as hosts do."""
    try:
        return checked_type_name(actor_type_of(source)) if "/" in source else ""
    except InvalidName:
        return ""  # no actor's source, whatever comes

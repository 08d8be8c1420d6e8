"""The event store: one protocol, one contract suite, two implementations.

The log is append-only. A store keeps, beside it, one row a node and writer: its epoch
(which incarnation may append) and its counter (how far it has durably come).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from actors.columns import TableSchema
from actors.event import Event
from actors.event_shape import Shape
from store.appends import CheckpointMove as CheckpointMove
from store.appends import StateChange as StateChange
from store.dead_letters import DeadLetter, LetterChange, Parked, ParkedHead, ParkedQueue
from store.erasures import Erasure, ErasureReceipt, Forgotten, Searched
from store.groups import GroupView
from store.merges import Leg, Merge
from store.projected import Condition, ProjectedTable, RowChange
from store.receipts import Receipt
from store.rows.layout import EncodedRows
from store.selection import EVERYTHING, Selection
from store.shards import ShardTable
from store.subscriptions import SubscriptionRecord
from store.timers import Hastened, Place, Timer, TimerChanges, Woken

#: The writer's name in the table of epochs: one writer a database may append.
WRITER = "writer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A node's incarnation number, and where its counter stands. `attempt` says which of the
    writer's appends moved its counter last, `holder` whose incarnation it is."""

    name: str
    number: int
    counter: int
    attempt: int = 0
    holder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardsMoved:
    """The table behind a move, and the epoch of the host that has given shards away."""

    table: ShardTable
    epoch: Epoch


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
class Load:
    """Rows of many aggregates, and what is still to be loaded of them: nothing at the end."""

    rows: bytes
    rest: Mapping[bytes, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Rows of events that were asked for by their ids. `more`: there may be others of them."""

    rows: bytes
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An actor's encoded state after its event `version`."""

    aggregate_id: bytes
    version: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRecord:
    """What a store knows of an actor type."""

    class_name: str | None  #: the class that decides its actors; None: nobody has said so yet
    event_types: frozenset[str]  #: that the log has of it; one that never came may be there, too
    #: The newest schema version of those of them that are not all of the first one.
    schemas: Mapping[str, int] = field(default_factory=dict)
    #: Which fields events of a type and schema version were written with, as far as that was noted.
    shapes: Mapping[tuple[str, int], Shape] = field(default_factory=dict)


#: An actor type, an event type, and a schema version of that.
EventSchemaKey = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidingClass:
    """A class that is to decide the actors of a type, and the classes whose place it may take."""

    class_name: str
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """A source that the log has, and its last event."""

    source: str
    version: int  #: of that event
    event_type: str
    recorded_us: int  #: when it was committed, Unix microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeCount:
    """The events of one type of one actor type, at some stretch of the log."""

    actor_type: str  #: what stands before the slash of the source; empty where it has none
    event_type: str
    events: int
    newcomers: int  #: those of them that are the first of their source
    position: int  #: of the last of them
    recorded_us: int  #: when that was committed, Unix microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A stretch of the log, counted: the positions up to `through`."""

    types: tuple[TypeCount, ...]
    through: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallied:
    """How many events the log has had since a launch, up to the position `through`."""

    launch: str  #: no two launches of a system have the same
    through: int
    by_type: Mapping[str, int]
    by_node: Mapping[str, int]  #: whose host has decided them


class EventStore(Protocol):
    """Where events rest. Every method raises StoreUnavailable when it cannot get there."""

    async def open_epoch(self, name: str, holder: str = "") -> Epoch:
        """Begin a new incarnation of `name`, of whoever `holder` names; appends of every older
        one are refused from now on, and what they had committed is visible from now on. After
        StoreUnavailable that may yet come about."""

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
        """Commit all rows, counters, checkpoints, states and letters or none of them, durably. No
        two of the states are of one key; and no slot both owes an event and has paid it.

        The rows carry versions, positions and commit time; positions end at
        `writer.counter`. `attempt` is kept beside that counter: after a lost connection
        the writer tells by it which of its appends the log has.

        Raises StaleEpoch if the writer or one of the nodes was replaced, StaleCheckpoint if
        whoever moves a checkpoint was, or the writer's counter does not stand where the rows begin;
        DuplicateEvent if an id is in the log, VersionConflict if an aggregate has such a
        version, RowsRefused for rows that the store cannot hold. After StoreUnavailable
        the outcome is open, and may yet come about.
        """

    async def open_subscription(
        self, name: str, selection: Selection, after: int, epoch: int, *, make: bool = True
    ) -> SubscriptionRecord:
        """Begin a new incarnation of a durable subscription, under a number that nobody has drawn
        before: checkpoint moves under any other number are refused from now on. After
        StoreUnavailable that may yet come about, and may be asked for again. Where there is no
        subscription of that name, one is made that begins after the position `after`, which
        otherwise says nothing; StaleCheckpoint is raised where none is to be made. Raises
        AnotherSelection where the one that there is selects something else; its incarnation goes
        on then."""

    async def move_checkpoint(self, checkpoint: CheckpointMove) -> None:
        """Move a checkpoint whose effects are not in the log. Raises StaleCheckpoint where
        somebody else has opened the subscription since, where it was dropped, and where it stands
        further."""

    async def move_checkpoints(self, checkpoints: Sequence[CheckpointMove]) -> set[str]:
        """Move several of that kind, each by itself: the names of those that are refused, as by
        StaleCheckpoint, while the others have moved."""

    async def open_group(self, name: str, selection: Selection, after: int) -> None:
        """Make the slots of a group (store/groups.py), NAME/0 and so on, where there are none: they
        begin after a position, and nobody has them. Raises AnotherSelection where those that there
        are select something else."""

    async def meet_group(self, name: str, member: int, sign: int) -> GroupView:
        """A sign of life of a member, a number that he has given none of before, and by which he
        joins if he is no member; and what he finds. Of a group that was dropped he is none, and
        there are no slots. After StoreUnavailable he may have joined yet, or do so later."""

    async def take_slots(
        self, name: str, member: int, epoch: int, seen: Mapping[int, int]
    ) -> list[SubscriptionRecord]:
        """Begin a new incarnation of slots of a group, for a member, under a number that nobody has
        drawn before: of those whose epoch is still the one that was seen. Those that he has got, or
        has under this number already. Nobody gets any who is no member."""

    async def free_slots(self, name: str, epochs: Mapping[int, int]) -> None:
        """Nobody has these slots of a group any more, of which each was had under this epoch."""

    async def leave_group(self, name: str, member: int) -> None:
        """He is no member of it any more, and nobody has what he had."""

    async def expel_member(self, name: str, member: int, sign: int) -> bool:
        """He is no member of it any more, if this is his last sign still: his slots stay with him
        until somebody takes them. Was he one?"""

    async def subscriptions(self) -> list[SubscriptionRecord]:
        """All durable subscriptions, by name."""

    async def drop_subscription(self, name: str) -> bool:
        """Forget one, with its checkpoint; was there one? Whoever works for it is told at his
        next checkpoint move."""

    async def recount(
        self, selection: Selection, after: int, through: int, slot: int | None = None
    ) -> Receipt:
        """What the receipt of a stretch of the log has to be: of all selected events at the
        positions above `after` up to `through`, which it reads; or of those of one slot."""

    async def load_states(self, program: str, keys: Sequence[str]) -> dict[str, bytes]:
        """What the program keeps of those of these keys of which it keeps anything."""

    async def due_states(self, program: str, after: str, limit: int) -> list[tuple[str, int]]:
        """The keys of the program that are to be looked at again, and the event time of each, Unix
        microseconds: at most `limit`, in the order of their UTF-8, those that come after a key, or
        the first (after "")."""

    async def drop_program(self, program: str) -> bool:
        """Forget the subscriptions of all slots of a program, and all that it keeps, its table,
        its dead letters and its merge too; or those of a group, with its members. Was there
        anything?"""

    async def merge_of(self, program: str) -> Merge | None:
        """That of a program that reads several logs (store/merges.py); None: it reads this one."""

    async def merges(self) -> list[Merge]:
        """Those of all programs, by name."""

    async def make_merge(self, program: str, began: Sequence[int]) -> Merge:
        """One that begins behind a position of each log; or the one that is there."""

    async def extend_merge(self, merge: Merge, legs: Sequence[Leg]) -> bool:
        """Put legs behind its end, all of them or none. False where it does not end before the
        first of them: somebody else has extended it. Raises StaleCheckpoint where it was dropped,
        also where there is another one of its name by now."""

    async def merge_legs(self, merge: Merge, after: int, limit: int) -> list[Leg]:
        """So many, in their order: the first ones that end behind a place. Raises
        StaleCheckpoint, likewise."""

    async def last_legs(self, merge: Merge, place: int) -> list[Leg]:
        """Of each log the last leg that begins before a place, in no order. Raises
        StaleCheckpoint, likewise."""

    async def places_in_merge(
        self, merge: Merge, partition: int, positions: Sequence[int]
    ) -> dict[int, int]:
        """The places of those of these positions of one log that are in the merge."""

    async def open_projection(self, schema: TableSchema, *, make: bool = True) -> ProjectedTable:
        """The table of a projection; where there is none, it is made, if it may be. Its name is
        NAME, or NAME.rebuild for one that no reader sees yet. Raises AnotherTable where it has
        other columns, and NoProjection."""

    async def projections(self) -> list[ProjectedTable]:
        """All tables of projections, by name."""

    async def reached(self, program: str) -> int:
        """Up to which position all slots of a program are finished; -1 where not all are there."""

    async def load_projected(
        self, table: ProjectedTable, keys: Sequence[str]
    ) -> dict[str, tuple[Any, ...]]:
        """Those of these rows that there are; JSON is text."""

    async def project(
        self,
        table: ProjectedTable,
        checkpoints: Sequence[CheckpointMove],
        changes: Sequence[RowChange],
        letters: Sequence[LetterChange] = (),
    ) -> None:
        """Change rows and letters, and move the checkpoints of the program whose they are, all or
        nothing, durably. No two of the changes are of one key. Raises StaleCheckpoint if whoever
        moves a checkpoint was replaced, and RefusedRow for a row that it cannot hold. After
        StoreUnavailable the outcome is open, and may yet come about: until somebody opens these
        slots anew."""

    async def select_projected(
        self, table: ProjectedTable, conditions: Sequence[Condition], after: str, limit: int
    ) -> list[tuple[str, tuple[Any, ...]]]:
        """The rows of a table in service of which all the conditions are true, which are of its
        columns or of `key`: at most `limit`, in
        the order of the UTF-8 of their keys, those behind a key, or the first (after "")."""

    async def swap_projection(self, built: ProjectedTable) -> bool:
        """Have this table, NAME.rebuild, take the place of NAME, its rows and its checkpoints, at
        one instant for every reader; whoever works for either is refused from then on. False, and
        nothing has happened, where it does not reach as far within seconds, or a reader holds it
        up. Raises NoProjection, also where another table has that name by now."""

    async def parked_heads(self, program: str) -> list[ParkedHead]:
        """The letters of the program that have a reason, in order of what is parked, and then of
        positions. Of whatever is parked for a slot, the first letter is among them."""

    async def dead_letters(self, parked: Parked, after: int, limit: int) -> list[DeadLetter]:
        """The letters of something that is parked, at most `limit`, by position: those above
        `after`."""

    async def parked_queues(self, program: str | None = None) -> list[ParkedQueue]:
        """All that is parked, of one program or of all: by program, keys before sources, by
        name."""

    async def drop_dead_letters(self, program: str, parked: Parked | None, epoch: int) -> int:
        """Forget those of something that is parked, or all of a program; how many there were.
        Where there were any, its slots are as if they had been opened under `epoch`, a number
        below zero, which is nobody's: whoever works for them finds out, and begins anew."""

    async def file_timers(self, checkpoint: CheckpointMove, changes: TimerChanges) -> int:
        """Change the timers that are to fire, and move the checkpoint of whoever fires them, both
        or neither, durably; by how many there are more of them now. Raises StaleCheckpoint as
        `move_checkpoint` does. After StoreUnavailable the outcome is open, and may yet come about:
        until somebody opens that subscription anew."""

    async def due_timers(
        self, after: Place, until_us: int, limit: int, most_bytes: int
    ) -> list[Timer]:
        """The timers that are to be looked at until a moment (included) and come behind a place:
        at most `limit`, in their order, and none behind those whose messages have `most_bytes` or
        more together. Quick, however many there are beyond."""

    async def hasten_timers(
        self, checkpoint: CheckpointMove, beyond_us: int, limit: int
    ) -> Hastened:
        """Those that are to be looked at beyond a moment, and later than they are due, are to be
        looked at when they are due: at most `limit`, those first that were put off least. Fewer
        than that, and there are no more of them. With the checkpoint, as `file_timers` does, and it
        raises what that raises. Quick, however many there are that nobody has put off."""

    async def wake_timers(
        self,
        checkpoint: CheckpointMove,
        sources: Sequence[str],
        actor_types: Sequence[str],
        beyond_us: int,
        limit: int,
    ) -> Woken:
        """Those of these actors, and of all actors of these types, that were put off beyond a
        moment are to be looked at when they are due: at most `limit`. With the checkpoint, as
        `file_timers` does, and it raises what that raises. Quick, however many there are that
        nobody has put off."""

    async def count_timers(self) -> int:
        """How many are to fire."""

    async def last_versions(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, int]:
        """The version of the last event of those aggregates that have any. Quick, however long the
        log is."""

    async def epochs(self, names: Iterable[str]) -> dict[str, Epoch]:
        """The present epochs of those names that have one."""

    async def nodes(self) -> set[str]:
        """The nodes of this log: what stands before a slash in each name that ever opened an
        epoch. Every node that an event of this log was ticked by is among them."""

    async def head(self) -> int:
        """The last committed position; 0 for an empty log."""

    async def read(self, after: int, limit: int, *, selection: Selection = EVERYTHING) -> Page:
        """The events at the next `limit` positions above `after`, in order of position,
        less those not selected, or those at fewer positions where they are large.
        `through` equals `after` at the head of the log."""

    async def load_events(self, aggregate_id: UUID, from_version: int | None = None) -> list[Event]:
        """An aggregate's events in order, from `from_version` (included) or the first."""

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> Load:
        """The rows of many aggregates, each above its version: by aggregate, by version.

        As many of them as are sensibly brought at a time; the rest is loaded by calling
        again with `rest`, which begins with the rest of the aggregate that came last.
        """

    async def history(self, aggregate_id: bytes, after: int, limit: int) -> bytes:
        """The rows of one aggregate, above a version and in version order: at most `limit`, and
        fewer than there are where they are large, but one if there is one."""

    async def sources(self, prefix: str, after: str, limit: int) -> list[SourceRecord]:
        """The sources that begin with `prefix`, which is not empty, at most `limit`, in the order
        of their UTF-8: those that come after a source, or the first (after ""). Quick, however
        long the log is."""

    async def count(self, after: int, limit: int, prefix: str = "") -> Counts:
        """The events at the next `limit` positions above `after` by their types, in no promised
        order: of the sources that begin with `prefix`. `through` equals `after` at the head of
        the log."""

    async def find_rows(self, event_ids: Sequence[bytes]) -> Found:
        """The rows of those events that are in the log, in no promised order.

        As many of them as are sensibly brought at a time, and one at the least; where that
        may not be all, `more` says so, and the others are found by asking for them again.
        """

    async def find_ids(self, event_ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Those of the ids that are in the log, each with the aggregate of its event."""

    async def find_caused(self, causes: Sequence[bytes], limit: int) -> Found:
        """The rows of the events that name one of these ids, of events or commands, as their cause:
        the first `limit` of them by position, in that order, and as many as are sensibly brought
        at a time; where that was fewer, `more` says so. Quick, however long the log is.

        Not promised: those that name one id as their cause and as their correlation, but for the
        first event of a command of that id."""

    async def find_correlated(self, correlation_id: bytes, limit: int) -> Found:
        """The rows of the events of one correlation, likewise. Not promised: those that name that
        id as their cause, too, but for the events of the command of that id."""

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep each unless a newer one of its aggregate is there already. One of the same version
        makes way, it may be of another state; but what marks an erasure does not."""

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        """The snapshots of those aggregates that have one."""

    async def save_snapshot(self, aggregate_id: UUID, version: int, data: bytes) -> None:
        """Keep one snapshot."""

    async def load_snapshot(self, aggregate_id: UUID) -> tuple[int, bytes] | None:
        """One aggregate's snapshot as (version, data)."""

    async def type_records(self, actor_types: Iterable[str]) -> dict[str, TypeRecord]:
        """What is known of each of these actor types. Quick, however long the log is."""

    async def record_deciding_classes(self, classes: Mapping[str, DecidingClass]) -> dict[str, str]:
        """Have each class decide its actor type from now on, unless one does that it does not
        replace; the names of the classes that do now."""

    async def event_types(self) -> set[str]:
        """All event types that were noted."""

    async def note_event_types(self, pairs: Iterable[tuple[str, str]]) -> None:
        """The log is about to have events of these types: an actor type and an event type each.
        To be waited for before the first of them is appended."""

    async def note_event_schemas(self, schemas: Mapping[tuple[str, str], int]) -> None:
        """The log is about to have events of these schema versions, of an actor type and an event
        type each. An older one than is known changes nothing."""

    async def note_event_shapes(self, shapes: Mapping[EventSchemaKey, Shape]) -> None:
        """The log is about to have events with these fields, of an actor type, an event type and a
        schema version each. A field that is known stays what it is."""

    async def erase(self, erasure: Erasure, epoch: int) -> ErasureReceipt:
        """Forget an actor that is over by the log, durably. Of its events before the last
        actor-erased the data goes (a tombstone, actors/event.py), and so does what programs have
        put out under its keys; its snapshot, its timers, its dead letters, and what programs and
        projections keep under its keys. All else of the rows stays.

        All slots of programs, and whoever fires timers or delivers messages, are as if they had
        been opened under `epoch`, a number below zero, which is nobody's: what they have read
        before is never written; they find out, and begin anew.

        May be done again, whole, and does then what is left of it; the receipt is of all of it. Of
        an actor that has begun anew behind an erasure with a receipt it changes nothing.
        Its parts may come about one after the other, and after StoreUnavailable any of them has,
        or may yet. Raises NotErased where the log does not say that the actor is over."""

    async def forget_keys(self, erasure: Erasure, epoch: int) -> Forgotten:
        """Forget what programs have here of an actor whose own log is another one, and which is
        erased there: outputs, states, rows and dead letters of its keys. Whoever works for a
        program here is fenced off by that `epoch`, as in `erase`, and reads again."""

    async def forget_reasons(self, event_ids: Sequence[bytes]) -> int:
        """Of dead letters of these events the reasons go, which may tell of them; of how many."""

    async def erasures(self) -> list[ErasureReceipt]:
        """What was erased, by position."""

    async def erased_keys(self) -> Mapping[tuple[str, int], AbstractSet[str]]:
        """Under which keys, beside its source, programs keep nothing of an actor that was erased:
        of each erasure that names some, by the source and the version of its actor-erased."""

    async def search_erased(self, receipt: ErasureReceipt) -> Searched:
        """What there is, in any table, of an actor that was erased. It may take its time."""

    async def open_shards(self, hosts: Sequence[str], *, anew: bool = False) -> ShardTable:
        """Which host has which shard. Where there is no table, one is made, in which all shards are
        dealt out to these hosts in turn; `anew`: also where there is one that has other hosts than
        these, under the version behind it. Whoever is about to change the table is waited for, as
        who gave up the connection in the middle of a move may be."""

    async def move_shards(
        self, shards: Collection[int], host: str, to: str, epoch: Epoch, attempt: int
    ) -> ShardsMoved:
        """Have `to` have those of these shards that `host` has, durably and under the next version;
        where it has none of them the table stays. With that the `epoch` is over under which `host`
        appends, and the next one begins, which is returned, too: what was sent under the old one
        and is not in the log by then never will be, and what is, is visible from then on. Raises
        StaleEpoch, and nothing is moved, where the epoch was over before.

        After StoreUnavailable that may yet come about. It may be asked for again, under the same
        number `attempt`, which is drawn anew for each move and is not 0: it is done once, and said
        again what came of it."""

    async def open_tally(self, launch: str) -> Tallied:
        """What was saved last of this launch's; where that is nothing, a tally that begins at the
        head, and those of other launches go."""

    async def save_tally(self, tallied: Tallied) -> None:
        """Keep it, unless one that reaches as far is kept, or another launch has begun one."""

    async def close(self) -> None:
        """Give back what was opened."""

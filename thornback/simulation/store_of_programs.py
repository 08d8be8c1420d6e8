"""What the simulated event store keeps of programs: checkpoints, states, tables, dead letters."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any

from actors.columns import TableSchema
from store.dead_letters import DeadLetter, LetterChange, Parked, ParkedHead, ParkedQueue
from store.erasures import Erasure, ErasureReceipt, Forgotten, Searched
from store.event_store import CheckpointMove
from store.memory_states import recounted
from store.merges import Leg, Merge
from store.projected import Condition, ProjectedTable, RefusedRow, RowChange
from store.receipts import Receipt
from store.selection import Selection
from store.slots import SLOTS
from store.subscriptions import SubscriptionRecord
from store.timers import Hastened, Place, Timer, TimerChanges, Woken
from thornback.simulation.database_link import DatabaseLink

#: How long a swap holds up whoever works for what is in service (store/postgres/projections.py).
HOLD_S = 2.0


class StoreOfPrograms(DatabaseLink):
    """That part of an EventStore, for one process."""

    async def open_subscription(
        self, name: str, selection: Selection, after: int, epoch: int, *, make: bool = True
    ) -> SubscriptionRecord:
        subscriptions = self._database.subscriptions

        def open_if(seen: int | None) -> SubscriptionRecord | None:
            if subscriptions.epoch_of(name) not in (seen, epoch):
                return None
            return subscriptions.open(name, selection, after, epoch, make=make)

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

    async def file_timers(self, checkpoint: CheckpointMove, changes: TimerChanges) -> int:
        database = self._database

        def file() -> int:
            database.subscriptions.check(checkpoint)
            database.subscriptions.move(checkpoint)
            return database.timers.change(changes)

        return int(await self.ask(file, names=(checkpoint.name,), commits=True))

    async def due_timers(
        self, after: Place, until_us: int, limit: int, most_bytes: int
    ) -> list[Timer]:
        timers = self._database.timers
        return await self.ask(lambda: timers.due(after, until_us, limit, most_bytes))  # type: ignore[no-any-return]

    async def hasten_timers(
        self, checkpoint: CheckpointMove, beyond_us: int, limit: int
    ) -> Hastened:
        database = self._database

        def hasten() -> Hastened:
            database.subscriptions.check(checkpoint)
            database.subscriptions.move(checkpoint)
            return database.timers.hasten(beyond_us, limit)

        return await self.ask(hasten, names=(checkpoint.name,), commits=True)  # type: ignore[no-any-return]

    async def wake_timers(
        self,
        checkpoint: CheckpointMove,
        sources: Sequence[str],
        actor_types: Sequence[str],
        beyond_us: int,
        limit: int,
    ) -> Woken:
        database = self._database

        def wake() -> Woken:
            database.subscriptions.check(checkpoint)
            database.subscriptions.move(checkpoint)
            return database.timers.wake(sources, actor_types, beyond_us, limit)

        return await self.ask(wake, names=(checkpoint.name,), commits=True)  # type: ignore[no-any-return]

    async def count_timers(self) -> int:
        return int(await self.ask(lambda: len(self._database.timers)))

    async def subscriptions(self) -> list[SubscriptionRecord]:
        heard, every = self._database.groups.heard, self._database.subscriptions.all
        return await self.ask(lambda: heard(every()))  # type: ignore[no-any-return]

    async def drop_subscription(self, name: str) -> bool:
        work = self._database.drop_subscription
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
        work = self._database.drop_program
        return bool(await self.ask(lambda: work(program), commits=True))

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
            check_taken(rows, database.poison)
            database.projections.change(table, rows)
            database.letters.change(put_away)
            database.move(moves)

        await self.ask(project, names=[move.name for move in moves], commits=True)

    async def select_projected(
        self, table: ProjectedTable, conditions: Sequence[Condition], after: str, limit: int
    ) -> list[tuple[str, tuple[Any, ...]]]:
        work, wanted = self._database.projections.select, list(conditions)
        return await self.ask(lambda: work(table, wanted, after, limit))  # type: ignore[no-any-return]

    async def merge_of(self, program: str) -> Merge | None:
        return await self.ask(lambda: self._database.merges.of(program))  # type: ignore[no-any-return]

    async def merges(self) -> list[Merge]:
        return await self.ask(self._database.merges.all)  # type: ignore[no-any-return]

    async def make_merge(self, program: str, began: Sequence[int]) -> Merge:
        work = self._database.merges.make
        return await self.ask(lambda: work(program, began), commits=True)  # type: ignore[no-any-return]

    async def extend_merge(self, merge: Merge, legs: Sequence[Leg]) -> bool:
        work = self._database.merges.extend
        return bool(await self.ask(lambda: work(merge, legs), commits=True))

    async def merge_legs(self, merge: Merge, after: int, limit: int) -> list[Leg]:
        return await self.ask(lambda: self._database.merges.legs(merge, after, limit))  # type: ignore[no-any-return]

    async def last_legs(self, merge: Merge, place: int) -> list[Leg]:
        return await self.ask(lambda: self._database.merges.last_legs(merge, place))  # type: ignore[no-any-return]

    async def places_in_merge(
        self, merge: Merge, partition: int, positions: Sequence[int]
    ) -> dict[int, int]:
        places = self._database.merges.places
        return await self.ask(lambda: places(merge, partition, positions))  # type: ignore[no-any-return]

    async def swap_projection(self, built: ProjectedTable) -> bool:
        database, name = self._database, built.projection

        def reaches() -> bool:
            return database.subscriptions.reaches(built.name, name)

        return await self.ask(  # type: ignore[no-any-return]
            lambda: database.swap(built),
            names=[f"{name}/{slot}" for slot in range(SLOTS)],
            commits=True,
            ready=reaches,
            holds_s=HOLD_S,
        )

    async def look(self, name: str, seen: Callable[[dict[str, tuple[Any, ...]]], None]) -> None:
        """Have somebody see what the view of a projection has, in one statement."""
        await self.ask(lambda: seen(self._database.projections.rows(name)))

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

    async def forget_keys(self, erasure: Erasure, epoch: int) -> Forgotten:
        work = self._database.erasing.forget_keys
        return await self.ask(lambda: work(erasure, epoch), commits=True)  # type: ignore[no-any-return]

    async def forget_reasons(self, event_ids: Sequence[bytes]) -> int:
        work = self._database.erasing.forget_reasons
        return int(await self.ask(lambda: work(event_ids), commits=True))

    async def erase(self, erasure: Erasure, epoch: int) -> ErasureReceipt:
        work = self._database.erase
        return await self.ask(lambda: work(erasure, epoch), commits=True)  # type: ignore[no-any-return]

    async def erasures(self) -> list[ErasureReceipt]:
        return await self.ask(self._database.erasing.all)  # type: ignore[no-any-return]

    async def erased_keys(self) -> Mapping[tuple[str, int], AbstractSet[str]]:
        return await self.ask(self._database.erasing.keys)  # type: ignore[no-any-return]

    async def search_erased(self, receipt: ErasureReceipt) -> Searched:
        work = self._database.erasing.search
        return await self.ask(lambda: work(receipt))  # type: ignore[no-any-return]


def check_taken(changes: Sequence[RowChange], poison: bytes | None) -> None:
    """Raises RefusedRow for a row with a text that the database cannot hold."""
    if poison is None:
        return
    for key, values in changes:
        if values is not None and poison.decode() in values:
            raise RefusedRow(key, "invalid input: poison")

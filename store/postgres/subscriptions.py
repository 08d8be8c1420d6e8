"""What PostgreSQL keeps of durable subscriptions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from actors.event import Kind
from store.appends import CheckpointMove
from store.errors import AnotherSelection, StaleCheckpoint
from store.postgres.connections import Connections
from store.postgres.queries import QUERIES, of_slot, selected_by
from store.receipts import Receipt
from store.selection import Selection
from store.subscriptions import SubscriptionRecord


class Subscriptions:
    """The table `subscriptions`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def open(
        self, name: str, selection: Selection, after: int, epoch: int, *, make: bool
    ) -> SubscriptionRecord:
        """A new incarnation of this subscription, which is made where there was none and one is to
        be. Raises StaleCheckpoint where none is.

        It takes the place of the one that was seen, and of no later one: a statement that was given
        up for lost, and comes about late, would otherwise take it from whoever came since.
        """
        types, sources = list(selection.event_types), list(selection.sources)
        kinds = [kind.value for kind in selection.kinds]
        while True:
            seen = await self._connections.fetch(QUERIES["see_subscription"], name)
            if not seen:
                if not make:
                    raise StaleCheckpoint(name, after)
                made = QUERIES["make_subscription"]
                await self._connections.fetch(made, name, epoch, types, sources, kinds, after)
                continue
            record = record_of(seen[0])
            if record.selection != selection:
                raise AnotherSelection(name, str(record.selection), str(selection))
            opening = QUERIES["open_subscription"]
            if opened := await self._connections.fetch(opening, name, record.epoch, epoch):
                return record_of(opened[0])

    async def all(self) -> list[SubscriptionRecord]:
        """Every one, by name."""
        rows = await self._connections.fetch(QUERIES["subscriptions"])
        return [replace(record_of(row), silent_s=row["silent_s"]) for row in rows]

    async def drop(self, name: str) -> bool:
        """Forget one; was there one?"""
        return bool(await self._connections.fetch(QUERIES["drop_subscription"], name))

    async def move(self, checkpoint: CheckpointMove) -> None:
        """Move one alone, in one statement. Raises StaleCheckpoint."""
        await move_checkpoints(self._connections, [checkpoint])

    async def move_each(self, checkpoints: Sequence[CheckpointMove]) -> set[str]:
        """Move several, in one statement, each by itself; the names of those that did not."""
        moved = await _move(self._connections, checkpoints)
        return {each.name for each in checkpoints if (each.name, each.epoch) not in moved}

    async def recount(
        self, selection: Selection, after: int, through: int, slot: int | None
    ) -> Receipt:
        """What the log says that the receipt of a stretch has to be."""
        query = QUERIES["recount"].format(selected=selected_by(selection) + of_slot(slot))
        [row] = await self._connections.fetch(query, after, through)
        return Receipt.of_sums(row["count"], int(row["high"]), int(row["low"]))


async def move_checkpoints(within: Any, checkpoints: Sequence[CheckpointMove]) -> None:
    """Within the transaction of their effects, or in one of their own. Raises StaleCheckpoint for
    one that somebody else has opened since, or that there is none of."""
    moved = await _move(within, checkpoints)
    for each in sorted(checkpoints, key=lambda checkpoint: checkpoint.name):
        if (each.name, each.epoch) not in moved:
            raise StaleCheckpoint(each.name, each.position)


async def _move(within: Any, checkpoints: Sequence[CheckpointMove]) -> set[tuple[str, int]]:
    """Which of them have moved."""
    in_order = sorted(checkpoints, key=lambda checkpoint: checkpoint.name)
    moved = await within.fetch(
        QUERIES["move_checkpoints"],
        [each.name for each in in_order],
        [each.epoch for each in in_order],
        [each.position for each in in_order],
        [each.receipt.count for each in in_order],
        [each.receipt.digest for each in in_order],
        [each.watermark_us for each in in_order],
    )
    return {(row["name"], row["epoch"]) for row in moved}


def record_of(row: Any) -> SubscriptionRecord:
    """A row of the table."""
    return SubscriptionRecord(
        name=row["name"],
        epoch=row["epoch"],
        selection=Selection(
            event_types=tuple(row["event_types"]),
            sources=tuple(row["sources"]),
            kinds=tuple(map(Kind, row["kinds"])),
        ),
        began=row["began"],
        position=row["position"],
        receipt=Receipt(row["finished"], bytes(row["digest"])),
        member=row["member"],
        watermark_us=row["watermark"],
        opened_at=row["opened_at"],
        moved_at=row["moved_at"],
    )

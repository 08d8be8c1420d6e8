"""What PostgreSQL keeps of groups."""

from collections.abc import Mapping

from store.errors import AnotherSelection
from store.groups import GroupView
from store.postgres.connections import Connections
from store.postgres.queries import QUERIES
from store.postgres.subscriptions import record_of
from store.selection import Selection
from store.slots import SLOTS, slot_name
from store.subscriptions import SubscriptionRecord


class Groups:
    """The table `group_members`, and the slots of groups in `subscriptions`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def open(self, name: str, selection: Selection, after: int) -> None:
        """Make those slots that there are not yet. Raises AnotherSelection."""
        types, sources = list(selection.event_types), list(selection.sources)
        kinds = [kind.value for kind in selection.kinds]
        slots = [slot_name(name, slot) for slot in range(SLOTS)]
        making = QUERIES["make_group"]
        await self._connections.fetch(making, slots, types, sources, kinds, after)
        for record in (await self._slots(name)).values():
            if record.selection != selection:
                raise AnotherSelection(name, str(record.selection), str(selection))

    async def meet(self, name: str, member: int, sign: int) -> GroupView:
        """A sign of life, and what is there then: the slots first."""
        await self._connections.fetch(QUERIES["hear_member"], name, member, sign)
        slots = await self._slots(name)
        members = await self._connections.fetch(QUERIES["group_members"], name)
        return GroupView(slots=slots, members={row["member"]: row["sign"] for row in members})

    async def take(
        self, name: str, member: int, epoch: int, seen: Mapping[int, int]
    ) -> list[SubscriptionRecord]:
        """Those slots that are still as they were seen, or are his already."""
        rows = await self._connections.fetch(
            QUERIES["take_slots"], _names(name, seen), list(seen.values()), name, member, epoch
        )
        return [record_of(row) for row in rows]

    async def free(self, name: str, epochs: Mapping[int, int]) -> None:
        """Those that are still held under these epochs."""
        freeing = QUERIES["free_slots"]
        await self._connections.fetch(freeing, _names(name, epochs), list(epochs.values()))

    async def leave(self, name: str, member: int) -> None:
        """He is gone, and what he had is free."""
        await self._connections.fetch(QUERIES["leave_group"], name, member)

    async def expel(self, name: str, member: int, sign: int) -> bool:
        """He is no member any more, if he was not heard of since."""
        expelling = QUERIES["expel_member"]
        return bool(await self._connections.fetch(expelling, name, member, sign))

    async def _slots(self, name: str) -> dict[int, SubscriptionRecord]:
        rows = await self._connections.fetch(QUERIES["group_slots"], name)
        records = map(record_of, rows)
        return {int(record.name.rpartition("/")[2]): record for record in records}


def _names(name: str, slots: Mapping[int, int]) -> list[str]:
    return [slot_name(name, slot) for slot in slots]

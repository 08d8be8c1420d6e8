"""What the simulated event store keeps of groups: their slots, and their members."""

from collections.abc import Mapping, Sequence

from store.event_store import CheckpointMove
from store.groups import GroupView
from store.selection import Selection
from store.slots import slot_name
from store.subscriptions import SubscriptionRecord
from thornback.simulation.database_link import DatabaseLink


class StoreOfGroups(DatabaseLink):
    """That part of an EventStore, for one process."""

    async def move_checkpoints(self, checkpoints: Sequence[CheckpointMove]) -> set[str]:
        moves, work = list(checkpoints), self._database.move_slots
        names = [each.name for each in moves]
        return await self.ask(lambda: work(moves), names=names, commits=True)  # type: ignore[no-any-return]

    async def open_group(self, name: str, selection: Selection, after: int) -> None:
        work = self._database.groups.open
        await self.ask(lambda: work(name, selection, after), commits=True)

    async def meet_group(self, name: str, member: int, sign: int) -> GroupView:
        groups = self._database.groups
        await self.ask(lambda: groups.hear(name, member, sign), commits=True)
        slots = await self.ask(lambda: groups.slots(name))
        return GroupView(slots=slots, members=await self.ask(lambda: groups.members(name)))

    async def take_slots(
        self, name: str, member: int, epoch: int, seen: Mapping[int, int]
    ) -> list[SubscriptionRecord]:
        wanted, work = dict(seen), self._database.groups.take
        names = [slot_name(name, slot) for slot in wanted]
        return await self.ask(  # type: ignore[no-any-return]
            lambda: work(name, member, epoch, wanted), names=names, commits=True
        )

    async def free_slots(self, name: str, epochs: Mapping[int, int]) -> None:
        held, work = dict(epochs), self._database.groups.free
        names = [slot_name(name, slot) for slot in held]
        await self.ask(lambda: work(name, held), names=names, commits=True)

    async def leave_group(self, name: str, member: int) -> None:
        work = self._database.groups.leave
        await self.ask(lambda: work(name, member), commits=True)

    async def expel_member(self, name: str, member: int, sign: int) -> bool:
        work = self._database.groups.expel
        return bool(await self.ask(lambda: work(name, member, sign), commits=True))

"""Durable subscriptions of a store in memory: nothing of them survives it."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from store.appends import CheckpointMove
from store.errors import AnotherSelection, StaleCheckpoint
from store.groups import NOBODY, UNHAD, freed
from store.receipts import NOTHING_FINISHED
from store.selection import Selection
from store.slots import SLOTS
from store.subscriptions import SubscriptionRecord


class SubscriptionsInMemory:
    """By name."""

    def __init__(self) -> None:
        self._records: dict[str, SubscriptionRecord] = {}

    def open(
        self, name: str, selection: Selection, after: int, epoch: int, *, make: bool = True
    ) -> SubscriptionRecord:
        """A new incarnation. Raises AnotherSelection, and StaleCheckpoint where there is none and
        none is to be made."""
        if not make and name not in self._records:
            raise StaleCheckpoint(name, after)
        now = datetime.now(UTC)
        record = self._records.get(name) or SubscriptionRecord(
            name=name, epoch=epoch, selection=selection, began=after, position=after,
            receipt=NOTHING_FINISHED, opened_at=now,
        )  # fmt: skip
        if record.selection != selection:
            raise AnotherSelection(name, str(record.selection), str(selection))
        new = self._records[name] = replace(record, epoch=epoch, opened_at=now)
        return new

    def make_slot(self, name: str, selection: Selection, after: int) -> None:
        """A slot of a group, which nobody has, where there is none. Raises AnotherSelection."""
        there = self._records.setdefault(name, SubscriptionRecord(
            name=name, epoch=UNHAD, selection=selection, began=after, position=after,
            receipt=NOTHING_FINISHED, member=NOBODY, opened_at=datetime.now(UTC),
        ))  # fmt: skip
        if there.selection != selection:
            group = name.rpartition("/")[0]
            raise AnotherSelection(group, str(there.selection), str(selection))

    def group_slots(self, name: str) -> dict[int, SubscriptionRecord]:
        """Of a group, by number."""
        return {
            int(slot): record
            for slot, record in self._slots(name).items()
            if record.member is not None
        }

    def change_hands(self, name: str, member: int, epoch: int) -> SubscriptionRecord:
        """A slot of a group is somebody's now."""
        record = replace(
            self._records[name], member=member, epoch=epoch, opened_at=datetime.now(UTC)
        )
        self._records[name] = record
        return record

    def free_slot(self, name: str) -> None:
        """A slot of a group is nobody's now."""
        record = self._records[name]
        self._records[name] = replace(record, member=NOBODY, epoch=freed(record.epoch))

    def epoch_of(self, name: str) -> int | None:
        """Of whoever opened it last; None where there is no such subscription."""
        record = self._records.get(name)
        return None if record is None else record.epoch

    def check(self, checkpoint: CheckpointMove) -> None:
        """Raises StaleCheckpoint for the move of one that somebody else has opened since, and for
        one that has moved further already."""
        record = self._records.get(checkpoint.name)
        if (
            record is None
            or record.epoch != checkpoint.epoch
            or record.position > checkpoint.position
        ):
            raise StaleCheckpoint(checkpoint.name, checkpoint.position)

    def move(self, checkpoint: CheckpointMove) -> None:
        """One that was checked."""
        self._records[checkpoint.name] = replace(
            self._records[checkpoint.name],
            position=checkpoint.position,
            receipt=checkpoint.receipt,
            watermark_us=later_watermark(
                self._records[checkpoint.name].watermark_us, checkpoint.watermark_us
            ),
            moved_at=datetime.now(UTC),
        )

    def move_each(self, checkpoints: Iterable[CheckpointMove]) -> set[str]:
        """Each by itself; the names of those that did not move."""
        refused = set()
        for checkpoint in checkpoints:
            try:
                self.check(checkpoint)
            except StaleCheckpoint:
                refused.add(checkpoint.name)
            else:
                self.move(checkpoint)
        return refused

    def all(self) -> list[SubscriptionRecord]:
        """By name."""
        return [self._records[name] for name in sorted(self._records)]

    def drop(self, name: str) -> bool:
        """Was there one?"""
        return self._records.pop(name, None) is not None

    def reopen_slots(self, program: str, epoch: int) -> None:
        """Those of a program are under a number that nobody works under."""
        for name, record in self._records.items():
            if name.startswith(f"{program}/"):
                self._records[name] = replace(record, epoch=epoch)

    def fence(self, others: Collection[str], epoch: int) -> list[str]:
        """The slots of all programs, and these others, are under a number that nobody works under;
        the names of the programs."""
        programs = set()
        for name, record in self._records.items():
            program, slash, _ = name.partition("/")
            if record.member is None and (slash or name in others):
                self._records[name] = replace(record, epoch=epoch)
                if slash:
                    programs.add(program)
        return sorted(programs)

    def programs(self) -> list[str]:
        """Those that have slots."""
        records = self._records.values()
        named = (each.name.partition("/") for each in records if each.member is None)
        return sorted({program for program, slash, _ in named if slash})

    def drop_slots(self, program: str) -> bool:
        """Those of a program; were there any?"""
        slots = [name for name in self._records if name.startswith(f"{program}/")]
        return bool([self.drop(name) for name in slots])

    def reached(self, program: str) -> int:
        """Up to which position all slots of a program are finished; -1 where not all are there."""
        theirs = [record.position for record in self._slots(program).values()]
        return min(theirs) if len(theirs) == SLOTS else -1

    def reaches(self, built: str, name: str) -> bool:
        """Does each slot of one program stand where that of another one does, or further?"""
        slots = self._slots(name)
        theirs = self._slots(built)
        return len(theirs) == SLOTS and all(
            theirs[slot].position >= record.position for slot, record in slots.items()
        )

    def replace(self, built: str, name: str) -> None:
        """The slots of one program are those of another from now on, and nobody works for them."""
        theirs = self._slots(built)
        self.drop_slots(built)
        for slot, record in theirs.items():
            epoch = record.epoch + 1
            self._records[f"{name}/{slot}"] = replace(record, name=f"{name}/{slot}", epoch=epoch)

    def _slots(self, program: str) -> dict[str, SubscriptionRecord]:
        of = f"{program}/"
        return {
            name.removeprefix(of): record
            for name, record in self._records.items()
            if name.startswith(of)
        }


def later_watermark(kept: int | None, moved: int | None) -> int | None:
    """What a checkpoint's watermark is after a move, which may say nothing of it."""
    return kept if moved is None else moved

"""Dead letters of a store in memory: nothing of them survives it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby

from store.dead_letters import DeadLetter, LetterChange, Parked, ParkedHead, ParkedQueue


class LettersInMemory:
    """By what is parked, and by position."""

    def __init__(self) -> None:
        self._letters: dict[tuple[Parked, int], DeadLetter] = {}

    def change(self, changes: Sequence[LetterChange]) -> None:
        """Those of an append."""
        for change in changes:
            key = change.parked, change.position
            there = self._letters.get(key)
            if change.gone:
                self._pay(key, change.slots)
            elif there is None:
                self._letters[key] = _letter(change)
            else:
                told = change if change.reason is not None else there
                self._letters[key] = replace(
                    there,
                    slots=there.slots | change.slots,
                    reason=told.reason,
                    frames=told.frames,
                    tries=max(there.tries, change.tries),
                )

    def heads(self, program: str) -> list[ParkedHead]:
        """Those with a reason."""
        return [
            ParkedHead(each.parked.by_source, each.parked.name, each.position, each.slots)
            for each in self._sorted(program)
            if each.reason is not None
        ]

    def of(self, parked: Parked, after: int, limit: int) -> list[DeadLetter]:
        """By position."""
        theirs = [each for each in self._sorted(parked.program) if each.parked == parked]
        return [each for each in theirs if each.position > after][:limit]

    def queues(self, program: str | None) -> list[ParkedQueue]:
        """What is parked."""
        found = []
        for _, letters in groupby(self._sorted(program), key=lambda each: each.parked):
            theirs = list(letters)
            first = next((each for each in theirs if each.reason is not None), None)
            if first is not None:
                found.append(ParkedQueue(first=first, letters=len(theirs)))
        return found

    def drop(self, program: str, parked: Parked | None = None) -> int:
        """Of something that is parked, or of all; how many there were."""
        gone = [
            key for key in self._letters if key[0].program == program and parked in (None, key[0])
        ]
        for key in gone:
            del self._letters[key]
        return len(gone)

    def all(self) -> list[DeadLetter]:
        """Whatever waits, in order."""
        return list(self._sorted(None))

    def erase(self, gone: Callable[[DeadLetter], bool]) -> int:
        """Forget some; how many there were."""
        keys = [key for key, letter in self._letters.items() if gone(letter)]
        for key in keys:
            del self._letters[key]
        return len(keys)

    def give_reason(self, given: Callable[[DeadLetter], bool], reason: str) -> int:
        """In the place of the reasons of some; of how many."""
        keys = [key for key, letter in self._letters.items() if given(letter)]
        for key in keys:
            self._letters[key] = replace(self._letters[key], reason=reason, frames=())
        return len(keys)

    def rename(self, built: str, name: str) -> None:
        """The letters of one program are those of another from now on, whose own go."""
        self.drop(name)
        for (parked, position), letter in list(self._letters.items()):
            if parked.program == built:
                del self._letters[parked, position]
                moved = parked._replace(program=name)
                self._letters[moved, position] = replace(letter, parked=moved)

    def _pay(self, key: tuple[Parked, int], slots: int) -> None:
        there = self._letters.get(key)
        if there is not None:
            left = there.slots & ~slots
            self._letters[key] = replace(there, slots=left)
            if not left:
                del self._letters[key]

    def _sorted(self, program: str | None) -> Iterable[DeadLetter]:
        theirs = [
            letter for letter in self._letters.values() if program in (None, letter.parked.program)
        ]
        return sorted(theirs, key=_order)


def _order(letter: DeadLetter) -> tuple[bytes, bool, bytes, int]:
    parked = letter.parked
    return parked.program.encode(), parked.by_source, parked.name.encode(), letter.position


def _letter(change: LetterChange) -> DeadLetter:
    return DeadLetter(
        parked=change.parked,
        position=change.position,
        event_id=change.event_id,
        slots=change.slots,
        watermark_us=change.watermark_us,
        reason=change.reason,
        frames=change.frames,
        tries=change.tries,
        parked_at=datetime.now(UTC),
    )

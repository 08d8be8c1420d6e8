"""What stream programs keep, in memory: nothing of it survives the store."""

from collections.abc import Collection, Iterable, Sequence

from store.appends import StateChange
from store.receipts import Receipt
from store.rows.layout import FIELDS
from store.selection import Selection, row_filter
from store.slots import slot_of


class StatesInMemory:
    """What stream programs keep, by program and key."""

    def __init__(self) -> None:
        self._states: dict[str, dict[str, tuple[bytes, int | None]]] = {}

    def change(self, changes: Sequence[StateChange]) -> None:
        """Those of an append."""
        for change in changes:
            states = self._states.setdefault(change.program, {})
            if change.data is None:
                states.pop(change.key, None)
            else:
                states[change.key] = change.data, change.due_us

    def count(self, keys: Collection[str]) -> int:
        """How many states are of these keys, of whichever program."""
        return sum(key in keys for states in self._states.values() for key in states)

    def erase(self, programs: Iterable[str], keys: Collection[str]) -> int:
        """Forget those of these programs and keys; how many there were."""
        gone = [(program, key) for program in programs for key in keys
                if key in self._states.get(program, {})]  # fmt: skip
        for program, key in gone:
            del self._states[program][key]
        return len(gone)

    def load(self, program: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Those that there are."""
        states = self._states.get(program, {})
        return {key: states[key][0] for key in keys if key in states}

    def due(self, program: str, after: str, limit: int) -> list[tuple[str, int]]:
        """In the order of their UTF-8."""
        behind = after.encode()
        found = [
            (key, due_us)
            for key, (_, due_us) in self._states.get(program, {}).items()
            if due_us is not None and key.encode() > behind
        ]
        return sorted(found, key=lambda each: each[0].encode())[:limit]

    def drop(self, program: str) -> bool:
        """All of it; was there any?"""
        return bool(self._states.pop(program, None))


def recounted(rows: Iterable[bytes], selection: Selection, slot: int | None) -> Receipt:
    """The receipt of those of these rows that are selected, and of that slot."""
    match = row_filter(selection)
    keys = (FIELDS.unpack_from(row)[:2] for row in rows if match(row))
    return Receipt().plus(
        event_id for event_id, aggregate in keys if slot is None or slot_of(aggregate) == slot
    )

"""What a worker knows of the keys of one program: states and versions, read when they are first
needed."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgpack

from actors.event import Event
from actors.naming import aggregate_key_of, checked_new_source
from store.appends import StateChange
from store.event_store import EventStore
from store.projected import RowChange
from store.rows.encoding import text_field


class Kept(Protocol):
    """Where the states of a program's keys are kept."""

    async def load(self, keys: Sequence[str]) -> dict[str, Any]:
        """Those that there are. Raises StoreUnavailable."""

    def check(self, key: str, state: Any) -> None:
        """Could it be committed as it is? Raises what says that it cannot."""

    async def mended(self, key: str, version: int) -> Any:
        """The state of a key whose program says that events are missing here (Unread): of the log,
        up to this version. Raises StoreUnavailable."""

    def passed_over(self, event: Event) -> list[RowChange]:
        """What becomes of rows when an event is passed over."""

    def change(
        self, key: str, state: Any, due_us: int | None
    ) -> tuple[StateChange | RowChange, int]:
        """What is to be committed of a key, and about how many bytes that has. Raises what says
        that this cannot be kept."""


class PackedStates:
    """States of plain values, beside the log."""

    def __init__(self, program: str, store: EventStore) -> None:
        self._program, self._store = program, store
        self._pack = msgpack.Packer(strict_types=True).pack  # making one takes longer than packing

    async def load(self, keys: Sequence[str]) -> dict[str, Any]:
        """Those that there are."""
        found = await self._store.load_states(self._program, keys)
        return {key: unpack_state(packed) for key, packed in found.items()}

    def check(self, key: str, state: Any) -> None:
        """What cannot be packed is found out when it is."""

    async def mended(self, key: str, version: int) -> Any:
        """No program of such states asks for it."""
        raise ValueError(f"{self._program} has no history of {key}")

    def passed_over(self, event: Event) -> list[RowChange]:
        """States are as they were."""
        return []

    def change(self, key: str, state: Any, due_us: int | None) -> tuple[StateChange, int]:
        """As bytes."""
        packed: bytes | None = None if state is None else self._pack(state)
        change = StateChange(program=self._program, key=key, data=packed, due_us=due_us)
        return change, len(packed or b"") + len(key)


class Key:
    """One key: its state, and the last version of its outputs' source."""

    __slots__ = ("aggregate_id", "name", "source_field", "state", "touched", "version")

    def __init__(self, program: str, name: str, state: Any) -> None:
        """Raises InvalidName for a key of which no source can be made."""
        source = checked_new_source(f"{program}/{name}")
        self.name = name
        self.state = state
        self.aggregate_id = aggregate_key_of(source)
        self.source_field = text_field(source)
        self.version: int | None = None  #: unknown
        self.touched = 0  #: the last batch that has changed it


class KeyTable:
    """The keys that were needed of late. What it has is ahead of the store by what is not committed
    yet, so those are never forgotten."""

    #: Keys that are kept, some more or less.
    MAX_KEYS = 100_000
    #: Keys whose states are read at a time.
    TOGETHER = 10_000

    def __init__(
        self, program: str, store: EventStore, *, keeps_state: bool, kept: Kept | None = None
    ) -> None:
        self._program, self._store, self._keeps_state = program, store, keeps_state
        self.kept = kept or PackedStates(program, store)
        self._keys: dict[str, Key] = {}  # who was loaded last is last

    def __getitem__(self, name: str) -> Key:
        return self._keys[name]

    def __contains__(self, name: str) -> bool:
        return name in self._keys

    async def load(self, names: Iterable[str]) -> None:
        """Have these at hand. Raises StoreUnavailable, and InvalidName for what is no key."""
        missing = [name for name in names if name not in self._keys]
        states: dict[str, Any] = {}
        if self._keeps_state:
            for some in _pieces(missing, self.TOGETHER):
                states |= await self.kept.load(some)
        for name in missing:
            self._keys[name] = Key(self._program, name, states.get(name))

    async def load_versions(self, keys: Iterable[Key]) -> None:
        """Have the versions of these at hand. Raises StoreUnavailable."""
        unknown = {key.aggregate_id: key for key in keys if key.version is None}
        for some in _pieces(list(unknown), self.TOGETHER):
            found = await self._store.last_versions(some)
            for aggregate_id in some:
                unknown[aggregate_id].version = found.get(aggregate_id, 0)

    def forget(self, names: Iterable[str]) -> None:
        """These were changed by others; nothing of what is here of them is to be committed."""
        for name in names:
            self._keys.pop(name, None)

    def forget_settled(self, committed: int) -> None:
        """Keep no more keys than there is room for; those that a later batch than the committed one
        has changed are kept."""
        excess = len(self._keys) - self.MAX_KEYS
        if excess > 0:
            settled = [name for name, key in self._keys.items() if key.touched <= committed]
            for name in settled[: excess + self.MAX_KEYS // 10]:
                del self._keys[name]


def unpack_state(packed: bytes) -> Any:
    """The state of its bytes."""
    return msgpack.unpackb(packed, strict_map_key=False)


def _pieces(names: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]

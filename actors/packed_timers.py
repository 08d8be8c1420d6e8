"""The pending timers of one actor as memory has them: a piece of bytes, or a table of such.

A fleet has millions of them, of which a handful are due within a minute, and each resident actor
has its own. As objects (a tuple, an id as text, numbers, an entry of a table) one took 385 bytes;
packed it takes 43 and its key. Most actors have one or a few, which are looked through in a row;
of one with many each is found by its key (test: tests/unit/test_packed_timers.py).
"""

from collections.abc import Iterator, Mapping
from struct import Struct
from typing import NamedTuple, TypeAlias


class Pending(NamedTuple):
    """One timer that is to fire."""

    timer: bytes  #: its id
    due_us: int  #: of the next occurrence
    occurrence: int = 0  #: the number of that
    every_us: int | None = None
    missed: str = "once"

    @property
    def id(self) -> str:
        """Its id as the log has it: the text of a UUID."""
        return id_text(self.timer)


#: Some, one behind the other; or, where they are many, each by its key. Never none: that is None.
PackedTimers: TypeAlias = bytes | dict[str, bytes]

#: Bytes of those in a row: what is beyond that is found by key, and about a quarter goes back.
MOST_BYTES, FEW = 1_024, 5

_MISSED = ("once", "all", "skip")
#: The length of all of it with its key, `missed`, the id, due, occurrence, every or 0.
_ONE = Struct("<HB16sqqq")
_HEAD = _ONE.size


def find_packed(packed: PackedTimers, key: str) -> Pending | None:
    """The one of a key, if there is one."""
    if isinstance(packed, dict):
        one = packed.get(key)
        return None if one is None else _unpacked(one, 0)
    at = _place(packed, key.encode())
    return None if at is None else _unpacked(packed, at)


def all_packed(packed: PackedTimers) -> dict[str, Pending]:
    """All of them, by key."""
    if isinstance(packed, dict):
        return {key: _unpacked(one, 0) for key, one in packed.items()}
    return {packed[at + _HEAD : end].decode(): _unpacked(packed, at) for at, end in _places(packed)}


def pack_all(timers: Mapping[str, Pending]) -> PackedTimers | None:
    """The same the other way round; None for none."""
    packed: PackedTimers | None = None
    for key, pending in timers.items():
        packed = with_timer(packed, key, pending)
    return packed


def with_timer(packed: PackedTimers | None, key: str, pending: Pending) -> PackedTimers:
    """With a timer in the place of what had its key. Its numbers have 64 bits, and its id 16 bytes:
    what the log and a Schedule say is no larger."""
    name = key.encode()
    one = _packed(name, pending)
    if isinstance(packed, dict):
        packed[key] = one
        return packed
    packed = _without(packed, name) + one if packed else one
    if len(packed) <= MOST_BYTES:
        return packed
    return {packed[at + _HEAD : end].decode(): packed[at:end] for at, end in _places(packed)}


def without_timer(packed: PackedTimers, key: str) -> PackedTimers | None:
    """Without that of a key, if there is one; None for none."""
    if isinstance(packed, dict):
        packed.pop(key, None)
        return packed if len(packed) > FEW else b"".join(packed.values()) or None
    return _without(packed, key.encode()) or None


def id_text(timer: bytes) -> str:
    """The id of a timer as the log has it: the text of a UUID, quicker than a UUID makes it."""
    text = timer.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def timer_bytes(text: str) -> bytes:
    """The id of a timer, of which the log has the text. Raises ValueError."""
    timer = bytes.fromhex(text.replace("-", ""))
    if len(timer) != 16:
        raise ValueError(f"{text!r:.80} is no id of a timer")
    return timer


def _packed(name: bytes, pending: Pending) -> bytes:
    timer, due_us, occurrence, every_us, missed = pending
    how = _MISSED.index(missed)
    return _ONE.pack(_HEAD + len(name), how, timer, due_us, occurrence, every_us or 0) + name


def _unpacked(packed: bytes, at: int) -> Pending:
    _, how, timer, due_us, occurrence, every_us = _ONE.unpack_from(packed, at)
    return Pending(timer, due_us, occurrence, every_us or None, _MISSED[how])


def _places(packed: bytes) -> Iterator[tuple[int, int]]:
    """Where each of those in a row begins and ends."""
    at = 0
    while at < len(packed):
        end = at + (packed[at] | packed[at + 1] << 8)
        yield at, end
        at = end


def _place(packed: bytes, name: bytes) -> int | None:
    """Where the one of a key begins."""
    at, size, wanted = 0, len(packed), _HEAD + len(name)
    while at < size:
        length = packed[at] | packed[at + 1] << 8
        if length == wanted and packed.startswith(name, at + _HEAD):
            return at
        at += length
    return None


def _without(packed: bytes, name: bytes) -> bytes:
    at = _place(packed, name)
    return packed if at is None else packed[:at] + packed[at + _HEAD + len(name) :]

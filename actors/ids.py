"""Ids: of commands, and of the events they cause.

An id is 16 bytes. A command's id is its idempotency key; the id of its n-th event is
derived from it, so a second run of the same command makes the same ids and the log's
primary key refuses a second effect for ever. Both keep the 48 bits of milliseconds
that a UUIDv7 (RFC 9562) starts with, so that new rows land side by side in the index.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import count
from uuid import UUID

#: The last byte of a command's id -> that of its first event: a bijection, so that two
#: commands never share a first event whatever ids their senders chose.
_FIRST_EVENT = [bytes((byte ^ 0xFF,)) for byte in range(256)]


# UUID forbids assignment; its slots' own descriptors do not.
_new = object.__new__
_set_int = UUID.__dict__["int"].__set__
_set_is_safe = UUID.__dict__["is_safe"].__set__
_UNKNOWN_SAFETY = UUID(int=0).is_safe


def time_ordered_id(unix_ms: int, randomness: int) -> bytes:
    """A UUIDv7 of a time and of the low 74 bits of `randomness`."""
    return (
        (unix_ms & 0xFFFF_FFFF_FFFF) << 80
        | 0x7000 << 64
        | (randomness >> 62 & 0xFFF) << 64
        | 0x8000_0000_0000_0000
        | randomness & 0x3FFF_FFFF_FFFF_FFFF
    ).to_bytes(16, "big")


class FreshIds:
    """Makes new ids, from any thread.

    Those of one millisecond count up from a random start of 73 bits (RFC 9562, 6.2,
    method 2): a tenth of the cost of a random number each, and neighbours in an index.
    """

    def __init__(self, random_bits: Callable[[int], int]) -> None:
        self._random_bits = random_bits
        self._run = (-1, count())

    def new(self, unix_ms: int) -> bytes:
        """An id that nobody else has; `unix_ms` is now."""
        begun_ms, numbers = self._run
        if begun_ms != unix_ms:
            numbers = count(self._start(unix_ms))
            self._run = (unix_ms, numbers)
        return next(numbers).to_bytes(16, "big")

    def together(self, unix_ms: int) -> Iterator[bytes]:
        """Ids that nobody else has, for commands that travel together, and for one thread;
        `unix_ms` is now. The ids of their first events count up: PostgreSQL then finds the
        place of each in its index beside the one before.
        """
        for number in count(self._start(unix_ms)):
            yield (number ^ 0xFF).to_bytes(16, "big")

    def _start(self, unix_ms: int) -> int:
        # The highest bit that counts stays free, so that no run overflows.
        start = time_ordered_id(unix_ms, self._random_bits(74) & ~(1 << 61))
        return int.from_bytes(start, "big")


def derived_id(unix_ms: int, key: bytes) -> bytes:
    """A UUIDv7-shaped id of a time and of whatever `key` names: same key, same id."""
    return time_ordered_id(unix_ms, int.from_bytes(blake2b(key, digest_size=10).digest(), "big"))


def event_id(command_id: bytes, number: int) -> bytes:
    """The id of a command's event `number`, counted from 0."""
    if number == 0:
        return command_id[:15] + _FIRST_EVENT[command_id[15]]
    unix_ms = int.from_bytes(command_id[:6], "big")
    return derived_id(unix_ms, command_id + number.to_bytes(4, "big"))


def uuid_of(raw: bytes) -> UUID:
    """The UUID of 16 bytes; skips the checks of UUID's own constructor (3 times the cost)."""
    value = _new(UUID)
    _set_int(value, int.from_bytes(raw, "big"))
    _set_is_safe(value, _UNKNOWN_SAFETY)
    return value

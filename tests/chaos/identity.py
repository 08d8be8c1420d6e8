"""How ids follow from one another, written anew from what docs/decisions/0003 says of it."""

from hashlib import blake2b
from uuid import NAMESPACE_DNS, uuid5

_AGGREGATES = uuid5(NAMESPACE_DNS, "thornback")

#: So many slots has a program.
SLOTS = 16


def event_id(command_id: bytes, number: int) -> bytes:
    """That of a command's event `number`, counted from 0."""
    if number == 0:
        return command_id[:15] + bytes([command_id[15] ^ 0xFF])
    digest = blake2b(command_id + number.to_bytes(4, "big"), digest_size=10).digest()
    bits = f"{int.from_bytes(digest, 'big'):080b}"[-74:]
    stamp = f"{int.from_bytes(command_id[:6], 'big'):048b}"
    return int(stamp + "0111" + bits[:12] + "10" + bits[12:], 2).to_bytes(16, "big")


def event_ids(command_id: bytes, count: int) -> list[bytes]:
    """Those of its first `count` events."""
    return [event_id(command_id, number) for number in range(count)]


def message_command_id(sent: bytes) -> bytes:
    """That of the command as which a message is delivered, by the id of its event."""
    digest = blake2b(sent + b"message", digest_size=10).digest()
    made = bytearray(sent[:6] + digest)
    made[6] = 0x70 | made[6] & 0x0F
    made[8] = 0x80 | made[8] & 0x3F
    return bytes(made)


def aggregate_id(source: str) -> bytes:
    """That of a source which is no UUID."""
    return uuid5(_AGGREGATES, source).bytes


def slot(of: bytes) -> int:
    """In which slot of a program an aggregate is."""
    return of[15] % SLOTS

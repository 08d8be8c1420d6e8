"""Messages between actors, from the log's form to that of commands, and back where one is refused.

The id of a command derives from that of the event that it is delivered for, and keeps its time, so
that the ids of what it causes lie beside their neighbours in the log's index (docs/decisions/0069).
"""

from hashlib import blake2b
from typing import Any

import msgspec

from actors.event import Event, Kind
from actors.ids import event_id
from actors.messages import RETURNED, SENT, MessageRefused, MessageReturned
from runtime.wire.commands import CommandPacker
from runtime.wire.error_codec import EncodedError, decode_error, message_of_error

#: Letters of a reason that are kept.
MAX_REASON = 2_000

#: What has one form on the wire.
_PLAIN = frozenset((str, int, float, bool, type(None)))


class Letter(msgspec.Struct, frozen=True):
    """The data of a MessageSent."""

    to: str
    message_type: str
    message: dict[str, Any]
    returns: bool = True


class ReturnedLetter(msgspec.Struct, frozen=True):
    """The data of a MessageReturned."""

    sender: str
    to: str
    message_type: str
    message: dict[str, Any]
    sent: str
    error: str
    reason: str
    returns: bool = True


def letter_of(event: Event) -> Letter | ReturnedLetter | None:
    """What an event of the log has to say of a message; None where it is none of ours: somebody's
    own events may have that type."""
    if event.kind is not Kind.SYSTEM:
        return None
    form: Any = {SENT: Letter, RETURNED: ReturnedLetter}.get(event.event_type)
    try:
        return None if form is None else msgspec.convert(event.data, form)
    except msgspec.ValidationError:
        return None


def receiver_of(letter: Letter | ReturnedLetter) -> str:
    """Who is to have it: what was returned, its sender."""
    return letter.sender if isinstance(letter, ReturnedLetter) else letter.to


def packed_letter(event: Event, letter: Letter | ReturnedLetter, packer: CommandPacker) -> bytes:
    """The command that it is delivered as. Raises InvalidMessage for one that is too large."""
    data = letter.message
    message_type = letter.message_type
    if isinstance(letter, ReturnedLetter):
        message_type = MessageRefused.message_type
        data = {
            "to": letter.to,
            "refused": letter.message_type,
            "message": letter.message,
            "error": letter.error,
            "reason": letter.reason,
        }
    correlation = event.correlation_id
    pack = packer.pack_plain if _PLAIN.issuperset(map(type, data.values())) else packer.pack
    return pack(
        (
            receiver_of(letter),
            message_type,
            derived(event.id_bytes, b"message"),
            event.timestamp_us,
            data,
            None if correlation is None else correlation.bytes,
            event.id_bytes,
        )
    )


def return_id(sent: Event) -> bytes:
    """The id of the event that says that a message was refused: that which the first event of its
    command would have. The log takes one of them, whoever is late: an effect or a refusal."""
    return event_id(derived(sent.id_bytes, b"message"), 0)


def returned(sent: Event, letter: Letter, encoded: EncodedError) -> MessageReturned:
    """What the log is to say of a message that was refused."""
    error = decode_error(encoded)
    return MessageReturned(
        sender=sent.source,
        to=letter.to,
        message_type=letter.message_type,
        message=letter.message,
        sent=str(sent.id),
        error=type(error).__name__,
        reason=_kept(message_of_error(error)),
        returns=letter.returns,
    )


def _kept(reason: str) -> str:
    """As much of it as the log can hold."""
    text = reason.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= MAX_REASON else f"{text[:MAX_REASON]} ..."


def derived(event_id: bytes, what: bytes) -> bytes:
    """An id that follows from an event's, has its time, and is that of no command's event."""
    raw = bytearray(event_id[:6])
    raw += blake2b(event_id + what, digest_size=10).digest()
    raw[6] = raw[6] & 0x0F | 0x70  # a UUIDv7
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)

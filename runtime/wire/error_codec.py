"""How errors travel: as a name and plain arguments, never pickled."""

from typing import Any

from actors.errors import InvalidName, Rejected
from runtime.errors import (
    ActorStopped,
    HandlerFailed,
    HostUnavailable,
    InvalidMessage,
    MailboxFull,
    PublishRefused,
    RetriesExhausted,
    UnknownActorType,
    UnknownMessage,
)
from store.errors import (
    DuplicateEvent,
    InvalidData,
    RowsRefused,
    StaleEpoch,
    StoreUnavailable,
    Superseded,
    VersionConflict,
)

_TRAVELLERS: dict[str, type[Exception]] = {
    error.__name__: error
    for error in (
        UnknownActorType,
        UnknownMessage,
        InvalidMessage,
        HandlerFailed,
        ActorStopped,
        MailboxFull,
        HostUnavailable,
        PublishRefused,
        RetriesExhausted,
        Rejected,
        InvalidName,
        InvalidData,
        RowsRefused,
        StoreUnavailable,
        DuplicateEvent,
        VersionConflict,
        StaleEpoch,
        Superseded,
    )
}

EncodedError = tuple[str, list[Any]]


def encode_error(error: Exception) -> EncodedError:
    """An error as plain values. One that does not travel arrives as a HandlerFailed."""
    name = type(error).__name__
    if name in _TRAVELLERS:
        return name, list(error.args)
    return "HandlerFailed", ["the host", "a message", f"{name}: {error}", "not run"]


def decode_error(encoded: EncodedError) -> Exception:
    """The error that was encoded."""
    name, arguments = encoded
    return _TRAVELLERS[name](*arguments)

"""The tokens of clients, as they are kept: everything but their text.

What a token allows, and what its text looks like, is the gateways' affair (gateways/tokens.py).
Whether one has expired is judged by the store's clock alone, so that no gateway's counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from store.errors import StoreError


class TokenNameTaken(StoreError):
    """A token of this name is in use."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"there is a token {self.name!r}: revoke it first, or take another name"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token that is to be kept."""

    id: str  #: short, and no secret
    name: str
    hash: bytes  #: SHA-256 of its text
    scopes: tuple[str, ...]
    prefix: str = ""  #: of the sources that it is for; empty: of all
    lasts_s: float | None = None  #: from now on; None: for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as it was found."""

    id: str
    name: str
    scopes: tuple[str, ...]
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None  #: about when it was used last
    revoked_at: datetime | None
    live: bool  #: is it neither revoked nor expired?


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveToken:
    """What a gateway has to know of a token that may be used."""

    id: str
    hash: bytes
    scopes: tuple[str, ...]
    prefix: str


class TokenTable(Protocol):
    """Where tokens are kept. Every method raises StoreUnavailable when it cannot get there."""

    async def add(self, token: NewToken) -> Token:
        """Keep a token. Raises TokenNameTaken where one that is not revoked has its name."""

    async def live(self, ids: Iterable[str]) -> dict[str, LiveToken]:
        """By id: those of them that are neither revoked nor expired."""

    async def all(self) -> list[Token]:
        """Every token that there ever was, the oldest first."""

    async def any(self) -> bool:
        """Was there ever one, though it be revoked by now?"""

    async def any_live(self) -> bool:
        """Is there one that may be used?"""

    async def revoke(self, id_or_name: str) -> Token | None:
        """Revoke the token of an id, or that of a name which is not revoked yet. One that is
        revoked stays as it is. None where there is no such token."""

    async def note_used(self, ids: Iterable[str]) -> None:
        """They are in use."""

"""Tokens in memory, with a switch that takes them away as a database goes away."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from gateways.tokens import new_token, presented
from store.errors import StoreUnavailable
from store.tokens import LiveToken, NewToken, Token, TokenNameTaken


class MemoryTokens:
    """TokenTable."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Token, bytes]] = {}
        self.away = False
        self.asked = 0  #: questions for live tokens
        self._made = 0

    def make(self, *scopes: str, prefix: str = "", expired: bool = False) -> str:
        """A token; its text."""
        self._made += 1
        seed = self._made.to_bytes(8, "big")
        text = new_token(lambda size: sha256(seed).digest()[:size])
        shown = presented(text)
        assert shown is not None
        self._add(
            NewToken(
                id=shown.id, name=f"token-{self._made}", hash=shown.hash, scopes=scopes,
                prefix=prefix, lasts_s=-1.0 if expired else None,
            )
        )  # fmt: skip
        return text

    def revoke_now(self, text: str) -> None:
        """Revoke the token of a text."""
        shown = presented(text)
        assert shown is not None
        token, digest = self._kept[shown.id]
        self._kept[shown.id] = replace(token, revoked_at=datetime.now(UTC)), digest

    def used(self, text: str) -> datetime | None:
        """When the token of a text was noted to be in use."""
        shown = presented(text)
        assert shown is not None
        return self._kept[shown.id][0].used_at

    async def add(self, token: NewToken) -> Token:
        self._check()
        if any(kept.name == token.name and kept.revoked_at is None for kept in self._tokens()):
            raise TokenNameTaken(token.name)
        return self._judged(self._add(token))

    async def live(self, ids: Iterable[str]) -> dict[str, LiveToken]:
        self._check()
        self.asked += 1
        return {
            token.id: LiveToken(id=token.id, hash=digest, scopes=token.scopes, prefix=token.prefix)
            for token, digest in (self._kept[each] for each in ids if each in self._kept)
            if self._judged(token).live
        }

    async def all(self) -> list[Token]:
        self._check()
        return [self._judged(token) for token in self._tokens()]

    async def any(self) -> bool:
        self._check()
        return bool(self._kept)

    async def any_live(self) -> bool:
        self._check()
        return any(self._judged(token).live for token in self._tokens())

    async def revoke(self, id_or_name: str) -> Token | None:
        self._check()
        for token, digest in self._kept.values():
            if token.id == id_or_name or (token.name == id_or_name and token.revoked_at is None):
                at = token.revoked_at or datetime.now(UTC)
                self._kept[token.id] = revoked, _ = replace(token, revoked_at=at), digest
                return self._judged(revoked)
        return None

    async def note_used(self, ids: Iterable[str]) -> None:
        self._check()
        for each in ids:
            if each in self._kept:
                token, digest = self._kept[each]
                self._kept[each] = replace(token, used_at=datetime.now(UTC)), digest

    def _add(self, token: NewToken) -> Token:
        now = datetime.now(UTC)
        kept = Token(
            id=token.id, name=token.name, scopes=token.scopes, prefix=token.prefix, live=True,
            created_at=now, used_at=None, revoked_at=None,
            expires_at=None if token.lasts_s is None else now + timedelta(seconds=token.lasts_s),
        )  # fmt: skip
        self._kept[token.id] = kept, token.hash
        return kept

    def _tokens(self) -> list[Token]:
        return [token for token, _ in self._kept.values()]

    def _judged(self, token: Token) -> Token:
        expired = token.expires_at is not None and token.expires_at <= datetime.now(UTC)
        return replace(token, live=token.revoked_at is None and not expired)

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("memory", "it is away")

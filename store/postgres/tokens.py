"""The tokens of clients in PostgreSQL."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import asyncpg

from store.postgres.connections import Connections
from store.postgres.queries import QUERIES
from store.tokens import LiveToken, NewToken, Token, TokenNameTaken


class PostgresTokens:
    """TokenTable on a database that was migrated."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def add(self, token: NewToken) -> Token:
        lasts = None if token.lasts_s is None else timedelta(seconds=token.lasts_s)
        async with self._connections.use() as connection:
            try:
                [row] = await connection.fetch(
                    QUERIES["add_token"],
                    token.id, token.name, token.hash, list(token.scopes), token.prefix, lasts,
                )  # fmt: skip
            except asyncpg.UniqueViolationError as error:
                raise TokenNameTaken(token.name) from error
        return _token(row)

    async def live(self, ids: Iterable[str]) -> dict[str, LiveToken]:
        rows = await self._connections.fetch(QUERIES["live_tokens"], list(ids))
        return {
            row["id"]: LiveToken(
                id=row["id"], hash=row["hash"], scopes=tuple(row["scopes"]), prefix=row["prefix"]
            )
            for row in rows
        }

    async def all(self) -> list[Token]:
        return [_token(row) for row in await self._connections.fetch(QUERIES["all_tokens"])]

    async def any(self) -> bool:
        [row] = await self._connections.fetch("SELECT EXISTS (SELECT FROM tokens)")
        return bool(row[0])

    async def any_live(self) -> bool:
        [row] = await self._connections.fetch(QUERIES["any_live_token"])
        return bool(row[0])

    async def revoke(self, id_or_name: str) -> Token | None:
        rows = await self._connections.fetch(QUERIES["revoke_token"], id_or_name)
        return _token(rows[0]) if rows else None

    async def note_used(self, ids: Iterable[str]) -> None:
        await self._connections.fetch(QUERIES["note_used_tokens"], list(ids))


def _token(row: Any) -> Token:
    return Token(**{**row, "scopes": tuple(row["scopes"])})

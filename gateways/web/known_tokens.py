"""What a gateway knows of tokens: those that are in use, looked at again and again.

Every second one question to the database covers all tokens that are in use, whoever uses them.
What is known of a token counts for MAX_AGE_S and no longer: a revoked one is noticed after a second
or two, and while the database is away nobody is vouched for. Tokens that are not known yet
share their questions, one at a time, so that whoever makes up tokens costs others nothing.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from hmac import compare_digest
from itertools import islice
from typing import TypeVar

from gateways.tokens import EVERYTHING, Grant, Presented
from gateways.web.log_store import LogStore
from store.errors import StoreError
from store.event_store import EventStore
from store.postgres.event_store import PostgresEventStore
from store.tokens import LiveToken, TokenTable

T = TypeVar("T")

logger = logging.getLogger("thornback.gateway")


class Known:
    """A token as it was found, or everybody where nobody is asked for one."""

    __slots__ = (
        "_left", "_left_s", "ended", "grant", "hash", "held", "id", "looked_s", "noted_s", "used_s",
    )  # fmt: skip

    def __init__(self, token_id: str, digest: bytes, grant: Grant, looked_s: float) -> None:
        self.id, self.hash, self.grant = token_id, digest, grant
        self.looked_s = looked_s  #: when the question began that found it so last
        self.used_s = looked_s  #: when somebody used it last
        self.noted_s = float("-inf")  #: when the database was told so last
        self.ended = False  #: is it revoked, or expired?
        self.held = 0  #: requests that are under way with it: as long as there are any, it is known
        # Of a second's requests so many were left, at a moment.
        self._left, self._left_s = float("inf"), looked_s

    def spend(self, rate: int, now_s: float) -> bool:
        """Is this request within so many a second? A second's worth may come at once."""
        left = min(float(rate), self._left + (now_s - self._left_s) * rate)
        self._left_s = now_s
        self._left = left - 1 if left >= 1 else left
        return left >= 1


class KnownTokens:
    """The tokens in use. Lives in one event loop."""

    #: What is known counts for so long.
    MAX_AGE_S = 5.0
    #: Between two looks at all that are in use, and how long one may take.
    LOOK_S, LIMIT_S = 1.0, 2.0
    #: Who has not used a token for so long is looked up anew.
    FORGET_S = 60.0
    #: So many are known at most; beyond it the one that was not used for longest is forgotten.
    MOST = 10_000
    #: The database is told so often that a token is in use.
    NOTE_S = 60.0

    def __init__(
        self, store: LogStore, *, always: bool, on_end: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._on_end = on_end  # called when a token that is in use has ended
        #: Is everybody asked for a token? None: that is not known yet.
        self.asked: bool | None = True if always else None
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._wanted: dict[str, asyncio.Future[Known | None]] = {}  # by id; not asked for yet
        self._looking: asyncio.Task[None] | None = None
        self.everybody = Known("", b"", EVERYTHING, 0.0)

    async def found(self, shown: Presented) -> Known | None:
        """The token that somebody shows; None if it is none that may be used. Raises
        StoreUnavailable while that cannot be told."""
        known = self._known.get(shown.id)
        if known is None or not self.fresh(known):
            known = await self._looked_up(shown.id)
        if known is None or known.ended or not compare_digest(known.hash, shown.hash):
            return None
        known.used_s = self._now_s()
        self._known.move_to_end(known.id)
        return known

    def fresh(self, known: Known) -> bool:
        """Does what is known of it still count? Where nobody is asked, that does not age: while
        the database is away nobody makes a token."""
        if known is self.everybody:
            return not self.asked
        return self._now_s() - known.looked_s <= self.MAX_AGE_S

    def stands(self, known: Known) -> bool:
        """May whoever began something with it go on?"""
        return not (self.asked if known is self.everybody else known.ended)

    async def keep(self) -> None:
        """Look again and again at those that are in use."""
        while True:
            await self.look()
            await asyncio.sleep(self.LOOK_S)

    async def look(self) -> None:
        """Look once. While the database is away nothing changes, but that what is known ages."""
        with suppress(StoreError):  # readiness says who is away
            await self._look()

    async def any_live(self) -> bool:
        """Is there a token that may be used? Raises StoreUnavailable."""
        return await self._ask(lambda table: table.any_live())

    async def _look(self) -> None:
        now_s = self._now_s()
        if not self.asked:
            was, self.asked = self.asked, await self._ask(lambda table: table.any())
            if self.asked and was is not None:
                logger.warning("the first token was made: from now on everybody is asked for one")
                self._on_end()
        self._forget(
            known for known in self._known.values() if now_s - known.used_s > self.FORGET_S
        )
        if not self._known:
            return
        looked = dict(self._known)
        live = await self._ask(lambda table: table.live(looked))
        self._judge(looked, live, now_s)
        await self._note_used(now_s)

    def _judge(self, looked: dict[str, Known], live: dict[str, LiveToken], now_s: float) -> None:
        ended = [known for token_id, known in looked.items() if token_id not in live]
        for known in ended:
            known.ended = True
            if self._known.get(known.id) is known:
                del self._known[known.id]
            logger.info("token %s is revoked or has expired", known.id)
        for token_id in live:
            looked[token_id].looked_s = now_s
        if ended:
            self._on_end()

    async def _note_used(self, now_s: float) -> None:
        used = [
            known for known in self._known.values()
            if known.used_s > known.noted_s and now_s - known.noted_s >= self.NOTE_S
        ]  # fmt: skip
        if used:
            await self._ask(lambda table: table.note_used([known.id for known in used]))
            for known in used:
                known.noted_s = now_s

    async def _looked_up(self, token_id: str) -> Known | None:
        waiting = self._wanted.get(token_id)
        if waiting is None:
            waiting = self._wanted[token_id] = asyncio.get_running_loop().create_future()
            if self._looking is None or self._looking.done():
                self._looking = asyncio.ensure_future(self._look_up())
        return await asyncio.shield(waiting)

    async def _look_up(self) -> None:
        while self._wanted:
            wanted, self._wanted = self._wanted, {}
            now_s = self._now_s()
            try:
                live = await self._ask(lambda table, ids=tuple(wanted): table.live(ids))  # type: ignore[misc]
            except Exception as error:
                for waiting in wanted.values():
                    waiting.set_exception(error)
                    waiting.exception()  # its client may have left: nobody has to hear it
                continue
            for token_id, waiting in wanted.items():
                waiting.set_result(self._met(live.get(token_id), now_s))

    def _met(self, token: LiveToken | None, now_s: float) -> Known | None:
        if token is None:
            return None
        known = self._known.get(token.id)
        if known is None:
            grant = Grant(frozenset(token.scopes), token.prefix)
            known = self._known[token.id] = Known(token.id, token.hash, grant, now_s)
        known.looked_s = now_s
        if len(self._known) > self.MOST:
            self._forget(islice(self._known.values(), len(self._known) - self.MOST))
        return known

    def _forget(self, unused: Iterable[Known]) -> None:
        for known in [each for each in unused if not each.held]:
            del self._known[known.id]

    async def _ask(self, question: Callable[[TokenTable], Awaitable[T]]) -> T:
        return await self._store.ask(lambda store: question(table_of(store)), self.LIMIT_S)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


def table_of(store: EventStore) -> TokenTable:
    """The tokens beside a log. Beside one in memory there are none: no program could make them."""
    return store.tokens if isinstance(store, PostgresEventStore) else _NO_TOKENS


class _NoTokens:
    async def live(self, _: object) -> dict[str, LiveToken]:
        return {}

    async def any(self) -> bool:
        return False

    async def any_live(self) -> bool:
        return False


_NO_TOKENS: TokenTable = _NoTokens()  # type: ignore[assignment]

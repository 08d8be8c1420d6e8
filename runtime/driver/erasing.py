"""Erasing an actor, as a driver has it done.

In this order: its host ends it (`actor-erased`, behind all that it has decided); the bus has heard
of that, and keeps nothing of before; the store forgets it, also what programs have put out since;
and the bus keeps nothing of that either. Each of these may be done again, so whoever erases it anew
goes on where somebody has ended in between (docs/decisions/0091).
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from actors.naming import aggregate_key_of, checked_source
from runtime.driver.connection import Connection
from runtime.driver.life import asked_life
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply
from runtime.errors import (
    AskTimeout,
    BusUnavailable,
    HostFailed,
    HostUnavailable,
    MailboxFull,
    NotPossible,
)
from runtime.wire.commands import ERASE
from store.erasures import Erasure, ErasureReceipt, Forgotten, NotErased
from store.errors import StoreUnavailable
from store.event_store import EventStore

T = TypeVar("T")

#: What passes: a host, the bus or the database is away. Under its id a command is done once.
_AWAY = (HostUnavailable, HostFailed, MailboxFull, AskTimeout, BusUnavailable, StoreUnavailable)
_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


def erase_actor(
    ref: ActorRef[Any], reason: str, keys: Iterable[str], patience_s: float
) -> Reply[ErasureReceipt]:
    """See ActorSystem.erase."""
    if not isinstance(ref, ActorRef):
        raise TypeError(f"it takes a ref, system.actor(CLASS, name), not {ref!r:.80}")
    if not isinstance(reason, str):
        raise TypeError(f"a reason is a text, not {reason!r:.80}")
    if not reason.strip():
        raise ValueError("an erasure has a reason: the log keeps it, and the data is gone")
    if isinstance(keys, str):
        raise TypeError(f"keys is a list of keys, [{keys!r}]")
    erasure = Erasure.of(ref.source, [checked_source(key) for key in keys])
    connection = ref.connection
    erase = partial(_erased, connection, ref, reason, erasure, connection.new_id(), patience_s)
    return connection.errand(f"erasing {ref.source}", erase)


async def _erased(
    connection: Connection,
    ref: ActorRef[Any],
    reason: str,
    erasure: Erasure,
    command_id: bytes,
    patience_s: float,
) -> ErasureReceipt:
    async def with_store(work: Callable[[EventStore], Awaitable[T]]) -> T:
        store = await connection.open_store()  # one of its own: this may take its time
        try:
            return await work(store)
        finally:
            await store.close()

    async def patiently(step: Callable[[], Awaitable[T]]) -> T:
        return await _patiently(step, patience_s)

    await patiently(lambda: asked_life(ref, ERASE, reason, command_id))
    head = await patiently(lambda: with_store(lambda store: store.head()))
    await patiently(partial(_check_bus, connection, head))
    epoch = -1 - secrets.randbelow(2**62)
    try:
        receipt = await patiently(lambda: with_store(lambda store: store.erase(erasure, epoch)))
    except NotErased as error:
        raise NotPossible(f"the log has no event of {ref.source}") from error
    head = await patiently(lambda: with_store(lambda store: store.head()))
    await patiently(lambda: connection.log.forget(head))
    return receipt


async def forget_elsewhere(
    connection: Connection, own: Connection, erasure: Erasure, patience_s: float
) -> Forgotten:
    """What programs have of an actor in another partition than its `own`, where it was erased:
    those that read all logs, or have one of its other keys there. Raises StoreUnavailable and
    BusUnavailable, where they are away for longer than that."""

    async def of(asked: Connection, work: Callable[[EventStore], Awaitable[T]]) -> T:
        async def ask() -> T:
            store = await asked.open_store()  # one of its own: this may take its time
            try:
                return await work(store)
            finally:
                await store.close()

        return await _patiently(ask, patience_s)

    epoch = -1 - secrets.randbelow(2**62)
    forgotten = await of(connection, lambda store: store.forget_keys(erasure, epoch))
    # Behind that: whoever puts something away from here on has read tombstones.
    queues = await of(connection, lambda store: store.parked_queues())
    wanted = [queue.first.event_id for queue in queues]
    there = await of(own, lambda store: store.find_ids(wanted))
    theirs = [id for id, of_whom in there.items() if of_whom == aggregate_key_of(erasure.source)]
    if theirs:
        await of(connection, lambda store: store.forget_reasons(theirs))
    head = await of(connection, lambda store: store.head())
    await _patiently(partial(_check_bus, connection, head), patience_s)
    await _patiently(lambda: connection.log.forget(head), patience_s)
    return forgotten


async def _patiently(step: Callable[[], Awaitable[T]], patience_s: float) -> T:
    """Again and again while somebody is away who does not say when he is back."""
    loop = asyncio.get_running_loop()
    end_s, pause_s = loop.time() + patience_s, _PAUSE_S
    while True:
        try:
            return await step()
        except _AWAY:
            if loop.time() + pause_s > end_s:
                raise
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _check_bus(connection: Connection, position: int) -> None:
    """Raises BusUnavailable where it has not come so far: who reads may still get from it what it
    has kept from before the erasure."""
    if (head := await connection.log.head()) < position:
        raise BusUnavailable(f"it has come to position {head:,}, and not to {position:,} yet")

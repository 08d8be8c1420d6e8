"""What is kept of an actor in the partitions that are not its own, when it is erased.

Its own partition has its events, and forgets what programs there have of it
(runtime/driver/erasing.py). In another one there may be dead letters that wait for it, kept where
they were sent; and what programs have of its keys, where they read all logs, or where one of its
other keys is at home (docs/decisions/0101).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial

from runtime.driver.connection import Connection
from runtime.driver.erasing import forget_elsewhere
from runtime.processing.dead_letters import dropped_parked, found_parked
from runtime.topology.partitions import partition_of
from store.erasures import Erasure, ErasureReceipt


async def forgotten_everywhere(
    receipt: ErasureReceipt,
    partitions: Sequence[Connection],
    source: str,
    keys: Iterable[str],
    patience_s: float,
) -> ErasureReceipt:
    """Forget it in all but the actor's own partition, which has given that receipt; the receipt,
    with what that came to. Doing it again does what is left. Raises StoreUnavailable and
    BusUnavailable, where they are away for longer than that."""
    own = partition_of(source, len(partitions))
    names = {source, *keys}
    at_home = {partition_of(name, len(partitions)) for name in names}
    for number, connection in enumerate(partitions):
        if number == own:
            continue
        merges = await connection.log.ask(lambda store: store.merges())
        if merges or number in at_home:
            erasure = Erasure.of(source, [*names])
            receipt = receipt.with_more(
                await forget_elsewhere(connection, partitions[own], erasure, patience_s)
            )
        dropped = await _dropped(connection, names)
        receipt = replace(receipt, dead_letters=receipt.dead_letters + dropped)
    return receipt


async def _dropped(connection: Connection, names: Collection[str]) -> int:
    """How many dead letters wait there for one of these, until now."""
    dropped = 0
    for queue in (await connection.log.ask(partial(found_parked, None))).queues:
        parked = queue.first.parked
        if parked.name in names:
            dropped += await connection.log.ask(partial(dropped_parked, parked.program, parked))
    return dropped

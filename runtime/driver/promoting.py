"""A shard gets a host of its own, and gives it back, while traffic runs.

A hot actor is promoted with its shard: so it is a move like any other (docs/decisions/0099). As
with scaling nothing is remembered: the table of shards says who is promoted.
"""

from collections.abc import Mapping

from actors.naming import actor_type_of
from runtime.driver.scaling import STEP_S, Ask
from runtime.errors import HostUnavailable, NotPossible
from runtime.topology.names import MOST_PROMOTED, number_of_host, promoted_name, promoted_shard
from runtime.topology.placement import shard_of
from store.shards import ShardTable


def pooled_shard(source: str, placement: Mapping[str, str]) -> int:
    """The shard of a pooled actor. Raises NotPossible for a dedicated one."""
    actor_type = actor_type_of(source)
    if placement.get(actor_type) == "dedicated":
        raise NotPossible(
            f"{source} has a process of its own already: the settings say {actor_type} is dedicated"
        )
    return shard_of(source)


async def promote(ask: Ask, shard: int) -> str:
    """Have a shard have a host of its own; the name of that. One that has it stays. Raises
    NotPossible where as many are promoted as may be, and HostUnavailable where a host is away for
    long, or the new one does not come to life; whoever asks again goes on."""
    table: ShardTable
    table, _, there = await ask("sharing", STEP_S)
    name = promoted_name(shard)
    if table.hosts[shard] == name and name in there:
        return name
    others = {one for one in table.hosts if promoted_shard(one) is not None} - {name}
    if len(others) >= MOST_PROMOTED:
        raise NotPossible(
            f"shard {shard:,} cannot be promoted: {len(others)} are, and no more may be; "
            "demote one first"
        )
    await ask("add_host", name, STEP_S)
    await ask("move_shards", [shard], name, STEP_S)
    return name


async def demote(ask: Ask, shard: int) -> str:
    """Have a shard be at a pooled host again, the one with least to do, and end its own; the name
    of the host that it has then. Of one that is not promoted nothing moves. Raises HostUnavailable
    where a host is away for long; whoever asks again goes on."""
    table: ShardTable
    table, rates, there = await ask("sharing", STEP_S)
    host, own = table.hosts[shard], promoted_name(shard)
    if host == own:
        host = _idlest(table, rates)
        await ask("move_shards", [shard], host, STEP_S)
    if own in there or table.hosts[shard] == own:
        await ask("remove_host", own, STEP_S)
    return host


def _idlest(table: ShardTable, rates: Mapping[int, float]) -> str:
    """The pooled host that is sent least; of several, the one with fewest shards."""
    loads = {host: (0.0, 0) for host in table.hosts if number_of_host(host) is not None}
    if not loads:
        raise HostUnavailable("host-0", "no pooled host has shards: scale first")
    for shard, host in enumerate(table.hosts):
        if host in loads:
            rate, shards = loads[host]
            loads[host] = (rate + rates.get(shard, 0.0), shards + 1)
    return min(loads, key=lambda host: (*loads[host], host))

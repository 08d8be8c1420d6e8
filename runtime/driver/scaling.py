"""A system is brought to another number of pooled hosts, while traffic runs.

Nothing is remembered between its steps, or while it does not run: who has which shard stands in the
event store, and which hosts there are Ray knows. So whoever was interrupted begins anew, and goes
on.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from runtime.errors import HostUnavailable
from runtime.topology.balancing import moves
from runtime.topology.names import MOST_HOSTS, host_name, promoted_shard
from store.shards import ShardTable

#: What the directory answers: a method of it, and its arguments.
Ask = Callable[..., Awaitable[Any]]

#: How long one step may take: a host that is away is back long before.
STEP_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingStep:
    """What has been done, and how far that is."""

    what: str  #: like "host-2 has 64 shards of host-0"
    moved: int = 0  #: shards, by now
    to_move: int = 0  #: of so many


def checked_hosts(hosts: int) -> int:
    """How many pooled hosts there are to be. Raises ValueError and TypeError."""
    if type(hosts) is not int:
        raise TypeError(f"hosts is a number, not {hosts!r:.80}")
    if not 1 <= hosts <= MOST_HOSTS:
        raise ValueError(f"there are 1 to {MOST_HOSTS} pooled hosts, not {hosts}")
    return hosts


async def scale(ask: Ask, hosts: int, tell: Callable[[ScalingStep], None]) -> ShardTable:
    """Have so many pooled hosts, which share the shards by what those have to do, all but the
    promoted ones; the table as it is then. Hosts are added first, then shards move, those that are
    hot alone, and then the hosts that have none any more are ended. Raises HostUnavailable where a
    host is away for long; what was done by then stays, and whoever scales again goes on."""
    before: ShardTable
    before, commands, there = await ask("sharing", STEP_S)
    wanted = [host_name(number) for number in range(hosts)]
    for name in wanted:
        if name not in there or not before.of(name):  # it may have been added, and not be ready yet
            await ask("add_host", name, STEP_S)
            tell(ScalingStep(what=f"{name} runs"))
    going, table = list(moves(before, wanted, commands)), before
    to_move, moved = sum(len(each.shards) for each in going), 0
    for each in going:
        table = await ask("move_shards", list(each.shards), each.to, STEP_S)
        moved += len(each.shards)
        what = f"{each.to} has {len(each.shards):,} shards of {each.host}"
        tell(ScalingStep(what=what, moved=moved, to_move=to_move))
    promoted = {host for host in table.hosts if promoted_shard(host) is not None}
    if left := set(table.hosts) - promoted - set(wanted):  # somebody else moves some
        raise HostUnavailable(min(left), "it has got shards meanwhile: scale again")
    for name in sorted({*there, *before.hosts} - promoted - set(wanted)):
        await ask("remove_host", name, STEP_S)
        tell(ScalingStep(what=f"{name} has ended", moved=moved, to_move=to_move))
    return table

"""Which shards are to move, so that every host has about as much to do as every other one.

A shard weighs what it was sent lately, and a little for its actors' sake even where that is
nothing. What weighs much moves alone, what weighs little in company: each move holds up its host
for about the time of a commit.
"""

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from runtime.topology.names import promoted_shard
from store.shards import SHARDS, ShardTable

#: So many shards at most leave a host together.
TOGETHER = 64
#: A shard with so much of all that a host is to have is hot: it moves alone.
HOT = 1 / 16
#: Hosts that differ by less of what each is to have are left alone.
NEAR = 0.1
#: Of all weight, so much is for being there, and the rest for commands.
FOR_BEING_THERE = 0.5


class ShardMove(NamedTuple):
    """Shards that are to go from one host to another."""

    shards: tuple[int, ...]
    host: str
    to: str


def moves(
    table: ShardTable, hosts: Sequence[str], commands: Mapping[int, float], *, ended: str = ""
) -> Iterator[ShardMove]:
    """The moves after which these hosts have all shards but the promoted ones, and about as much to
    do each; none where that is so. `commands` is how many came for each shard in some time. A host
    that has `ended` keeps none, though it was a promoted one."""
    promoted = {
        shard
        for shard, one in enumerate(table.hosts)
        if one != ended and promoted_shard(one) is not None
    }
    weights = _weights({one: count for one, count in commands.items() if one not in promoted})
    for shard in promoted:  # each has its own host, and is no part of what others share
        weights[shard] = 0.0
    mean = sum(weights) / len(hosts)
    gone = _goals(table, hosts, weights, mean, promoted)
    for (host, to), shards in gone.items():
        company: list[int] = []
        for shard in sorted(shards, key=lambda one: -weights[one]):
            if weights[shard] >= HOT * mean:
                yield ShardMove((shard,), host, to)
                continue
            company.append(shard)
            if len(company) == TOGETHER:
                yield ShardMove(tuple(sorted(company)), host, to)
                company = []
        if company:
            yield ShardMove(tuple(sorted(company)), host, to)


def _weights(commands: Mapping[int, float]) -> list[float]:
    total = sum(commands.values())
    if not total:
        return [1 / SHARDS] * SHARDS
    there = FOR_BEING_THERE / SHARDS
    rest = (1 - FOR_BEING_THERE) / total
    return [there + rest * commands.get(shard, 0) for shard in range(SHARDS)]


def _goals(
    table: ShardTable,
    hosts: Sequence[str],
    weights: Sequence[float],
    mean: float,
    promoted: Collection[int],
) -> dict[tuple[str, str], list[int]]:
    """Which shards go, by where from and where to."""
    theirs: dict[str, list[int]] = {host: [] for host in (*hosts, *table.hosts)}
    for shard, host in enumerate(table.hosts):
        theirs[host].append(shard)
    loads = {host: sum(weights[shard] for shard in theirs[host]) for host in hosts}
    going: dict[tuple[str, str], list[int]] = {}
    homeless = [
        (shard, host)
        for shard, host in enumerate(table.hosts)
        if host not in loads and shard not in promoted
    ]
    lightest = [(load, host) for host, load in loads.items()]
    heapq.heapify(lightest)
    for shard, host in sorted(homeless, key=lambda each: (-weights[each[0]], each[0])):
        load, to = heapq.heappop(lightest)
        heapq.heappush(lightest, (load + weights[shard], to))
        loads[to] = load + weights[shard]
        going.setdefault((host, to), []).append(shard)
    for host in hosts:
        # Heaviest first, and of those only what does not make the other one heavier than this one.
        for shard in sorted(theirs[host], key=lambda one: (-weights[one], one)):
            to = min(hosts, key=lambda one: (loads[one], one))
            if loads[host] - loads[to] <= NEAR * mean or loads[host] <= mean:
                break
            if loads[to] + weights[shard] < loads[host]:
                loads[host] -= weights[shard]
                loads[to] += weights[shard]
                going.setdefault((host, to), []).append(shard)
    return going

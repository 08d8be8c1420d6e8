"""Which host has which shard: the table that says so, as it is at one of its versions.

A store keeps one of them (EventStore.open_shards). Its versions count the moves: whoever knows a
later one knows all that the earlier ones said. A table of the version 0 is none of the store's: it
is what somebody takes for likely who was told nothing.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

#: An actor's shard is one of so many, fixed for ever (runtime/topology/placement.py).
SHARDS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTable:
    """Which host has each shard."""

    version: int
    hosts: tuple[str, ...]  #: by shard
    dealt_to: tuple[str, ...]  #: those that there were when it was dealt out, whoever has any now

    def given(self, shards: Collection[int], host: str, to: str) -> "ShardTable":
        """The next version, in which `to` has those of these shards that `host` has; this one
        where it has none of them."""
        leaving = {shard for shard in shards if self.hosts[shard] == host} if host != to else set()
        if not leaving:
            return self
        hosts = (to if shard in leaving else one for shard, one in enumerate(self.hosts))
        return replace(self, version=self.version + 1, hosts=tuple(hosts))

    def of(self, host: str) -> frozenset[int]:
        """The shards of one host."""
        return frozenset(shard for shard, one in enumerate(self.hosts) if one == host)

    def by_host(self) -> Mapping[str, int]:
        """How many shards each host has, in order of name."""
        return dict(sorted(Counter(self.hosts).items()))


def dealt(hosts: Sequence[str], *, version: int = 0) -> ShardTable:
    """All shards, dealt out to these hosts in turn."""
    return ShardTable(
        version=version,
        hosts=tuple(hosts[shard % len(hosts)] for shard in range(SHARDS)),
        dealt_to=tuple(hosts),
    )


def opened(kept: ShardTable | None, hosts: Sequence[str], *, anew: bool) -> ShardTable:
    """What a store has to keep from now on (EventStore.open_shards)."""
    if kept is None:
        return dealt(hosts, version=1)
    if anew and set(kept.dealt_to) != set(hosts):  # not those that have some: one may be emptied
        return dealt(hosts, version=kept.version + 1)
    return kept

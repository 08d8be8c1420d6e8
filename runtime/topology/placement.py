"""Which host runs an actor: its shard."""

from collections.abc import Iterable, Mapping
from zlib import crc32

from actors.naming import actor_type_of
from runtime.topology.names import PROMOTED_NODE, promoted_shard
from store.shards import SHARDS, ShardTable


def shard_of(source: str) -> int:
    """The shard of an actor: fixed for ever, the same in every process."""
    return crc32(source.encode()) % SHARDS


def checked_shards(shards: Iterable[int]) -> list[int]:
    """Shards, each once and in order. Raises ValueError for what is none, and TypeError."""
    found = set(shards)
    for shard in found:
        if type(shard) is not int:
            raise TypeError(f"a shard is a number, like ref.shard, not {shard!r:.80}")
        if not 0 <= shard < SHARDS:
            raise ValueError(f"shards are numbers from 0 to {SHARDS - 1}, not {shard}")
    return sorted(found)


def node_that_decides(
    node_id: str, table: ShardTable, placement: Mapping[str, str], source: str
) -> str:
    """What the host of a source is called in clocks and metrics, by that table: a pooled one has a
    name of its own, the dedicated ones of an actor type have that of the type, and the promoted
    ones one together."""
    actor_type = actor_type_of(source)
    if placement.get(actor_type) == "dedicated":
        return f"{node_id}.{actor_type}"
    host = table.hosts[shard_of(source)]
    return f"{node_id}.{host if promoted_shard(host) is None else PROMOTED_NODE}"

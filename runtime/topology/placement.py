"""Which host runs an actor: its shard."""

from collections.abc import Iterable, Mapping
from zlib import crc32

from actors.naming import actor_type_of
from store.shards import SHARDS, ShardTable


def shard_of(source: str) -> int:
    """The shard of an actor: fixed for ever, the same in every process."""
    return crc32(source.encode()) % SHARDS


def checked_shards(shards: Iterable[int]) -> list[int]:
    """Shards, each once and in order. Raises ValueError for what is none, and TypeError."""
    found = set(shards)
    for shard in found:
        if type(shard) is not int:
            raise TypeError(f"a shard is a number, not {shard!r:.80}")
        if not 0 <= shard < SHARDS:
            raise ValueError(f"shards are numbers from 0 to {SHARDS - 1}, not {shard}")
    return sorted(found)


def node_that_decides(
    node_id: str, table: ShardTable, placement: Mapping[str, str], source: str
) -> str:
    """What the host of a source is called in clocks and metrics, by that table: a pooled one has a
    name of its own, the dedicated ones of an actor type have that of the type."""
    actor_type = actor_type_of(source)
    dedicated = placement.get(actor_type) == "dedicated"
    return f"{node_id}.{actor_type if dedicated else table.hosts[shard_of(source)]}"

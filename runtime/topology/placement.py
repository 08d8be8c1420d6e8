"""Which host runs an actor: its shard."""

from collections.abc import Mapping
from zlib import crc32

from actors.naming import actor_type_of
from runtime.topology.names import host_name

SHARDS = 4096


def shard_of(source: str) -> int:
    """The shard of an actor: fixed for ever, the same in every process."""
    return crc32(source.encode()) % SHARDS


def node_that_decides(node_id: str, hosts: int, placement: Mapping[str, str], source: str) -> str:
    """What the host of a source is called in clocks and metrics: a pooled one has a name of its
    own, the dedicated ones of an actor type have that of the type."""
    actor_type = actor_type_of(source)
    dedicated = placement.get(actor_type) == "dedicated"
    return f"{node_id}.{actor_type if dedicated else host_name(shard_of(source) % hosts)}"

"""Which host runs an actor: its shard."""

from zlib import crc32

SHARDS = 4096


def shard_of(source: str) -> int:
    """The shard of an actor: fixed for ever, the same in every process."""
    return crc32(source.encode()) % SHARDS

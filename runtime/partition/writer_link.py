"""A host's way to the writer."""

from store.errors import StoreError


class WriterAway(StoreError):
    """The writer's process is away; whether it committed is open."""

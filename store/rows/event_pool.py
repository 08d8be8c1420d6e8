"""What the events of a log have in common, made once and shared by all of them.

The names of devices and event types recur in every row. An event that is decoded takes its source,
its aggregate's id, its type and its kind out of here, instead of making them again: three objects
of nineteen, and a tenth of the time (docs/decisions/0074, which says what is not worth a pool).
"""

from uuid import UUID

from actors.event import Kind


class EventPool:
    """Sources with their aggregates' ids, and event types with their kinds, by the bytes that rows
    have of them. Threads may share one: what both put in is equal."""

    #: So many of each: who publishes names both as he likes.
    MAX = 50_000

    __slots__ = ("sources", "types")

    def __init__(self) -> None:
        self.types: dict[bytes, tuple[str, Kind]] = {}
        self.sources: dict[bytes, tuple[str, UUID]] = {}

    def trim(self) -> None:
        """Forget those of which there are too many; what is needed is made anew."""
        for shared in (self.types, self.sources):
            if len(shared) > self.MAX:
                shared.clear()

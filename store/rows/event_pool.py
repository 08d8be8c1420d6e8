"""What the events of a log have in common, made once and shared by all of them.

The types of events recur in every row. An event that is decoded takes its type and its kind out
of here, instead of making them again (docs/decisions/0074). Sources recur as well, and are not
here: in a fleet larger than a processor's cache, finding one takes longer than making its text
(docs/decisions/0108).
"""

from actors.event import Kind


class EventPool:
    """Event types with their kinds, by the bytes that rows have of them. Threads may share one:
    what both put in is equal."""

    #: So many: who publishes names them as he likes.
    MAX = 50_000

    __slots__ = ("types",)

    def __init__(self) -> None:
        self.types: dict[bytes, tuple[str, Kind]] = {}

    def trim(self) -> None:
        """Forget them where there are too many; what is needed is made anew."""
        if len(self.types) > self.MAX:
            self.types.clear()

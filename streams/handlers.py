"""Several handlers that run together, so that an event comes to them in an order.

    Handlers("first-response", Alarms, Dispatch)

The log is read and decoded once for all of them, and each event is handed to those that take it,
the one with the higher priority first, those of equal priority by name. Each of them stays what it
is by itself: its outputs, its checkpoints and its dead letters have its own name.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from actors.errors import InvalidName
from actors.event import Event, Kind
from actors.naming import checked_type_name
from actors.patterns import as_kinds, matcher
from streams.errors import InvalidProgram
from streams.handler import Handler, described
from streams.program import Change, Program, Stretch


class Handlers:
    """A company of handlers, which the same workers run.

    **What "higher first" promises.** Of one event, whatever a handler yields has been made, and
    stands in the log, before what a handler of a lower `priority` yields; where two have the same
    one, the name that comes first in the alphabet counts as higher. It holds in any number of
    workers, because all handlers of an event are in the same one, and in whatever is killed.

    A handler is not waited for from an event on at which it fails, until it has got past that event
    (by another try, because the event is parked or passed over, or because somebody resumes it) and
    has come up with the others; nor while its dead letters are replayed; nor before it has come up
    with them where it is new among them, or has stood for long. It stops no other: the others have
    their events meanwhile.

    Nothing is said of the order of what two handlers make of two events.

    Raises InvalidProgram for a name that cannot be one, and for what is no handler, or is among
    them twice. As a program (for StreamScenario) it has keys `HANDLER/SOURCE`, which are the
    sources of what comes out.
    """

    disorder_us: int = 0
    keeps_state: bool = False

    def __init__(self, name: str, *handlers: type[Handler] | Handler) -> None:
        if not isinstance(name, str):
            problem = "a name comes first: Handlers('name', First, Second)"
            raise InvalidProgram(f"{name!r:.80}", problem)
        try:
            self.name = checked_type_name(name)
        except (InvalidName, TypeError) as error:
            raise InvalidProgram(f"{name!r:.80}", f"its name cannot be one: {error}") from error
        #: In the order in which they have an event.
        self.handlers = tuple(sorted(map(self._checked, handlers), key=_order))
        if not self.handlers:
            raise InvalidProgram(name, "has no handlers: Handlers(name, First, Second)")
        names = sorted(handler.name for handler in self.handlers)
        for one, next_one in pairwise(names):
            if one == next_one:
                raise InvalidProgram(name, f"two of its handlers have the name {one!r}")
        if name in names:
            raise InvalidProgram(name, "one of its handlers has this name: take another one")
        self.event_types: Sequence[str] = _together(
            [handler.event_types for handler in self.handlers]
        )
        self.sources: Sequence[str] = _together([handler.sources for handler in self.handlers])
        self.kinds: Sequence[Kind] = _together([handler.kinds for handler in self.handlers])

    def __repr__(self) -> str:
        """Who they are."""
        names = ", ".join(handler.name for handler in self.handlers)
        return f"<{type(self).__name__} {self.name!r}: {names}>"

    def _checked(self, handler: object) -> Handler:
        if isinstance(handler, Handler) or (
            isinstance(handler, type) and issubclass(handler, Handler)
        ):
            return described(handler)
        if isinstance(handler, list | tuple):
            problem = "its handlers are named one by one: Handlers('name', First, Second)"
            raise InvalidProgram(self.name, problem)
        raise InvalidProgram(self.name, f"{handler!r:.80} is no handler: derive it from Handler")

    def route(self, event: Event) -> Iterable[tuple[str, Handler]]:
        """See Program: to each handler that takes it, in their order."""
        for handler in self.handlers:
            if selects(handler)(event):
                for key, _ in handler.route(event):
                    yield f"{handler.name}/{key}", handler

    def step(self, key: str, item: Handler, event: Event, state: Any, watermark_us: int) -> Change:
        """See Program: what the handler makes of it."""
        return item.step(key.removeprefix(f"{item.name}/"), None, event, state, watermark_us)

    def due(self, key: str, state: Any, watermark_us: int) -> Change:
        """See Program: handlers wait for nothing."""
        return Change()

    def again(
        self,
        key: str,
        stretch: Stretch,
        items: Sequence[tuple[Any, Event]],
        state: Any,
        watermark_us: int,
    ) -> Change:
        """See Program: handlers ask for nothing again."""
        return Change()


def selects(program: Program) -> Callable[[Event], bool]:
    """What says whether a program selects an event."""
    wants_type, wants_source = matcher(program.event_types), matcher(program.sources)
    kinds = frozenset(as_kinds(program.kinds) or Kind)
    return lambda event: (
        event.kind in kinds and wants_type(event.event_type) and wants_source(event.source)
    )


def _order(handler: Handler) -> tuple[int, str]:
    return -handler.priority, handler.name


def _together(selected: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """What selects all that one of these selects; none stands for everything."""
    if not all(selected):
        return ()
    return tuple(dict.fromkeys(each for theirs in selected for each in theirs))

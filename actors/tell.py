"""A message from one actor to another: what a handler yields beside its events.

    @handles
    def unplug(self, message: Unplug) -> Iterator[Payload | Tell]:
        yield Unplugged()
        yield Tell((LoadManager, self.state.site), ReleasePower(charger=self.name))

It commits with the events, or not at all; what becomes of it then stands in docs/semantics.md, G11.
"""

from functools import lru_cache
from typing import Any

from actors.actor import Actor, described
from actors.command import Command
from actors.messages import Yielded
from actors.naming import checked_type_name, source_of

_known_source = lru_cache(20_000)(source_of)

#: The class that a Tell of this process has named last, by actor type.
_named: dict[str, type[Actor[Any]]] = {}

_WHOM = 'say whom: (Type, "name"), ("actor-type", "name"), "actor-type/name" or a reference'


class Tell(Yielded):
    """A message, and whom it is for: an actor as a pair of its class, or the name of its type, and
    its name; as its source, `type/name`; or as a reference.

    Raises TypeError for what is no command, or none that the receiver's class handles, and
    InvalidName for what can be no actor's name.
    """

    __slots__ = ("message", "to")

    def __init__(self, to: Any, message: Command) -> None:
        if not isinstance(message, Command):
            raise TypeError(f"a Tell carries a Command, not {message!r:.120}")
        self.to: str = _source(to, message)  #: the receiver's source
        self.message = message

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tell):
            return NotImplemented
        return self.to == other.to and self.message == other.message

    def __hash__(self) -> int:
        return hash((self.to, type(self.message)))

    def __repr__(self) -> str:
        return f"Tell({self.to!r}, {self.message!r})"


def _source(to: Any, message: Command) -> str:
    if isinstance(to, tuple) and len(to) == 2:
        actor, name = to
        if isinstance(actor, str):
            return source_of(checked_type_name(actor), name)
        _check_handles(actor, message)
        known = _known_source if type(name) is str else source_of
        return known(actor.actor_type, name)
    if isinstance(to, str):
        actor_type, _, name = to.partition("/")
        return source_of(checked_type_name(actor_type), name)
    source, actor = getattr(to, "source", None), getattr(to, "actor", None)
    if isinstance(source, str) and not isinstance(to, type):
        if actor is not None:
            _check_handles(actor, message)
        return _source(source, message)
    raise TypeError(f"{_WHOM}, not {to!r:.120}")


def class_named(actor_type: str) -> type[Actor[Any]] | None:
    """The receiver's class, where a Tell of this process has named it. Whoever delivers may need
    it: nobody else may have told any host of it."""
    return _named.get(actor_type)


def _check_handles(actor: type[Actor[Any]], message: Command) -> None:
    known = described(actor).handlers
    _named[actor.actor_type] = actor
    if message.message_type not in known:
        raise TypeError(
            f"{actor.__name__} does not handle {type(message).__name__}: it handles "
            f"{', '.join(described(actor).commands) or 'nothing'}"
        )

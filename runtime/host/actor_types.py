"""The actor types that one host knows."""

from typing import Any

from actors.actor import Actor, ActorType
from actors.errors import InvalidActor
from runtime.host.resident import FAILURES, KnownType
from runtime.wire.error_codec import text_of_error


class ActorTypes:
    """The actor types this host knows, by name."""

    def __init__(self) -> None:
        self._known: dict[str, KnownType] = {}

    def register(self, actor: type[Actor[Any]]) -> ActorType | None:
        """Know a class from now on; the type that it replaces, if it does replace one.

        Residents of the replaced type decide nothing any more (Residents.outdated).
        Raises InvalidActor, and changes nothing then.
        """
        described = _described(actor)
        before = self._known.get(described.name)
        if before is not None and before.type is described:
            return None
        self._known[described.name] = KnownType(described)
        if before is None:
            return None
        before.handlers.clear()
        return before.type

    def get(self, name: str) -> KnownType | None:
        """The type of that name, if it is known."""
        return self._known.get(name)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._known)


def _described(actor: type[Actor[Any]]) -> ActorType:
    try:
        return actor.described()
    except InvalidActor:
        raise
    except FAILURES as error:  # code of the class has run, and may have done anything
        problem = f"it cannot be described: {text_of_error(error)}"
        raise InvalidActor(actor.actor_type, problem) from error

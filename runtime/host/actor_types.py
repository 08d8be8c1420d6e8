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
        #: Types that it was to know, and whose class does not fit the log: why.
        self.refused: dict[str, InvalidActor] = {}
        #: The bytes of each class that was sent, for hosts that do not have it.
        self.sent: dict[str, bytes] = {}

    def register(self, actor: type[Actor[Any]]) -> ActorType | None:
        """Know a class from now on; the type that it replaces, if it does replace one.

        Residents of the replaced type decide nothing any more (Residents.outdated).
        Raises InvalidActor, and changes nothing then.
        """
        described = described_or_why(actor)
        self.refused.pop(described.name, None)
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

    def refuse(self, problem: InvalidActor) -> None:
        """Do not know a type any more, before any of its actors was loaded."""
        self._known.pop(problem.actor, None)
        self.sent.pop(problem.actor, None)
        self.refused[problem.actor] = problem

    def described(self) -> list[ActorType]:
        """All that are known."""
        return [known.type for known in self._known.values()]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._known)


def described_or_why(actor: type[Actor[Any]]) -> ActorType:
    """What a class says of itself. Raises InvalidActor, whatever its code does."""
    try:
        return actor.described()
    except InvalidActor:
        raise
    except FAILURES as error:  # code of the class has run, and may have done anything
        problem = f"it cannot be described: {text_of_error(error)}"
        raise InvalidActor(actor.actor_type, problem) from error

"""What can go wrong inside an actor, before any machine is involved."""

from typing import Any


class ThornbackError(Exception):
    """Base of everything that any room of the project raises on purpose."""


class ActorError(ThornbackError):
    """Base of everything actors/ raises."""


class Rejected(ActorError):
    """A business refusal: the command is valid, the state does not allow it.

    Raised by a `@handles` method. Nothing is stored, the actor goes on, and the caller
    receives this same error with its reason. A subclass may keep facts beside the reason,
    as attributes; it arrives as itself where the caller has its class, and otherwise as a
    Rejected with the same reason, `class_name` and `facts`. Facts that are no plain values
    arrive as their text.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @classmethod
    def named(cls) -> str:
        """The name that this class is known by everywhere."""
        return f"{cls.__module__}.{cls.__qualname__}"

    @property
    def class_name(self) -> str:
        """The name of the class that was raised, also where that class is not known."""
        return name_and_facts(self)[0]

    @property
    def facts(self) -> dict[str, Any]:
        """What the class that was raised keeps beside its reason, by name."""
        return name_and_facts(self)[1]

    def arrived_as(self, class_name: str, facts: dict[str, Any]) -> None:
        """It stands in for an error of a class that is not known here."""
        self.__dict__["_arrived"] = (class_name, facts)

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (type(self), self.args, dict(self.__dict__))


def name_and_facts(error: Rejected) -> tuple[str, dict[str, Any]]:
    """The `class_name` and the `facts` of a rejection, whatever its class makes of these."""
    arrived: tuple[str, dict[str, Any]] | None = error.__dict__.get("_arrived")
    if arrived is not None:
        return arrived[0], dict(arrived[1])
    facts = {name: fact for name, fact in error.__dict__.items() if name != "reason"}
    return type(error).named(), facts


def restored(kind: type[Rejected], arguments: tuple[Any, ...], facts: dict[str, Any]) -> Rejected:
    """A rejection as it was. Its constructor does not run again: a subclass's may take other
    arguments than the error keeps."""
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(facts)
    return error


class InvalidActor(ActorError):
    """An actor class is not well formed; the message says which part and why."""

    def __init__(self, actor: str, problem: str) -> None:
        super().__init__(actor, problem)
        self.actor, self.problem = actor, problem

    def __str__(self) -> str:
        return f"{self.actor}: {self.problem}"


class InvalidName(ActorError):
    """A source, device name or event type cannot be used as one."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name, self.problem = name, problem

    def __str__(self) -> str:
        return f"{self.name!r}: {self.problem}"


class InvalidEvent(ActorError):
    """A class of events is not well formed: its schema version, or an upcaster of it."""

    def __init__(self, event: str, problem: str) -> None:
        super().__init__(event, problem)
        self.event, self.problem = event, problem

    def __str__(self) -> str:
        return f"{self.event}: {self.problem}"


class UnreadableEvent(ActorError):
    """The data of a stored event is of a schema that the class of today cannot bring up to its
    own: a newer one, or one at which an upcaster fails. Or it was erased."""

    def __init__(self, event_type: str, schema: int, problem: str) -> None:
        super().__init__(event_type, schema, problem)
        self.event_type, self.schema, self.problem = event_type, schema, problem

    def __str__(self) -> str:
        return f"{self.event_type!r} of schema {self.schema}: {self.problem}"

"""What can go wrong inside an actor, before any machine is involved."""


class ThornbackError(Exception):
    """Base of everything that any room of the project raises on purpose."""


class ActorError(ThornbackError):
    """Base of everything actors/ raises."""


class Rejected(ActorError):
    """A business refusal: the command is valid, the state does not allow it.

    Raised by a `@handles` method. Nothing is stored, the actor goes on, and the
    caller receives this same error with its reason.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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

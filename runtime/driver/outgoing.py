"""A batch of commands on its way from a driver."""

from typing import Any

from actors.actor import Actor
from runtime.driver.pending import Pending
from runtime.wire.commands import MAX_BYTES, MAX_COMMANDS, Answer, source_of_command


class Outgoing(Pending[Answer]):
    """Commands for one host that travel together, and the answer to come of them.

    Until it leaves, it is filled by one thread at a time: that of a bulk call, or those
    that hold the outbox's lock. Then it is the channel's, in the courier's loop.
    """

    __slots__ = (
        "actors", "bulk", "commands", "created_s", "deadline_s", "joined_until_s", "losses",
        "may_take_s", "patience_s", "setback", "size", "told_again", "want_events",
    )  # fmt: skip

    def __init__(self, patience_s: float, *, bulk: bool, want_events: bool) -> None:
        super().__init__("a batch of commands")
        self.commands: list[bytes] = []
        self.actors: set[type[Actor[Any]]] = set()
        self.size = 0
        self.patience_s = patience_s  #: from when it is sent until it has failed for good
        self.may_take_s = patience_s  #: until it ends in any case
        self.bulk = bulk
        self.want_events = want_events
        self.created_s = 0.0
        self.deadline_s = 0.0
        self.joined_until_s = 0.0
        self.setback: Exception | None = None  #: why it is to be sent again
        self.losses = 0  #: how often it was sent, and no answer came
        self.told_again = False  #: the host was told the classes of its actors once more

    @property
    def full(self) -> bool:
        """Is it time to send it?"""
        return len(self.commands) >= MAX_COMMANDS or self.size >= MAX_BYTES

    def add(self, packed: bytes) -> int:
        """Add a command; its index."""
        self.commands.append(packed)
        self.size += len(packed)
        return len(self.commands) - 1

    def what(self, index: int) -> str:
        """Whom a command is for."""
        return source_of_command(self.commands[index])

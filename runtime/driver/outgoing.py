"""A batch of commands on its way from a driver."""

import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from weakref import WeakSet

from actors.actor import Actor
from runtime.driver.pending import Pending
from runtime.errors import AskTimeout, ConnectionClosed
from runtime.wire.commands import (
    MAX_BYTES,
    MAX_COMMANDS,
    Answer,
    name_of_command,
    source_of_command,
)
from runtime.wire.error_codec import decode_error

logger = logging.getLogger("thornback.driver")


class Outgoing(Pending[Answer]):
    """Commands for one host that travel together, and the answer to come of them.

    Until it leaves, it is filled by one thread at a time: that of a bulk call, or those
    that hold the outbox's lock. Then it is the channel's, in the courier's loop.

    More than fifteen fields: there is one for every batch, and each is read in the hot path as it
    is, or where a batch is sent again.
    """

    __slots__ = (
        "actors", "bulk", "commands", "deadline_s", "divided", "heard_of", "ids",
        "introduced_again", "joined_until_s", "losses", "may_take_s", "patience_s", "routed",
        "sent", "setback", "size", "want_events", "whole", "without_answer",
    )  # fmt: skip

    def __init__(self, patience_s: float, *, bulk: bool, want_events: bool) -> None:
        super().__init__("a batch of commands")
        # What it carries, filled until it leaves:
        self.commands: list[bytes] = []  #: packed
        self.actors: set[type[Actor[Any]]] = set()  #: the host has to know these classes first
        self.size = 0  #: bytes of the commands
        self.ids: Iterator[bytes] = iter(())  #: of a bulk call's commands that bring none
        self.want_events = want_events  #: does anybody want to see them in the answer?
        # How long it may take, set once, by the outbox:
        self.patience_s = patience_s  #: from when it is sent until it has failed for good
        self.may_take_s = patience_s  #: until it ends in any case
        self.bulk = bulk  #: a bulk call's is sent again where single callers hear of a setback
        self.deadline_s = 0.0  #: after it, it is not sent again
        self.joined_until_s = 0.0  #: after it, no further command shares its deadline
        #: Of commands that have failed: those whose failure somebody was told. Any thread adds.
        self.heard_of: set[int] = set()
        # How it fares, in the loop alone:
        self.setback: Exception | None = None  #: why it is to be sent again
        self.sent = False  #: the host may have had it before
        self.losses = 0  #: how often it was sent, and no answer came
        self.introduced_again = False  #: the host was told the classes of its actors once more
        # Where its actors live:
        #: By which version of the table of shards its host was found; None: whoever fills it has
        #: made sure that it is the right one.
        self.routed: int | None = None
        self.divided = False  #: its commands travel in parts, which it ends with
        self.whole: Outgoing | None = None  #: that this is a part of
        #: Commands of which no host has said anything, though others of this batch were answered;
        #: why: what became of them is open.
        self.without_answer: dict[int, Exception] = {}

    def part(self, indexes: Sequence[int]) -> "Outgoing":
        """Some of its commands as a batch that has as long as it has."""
        part = Outgoing(self.patience_s, bulk=self.bulk, want_events=self.want_events)
        for index in indexes:
            part.add(self.commands[index])
        part.actors = set(self.actors)
        part.limit_s, part.may_take_s = self.limit_s, self.may_take_s
        part.deadline_s = self.deadline_s
        part.sent, part.losses = self.sent, self.losses
        part.heard_of.update(range(len(indexes)))  # whoever asked looks at the whole
        part.whole = self
        return part

    @property
    def ends_s(self) -> float:
        """When it ends in any case."""
        return self.deadline_s - self.patience_s + self.may_take_s

    @property
    def full(self) -> bool:
        """Is it time to send it?"""
        return len(self.commands) >= MAX_COMMANDS or self.size >= MAX_BYTES

    def add(self, packed: bytes) -> int:
        """Add a command; its index."""
        self.commands.append(packed)
        self.size += len(packed)
        return len(self.commands) - 1

    def heard(self, index: int) -> None:
        self.heard_of.add(index)

    def finish(self, answer: Answer | None, error: Exception | None) -> None:
        super().finish(answer, error)
        if self.want_events and self._failed():
            _watched.add(self)

    def left_behind(self, error: Exception) -> None:
        super().left_behind(error)
        self.heard_of.update(range(len(self.commands)))  # it is for the parent to say otherwise
        if self.whole is not None:
            self.whole.left_behind(error)

    def __del__(self) -> None:
        """Nobody can look at it any more: what was asked and has failed unheard is logged, as
        asyncio does. Once a batch, and nothing a command that has not failed."""
        if self.want_events and self.finished and not sys.is_finalizing():
            self.say_unheard()

    def say_unheard(self) -> None:
        """Log what was asked, has failed, and was heard by nobody; once."""
        unheard = [index for index in self._failed() if index not in self.heard_of]
        if not unheard:
            return
        first, others = unheard[0], len(unheard) - 1
        error = self.failure(first)
        more = f" (and {others} more that travelled with it)" if others else ""
        self.heard_of.update(unheard)
        if not isinstance(error, ConnectionClosed):
            said = "an ask of %s failed, and nobody looked at its reply%s: %s"
            if not self.want_events:
                said = said.replace("an ask of", "a command of a bulk call that was left, for")
            logger.warning(said, self.what(first), more, error)
        elif not self.bulk:  # whose caller hears it himself
            logger.warning(
                "an ask of %s was unanswered when its connection was closed, and nobody waited for "
                "its reply%s: it may never have been sent. Say .result() or await, or flush() "
                "before you close", self.what(first), more,
            )  # fmt: skip

    def failure(self, index: int) -> Exception:
        """Why a command has failed, for whoever asked."""
        if self.answer is not None:
            return decode_error(self.answer.errors[index])
        error = super().failure(index)
        if isinstance(error, AskTimeout):
            what, to = name_of_command(self.commands[index])
            return AskTimeout(what, error.timeout_s, to, error.doing)
        return error

    def _failed(self) -> Iterable[int]:
        """The commands that have failed, once it is finished."""
        return self.answer.errors if self.answer is not None else range(len(self.commands))

    def what(self, index: int) -> str:
        """Whom a command is for."""
        return source_of_command(self.commands[index])

    def asked(self, index: int) -> str:
        if not self.commands:
            return self.name
        return "{1} for {0}".format(*name_of_command(self.commands[index]))


class _Watched:
    """Batches that hold a failure, for as long as anybody can look at them. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards what follows
        self._failed: WeakSet[Outgoing] = WeakSet()

    def add(self, outgoing: Outgoing) -> None:
        with self._lock:
            self._failed.add(outgoing)

    def left_behind(self) -> None:
        """This process was forked: what has failed is for its parent to say."""
        self._lock, self._failed = threading.Lock(), WeakSet()

    def say(self) -> None:
        with self._lock:
            failed = list(self._failed)
        for outgoing in failed:
            outgoing.say_unheard()


_watched = _Watched()


os.register_at_fork(after_in_child=_watched.left_behind)


def say_unheard_at_exit() -> None:
    """The program ends: what has failed, and is kept where nobody looked, is logged."""
    _watched.say()

"""The messages that were read from the log and are not finished: whose turn it is, and how far the
log is worked off.

Of one receiver, what was sent has to be answered before the next of it is sent. So its messages
take effect in the order of the log, whatever fails on the way; and those of different receivers do
not wait for one another.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from actors.event import Event

Way = TypeVar("Way", bound=Hashable)


class Message:
    """One event of the log that is delivered as a command."""

    __slots__ = ("event", "finished", "packed", "receiver", "size")

    def __init__(self, event: Event, receiver: str, packed: bytes) -> None:
        self.event = event
        self.receiver = receiver  #: its source
        self.packed = packed  #: the command
        self.size = len(packed)
        self.finished = False


class Batch(Protocol):
    """What travels together. What Outgoing is."""

    @property
    def full(self) -> bool:
        """Does nothing more go in?"""

    def add(self, packed: bytes) -> int:
        """Put a command in."""


class Mailing(Generic[Way]):
    """Messages by receiver, and receivers by the way to their host."""

    #: Messages, or bytes of their commands, that may be unfinished; a page more or less.
    MESSAGES, BYTES = 20_000, 64 * 1024 * 1024

    def __init__(self, position: int) -> None:
        self.position = position  #: all up to there is finished
        self.size = 0  #: bytes of the commands of what is not
        #: What was read, in order; behind the messages of each event, and behind each page, up to
        #: where that reaches, and the event.
        self._order: deque[Message | tuple[int, Event | None]] = deque()
        self._unsent: dict[str, deque[Message]] = {}  # by receiver
        self._way: dict[str, Way] = {}  # to each receiver of what is unsent or sent
        #: Receivers whose turn it is, by way, in order; nothing of theirs is under way.
        self._ready: dict[Way, dict[str, None]] = {}
        self._busy: set[str] = set()  # something of theirs is under way, or they rest
        self.unfinished = 0

    @property
    def has_room(self) -> bool:
        """May another page be read?"""
        return self.unfinished < self.MESSAGES and self.size < self.BYTES

    def add(self, message: Message, way: Way) -> None:
        """The next message; of one event there may be several, or none."""
        self._order.append(message)
        self.unfinished += 1
        self.size += message.size
        self.queue(message, way)

    def queue(self, message: Message, way: Way) -> None:
        """The next message of its receiver, of no event: no position waits for it."""
        receiver = message.receiver
        unsent = self._unsent.setdefault(receiver, deque())
        if unsent:  # it is ready on one way alone
            way = self._way.get(receiver, way)
        self._way[receiver] = way
        unsent.append(message)
        if receiver not in self._busy:
            self._ready.setdefault(way, {})[receiver] = None

    def passed(self, through: int, event: Event | None = None) -> None:
        """There is no other message up to this position, and none of this event."""
        self._order.append((through, event))

    def ways(self) -> list[Way]:
        """Those on which there is something to be sent."""
        return [way for way, receivers in self._ready.items() if receivers]

    def take(self, way: Way, batch: Batch) -> list[Message]:
        """What is to travel next on a way is put into a batch, as much as goes in. Its receivers
        are busy until `answered`."""
        taken: list[Message] = []
        receivers = self._ready.get(way, {})
        while receivers and not batch.full:
            receiver = next(iter(receivers))
            del receivers[receiver]
            self._busy.add(receiver)
            unsent = self._unsent[receiver]
            while unsent and not batch.full:
                taken.append(unsent.popleft())
                batch.add(taken[-1].packed)
        return taken

    def answered(self, receivers: Iterable[str]) -> None:
        """Nothing of theirs is under way any more, and they do not rest: it is their turn if they
        have something left."""
        for receiver in receivers:
            self._busy.discard(receiver)
            if self._unsent.get(receiver):
                self._ready.setdefault(self._way[receiver], {})[receiver] = None
            else:
                self._unsent.pop(receiver, None)
                self._way.pop(receiver, None)

    def withdraw(self, way: Way) -> list[Message]:
        """What was queued on a way, and is not sent: it is not here any more. For messages of no
        event alone."""
        found: list[Message] = []
        for receiver in [receiver for receiver, its in self._way.items() if its == way]:
            found += self._unsent.pop(receiver, ())
            if receiver not in self._busy:
                del self._way[receiver]
        self._ready.pop(way, None)
        return found

    def put_back(self, messages: Sequence[Message]) -> None:
        """These were taken last of all of their receivers, in this order, and are to be sent again;
        their receivers are busy still."""
        for message in reversed(messages):
            self._unsent.setdefault(message.receiver, deque()).appendleft(message)

    def finish(self) -> tuple[list[Event], int]:
        """What is finished now of the beginning of all that was read: the events, and the position
        up to which there is nothing else. They are told once."""
        events: list[Event] = []
        order = self._order
        while order:
            first = order[0]
            if isinstance(first, Message):
                if not first.finished:
                    break
                self.unfinished -= 1
                self.size -= first.size
            else:
                through, event = first
                self.position = max(self.position, through)
                if event is not None:
                    events.append(event)
            order.popleft()
        return events, self.position

"""What the log says of messages between actors, and what comes back of one that was refused.

An actor's handler yields a Tell (actors/tell.py); it becomes a MessageSent of that actor, committed
with the events that it was yielded beside. Whoever delivers it (runtime/processing/delivery.py)
writes a MessageReturned where the receiver has refused it, or cannot process it, and its sender
then has it back as a MessageRefused.
"""

from typing import Any

from actors.command import Command
from actors.event import SystemEvent
from actors.naming import OURS


class Yielded:
    """What a handler yields beside payloads: a Tell, a Schedule or a Cancel."""

    __slots__ = ()


class MessageSent(SystemEvent):
    """A message is on its way. Its sender is the event's source; no state depends on it, but an
    actor may apply it."""

    to: str  #: the source of the receiver
    message_type: str
    message: dict[str, Any]  #: its data
    returns: bool = True  #: is there an actor who may have it back?


class MessageReturned(SystemEvent):
    """A message has had no effect, and never will have one."""

    sender: str
    to: str
    message_type: str
    message: dict[str, Any]  #: empty where an event would be too large with it: `sent` has it
    sent: str  #: the id of its MessageSent
    error: str  #: the name of what was raised at the receiver: Rejected, HandlerFailed, ...
    reason: str
    returns: bool = True


class MessageRefused(Command):
    """A message of this actor was rejected by its receiver, or cannot be processed there: it comes
    back to the `@handles` of this class, where the sender has one."""

    to: str  #: the source of the receiver
    refused: str  #: the message's type
    message: dict[str, Any]  #: its data, as it was sent; empty for one of almost a mebibyte
    error: str  #: the name of what was raised at the receiver: Rejected, HandlerFailed, ...
    reason: str


#: Their event types.
SENT, RETURNED = MessageSent.event_type, MessageReturned.event_type

#: What the returned messages of a system are events of.
RETURNS_SOURCE = f"{OURS}/returned"

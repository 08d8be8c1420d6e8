"""Commands by the names of their types and in plain values, for callers without the classes.

What a host makes of them is the same: it knows the class, checks the values against the message
and answers InvalidMessage where they do not fit.
"""

from typing import Any, NamedTuple

from actors.naming import checked_type_name
from runtime.driver.connection import Connection
from runtime.driver.reply import Reply
from runtime.wire.answers import AnsweredRows, raise_error, read_rows, unpack_state
from runtime.wire.commands import STATE, Answer


class PlainState(NamedTuple):
    """An actor's durable state in JSON's types, after its event `version`."""

    version: int
    state: Any


class PlainCommand(NamedTuple):
    """One command: for whom, what, in JSON's types, its id and when it happened."""

    source: str
    message_type: str
    data: Any
    id: bytes
    at_us: int  #: Unix microseconds

    def fields(self) -> tuple[Any, ...]:
        """As it travels (wire/commands.py). Raises InvalidName for a message type that is none."""
        return (
            self.source, checked_type_name(self.message_type), self.id, self.at_us, self.data,
            None, None,
        )  # fmt: skip


def ask_plain(connection: Connection, command: PlainCommand) -> Reply[AnsweredRows]:
    """Send a command; the reply is its events as rows, committed. Raises InvalidName,
    InvalidMessage and ConnectionClosed; the reply raises what that of ActorRef.ask does."""
    outgoing, index = connection.channels.add(command.fields(), None, want_events=True)
    return Reply(outgoing, index, read_rows)


def plain_state(connection: Connection, source: str) -> Reply[PlainState]:
    """An actor's state, as ActorRef.state gives it, with its version."""
    now_us = connection.world.now_us()
    fields = (source, STATE, connection.new_id(), now_us, None, None, None)
    outgoing, index = connection.channels.add(fields, None, want_events=True)
    return Reply(outgoing, index, _read_state)


def _read_state(answer: Answer, index: int) -> PlainState:
    raise_error(answer, index)
    return PlainState(**unpack_state(answer, index))

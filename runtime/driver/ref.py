"""References to actors: where a driver speaks to one."""

import os
import threading
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar
from uuid import UUID

from pydantic import ValidationError

from actors.actor import Actor, Command
from actors.event import Event
from runtime.driver.channel import Channel
from runtime.driver.connection import Connection, open_connection
from runtime.driver.directory_link import join
from runtime.driver.outbox import Rerouted
from runtime.driver.outgoing import Outgoing
from runtime.driver.reply import Reply
from runtime.driver.validation import check_message, id_bytes, moment_us
from runtime.errors import InvalidState
from runtime.topology.placement import shard_of
from runtime.wire.answers import raise_error, read_events, unpack_state
from runtime.wire.commands import STATE, Answer
from runtime.wire.values import members

S = TypeVar("S")

#: How long a process that a ref arrives in may take to join the system.
_JOIN_S = 30.0


class _Joined:
    """The connections that this process has because refs arrived in it: one a namespace."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # guards what follows
        self.connections: dict[str, Connection] = {}  # kept, because nobody else keeps them

    def left_behind(self) -> None:
        """This process was forked: they are its parent's, and so is whoever joins just now."""
        self.lock, self.connections = threading.Lock(), {}


_joined = _Joined()
os.register_at_fork(after_in_child=_joined.left_behind)


class ActorRef(Generic[S]):
    """One actor, by name. Making a ref does no I/O, and costs the actor nothing."""

    __slots__ = ("_way", "actor", "connection", "source")

    def __init__(self, connection: Connection, actor: type[Actor[S]] | None, source: str) -> None:
        self.connection = connection
        self.actor = actor
        self.source = source
        self._way: tuple[Channel, int] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """A ref may be sent to a Ray task: it arrives with that process's own connection."""
        return _arrived, (self.connection.namespace, self.actor, self.source)

    def __repr__(self) -> str:
        return f"ActorRef({self.source})"

    if not TYPE_CHECKING:  # which says so, too, and at the line

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(
                f"{self.source} is far away, and its ref has no {name!r}: send it a command, "
                ".ask(...), and read its state with .state().result()"
            )

    @property
    def name(self) -> str:
        """The device's name: the source without its actor type."""
        return self.source.partition("/")[2]

    @property
    def shard(self) -> int:
        """The shard of this actor, fixed for ever: it lives where its shard does, until that moves
        (ActorSystem.move_shards)."""
        return shard_of(self.source)

    @property
    def channel(self) -> Channel:
        """The way to the host of this actor."""
        return self.way[0]

    @property
    def way(self) -> tuple[Channel, int]:
        """The same, and by which version of the table of shards."""
        way = self._way
        if way is None or way[0].routed != way[1]:
            way = self._way = self.connection.channels.way(self.source, self.actor)
        return way

    def ask(
        self,
        message: Command,
        *,
        id: UUID | bytes | None = None,
        at: datetime | int | None = None,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
    ) -> Reply[list[Event]]:
        """Send a message; the reply is the list of its events, committed.

        `id` is the command's idempotency key, fresh unless given: one id takes effect
        once, for ever, and a repeat is answered with the events of the first run. `at` is
        when it happened (an aware datetime or Unix microseconds), now unless given.

        Raises InvalidMessage for what cannot be sent, InvalidActor for a class that cannot,
        and ConnectionClosed. The reply raises Rejected, UnknownActorType,
        UnknownMessage, InvalidMessage, InvalidData, RowsRefused, HandlerFailed, ActorStopped,
        ActorRestarting, RetriesExhausted, HostFailed, MailboxFull, AskTimeout, HostUnavailable or
        StoreUnavailable.
        """
        fields = self.fields(message, id, at, correlation_id, causation_id)
        outgoing, index = self.add(fields, want_events=True)
        return Reply(outgoing, index, read_events)

    def tell(
        self,
        message: Command,
        *,
        id: UUID | bytes | None = None,
        at: datetime | int | None = None,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
    ) -> None:
        """Send a message and go on. It is delivered like an `ask`; if it fails, that is
        logged and counted (`ActorSystem.flush` waits for all and returns the failures)."""
        fields = self.fields(message, id, at, correlation_id, causation_id)
        outgoing, index = self.add(fields, want_events=False)
        self.connection.watch(outgoing, index)

    def state(self) -> Reply[S]:
        """A read-only copy of the actor's state, after everything that was sent before
        and only of what is durable. Plain values where the class is not known here. The
        reply raises InvalidState for a state that has no form in JSON, or that does not fit
        the class that is."""
        fields = (
            self.source,
            STATE,
            self.connection.new_id(),
            self.connection.world.now_us(),
            None,
            None,
            None,
        )
        outgoing, index = self.add(fields, want_events=True)
        return Reply(outgoing, index, self._read_state)

    def add(self, fields: tuple[Any, ...], *, want_events: bool) -> tuple[Outgoing, int]:
        """Put a command, as it travels, into the batch that leaves next for wherever this actor
        lives by then. Raises what Channels.add raises."""
        while True:
            channel, routed = self.way
            with suppress(Rerouted):
                return channel.add(fields, self.actor, want_events=want_events, routed=routed)

    def fields(
        self,
        message: Command,
        id: UUID | bytes | None = None,
        at: datetime | int | None = None,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
    ) -> tuple[Any, ...]:
        """The command as it travels (wire/commands.py). Raises InvalidMessage."""
        check_message(message, self.source)
        of = self.source, message.message_type
        return (
            self.source,
            message.message_type,
            self.connection.new_id() if id is None else id_bytes(id, *of),
            self.connection.world.now_us() if at is None else moment_us(at, *of),
            members(message),
            None if correlation_id is None else id_bytes(correlation_id, *of, "correlation id"),
            None if causation_id is None else id_bytes(causation_id, *of, "causation id"),
        )

    def _read_state(self, answer: Answer, index: int) -> S:
        raise_error(answer, index)
        state = unpack_state(answer, index)["state"]
        if self.actor is None:
            return state  # type: ignore[no-any-return]
        try:
            return self.actor.described().states.of_plain(state)  # type: ignore[no-any-return]
        except ValidationError as error:
            raise InvalidState(self.source, f"does not fit the class here: {error}") from error


def _arrived(namespace: str, actor: type[Actor[Any]] | None, source: str) -> ActorRef[Any]:
    """A ref in the process that it was sent to. Raises what `ActorSystem.connect` does."""
    with _joined.lock:
        connection = open_connection(namespace)
        if connection is None:
            connection = _joined.connections[namespace] = Connection(join(namespace, _JOIN_S))
    return ActorRef(connection, actor, source)

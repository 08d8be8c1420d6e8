"""The actor system, as a driver sees it: connect or launch, then speak to actors."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, TypeVar, overload

import ray

from actors.actor import Actor
from actors.event import Event
from actors.moments import microseconds
from actors.naming import actor_type_of, checked_type_name, source_of
from runtime import bulk
from runtime.access import open_store
from runtime.bulk import Item, Told
from runtime.channel import Channel
from runtime.courier import Courier
from runtime.directory import DIRECTORY_ACTOR, shard_of, start_directory
from runtime.errors import LaunchFailed, SystemNotFound, decode_error
from runtime.outcome import read_events
from runtime.outgoing import Outgoing, Reply
from runtime.peers import Peers
from runtime.publishing import publish_command
from runtime.ref import ActorRef
from runtime.settings import Settings
from runtime.subscription import Subscription
from store.event_store import EventStore, Selection

logger = logging.getLogger("thornback.driver")

S = TypeVar("S")


class ActorSystem:
    """A connection to a running system. Use `connect` or `launch`; close it, or use it as
    a context manager, to end the connection (the system itself runs on)."""

    MAX_FAILURES = 10_000

    def __init__(self, directory: Any, topology: dict[str, Any]) -> None:
        self.settings = Settings.model_validate_json(topology["settings"])
        self.namespace = self.settings.actor_system.namespace
        self.courier = Courier(self.settings, directory)
        self.peers = Peers(self.namespace)
        self.new_id = self.courier.new_id
        self._directory = directory
        self._hosts: list[str] = topology["hosts"]
        self._placement = dict(self.settings.actor_system.placement)
        self._told: dict[Outgoing, list[int]] = {}
        self._failures: list[tuple[str, Exception]] = []
        self._lock = threading.Lock()

    @classmethod
    def connect(cls, namespace: str = "thornback", *, timeout_s: float = 30.0) -> Self:
        """Connect to the system of a namespace, on the Ray this process is connected to
        (or on the one that `RAY_ADDRESS` or the machine offers). Raises SystemNotFound."""
        if not ray.is_initialized():
            try:
                ray.init(address="auto", log_to_driver=False)
            except ConnectionError as error:
                raise SystemNotFound(namespace) from error
        try:
            directory = ray.get_actor(DIRECTORY_ACTOR, namespace=namespace)
        except ValueError as error:
            raise SystemNotFound(namespace) from error
        return cls._of(directory, timeout_s)

    @classmethod
    def launch(cls, settings: Settings | None = None, *, timeout_s: float = 90.0) -> Self:
        """Start the topology as detached, named actors and connect to it. Where it runs
        already this only connects. Starts a local Ray if there is none.

        Raises LaunchFailed with the reason, after stopping what was started.
        """
        settings = settings or Settings.load()
        if not ray.is_initialized():
            ray.init(log_to_driver=False)
        directory = start_directory(settings)
        try:
            return cls._of(directory, timeout_s)
        except LaunchFailed:
            ray.get(directory.stop.remote(1.0))
            ray.kill(directory, no_restart=True)
            raise

    @classmethod
    def _of(cls, directory: Any, timeout_s: float) -> Self:
        try:
            topology = ray.get(directory.launch.remote(), timeout=timeout_s)
        except ray.exceptions.RayError as error:
            raise LaunchFailed(f"the directory does not answer: {error}") from error
        if isinstance(topology, tuple):
            raise LaunchFailed(*topology[1])
        return cls(directory, topology)

    @overload
    def actor(self, actor: type[Actor[S]], name: str) -> ActorRef[S]: ...
    @overload
    def actor(self, actor: str, name: str) -> ActorRef[Any]: ...
    def actor(self, actor: type[Actor[Any]] | str, name: str) -> ActorRef[Any]:
        """The actor `name` of a class, or of a type name the hosts know. No I/O yet.

        Raises InvalidName, or InvalidActor for a class that is not well formed.
        """
        if isinstance(actor, str):
            return ActorRef(self, None, source_of(checked_type_name(actor), name))
        actor.described()
        return ActorRef(self, actor, source_of(actor.actor_type, name))

    def ask_many(
        self, items: Iterable[Item], *, patience_s: float = 60.0, ahead: int = 20_000
    ) -> Iterator[Reply[list[Event]]]:
        """Ask many actors: items are `(ref, message)` or `Send`. Yields the replies in the
        order of the items, each done when it is yielded.

        At most `ahead` items are read before the first unanswered one. Hosts and database
        may go away for up to `patience_s` after a batch was sent; its commands are then sent
        again with their ids. What is unanswered then fails, and its outcome is open.
        """
        return bulk.ask_many(items, patience_s, ahead)

    def tell_many(
        self,
        items: Iterable[Item],
        *,
        patience_s: float = 60.0,
        progress: Callable[[Told], None] | None = None,
    ) -> Told:
        """Send many commands and return when every one is durable, refused or failed.

        `progress` is called after each answered batch. Blocks the caller while too much is
        unanswered, so the iterable may be endless data. Otherwise like `ask_many`.
        """
        return bulk.tell_many(items, patience_s, self.courier.loop.time, progress)

    def publish(self, event: Event) -> Reply[list[Event]]:
        """Put an event from outside any actor into the log (Event.of makes one).

        It becomes its source's next version; its id makes a repeat harmless. The reply is
        the event as committed. Raises InvalidData; the reply raises PublishRefused where
        the source belongs to an actor.
        """
        source, message_type, event_id, data = publish_command(event)
        correlation, causation = event.correlation_id, event.causation_id
        fields = (
            source,
            message_type,
            event_id,
            microseconds(event.timestamp),
            data,
            correlation.bytes if correlation else None,
            causation.bytes if causation else None,
        )
        outgoing, index = self.channel_of(source, None).add(fields, None, want_events=True)
        return Reply(outgoing, index, read_events)

    def subscribe(
        self,
        event_types: str | Iterable[str] = "*",
        *,
        sources: str | Iterable[str] = "*",
        after: int | None = None,
    ) -> Subscription:
        """A stream of events: those after position `after` first (0: from the start of
        the log), then live; without `after` those committed from now on.

        `*` in an event type or source stands for any text.
        """
        return Subscription(
            self, Selection(event_types=_globs(event_types), sources=_globs(sources)), after
        )

    def flush(self) -> list[tuple[str, Exception]]:
        """Wait until everything sent so far is answered; the failures of `tell` since the
        last flush, as (source, error), the first 10,000 of them (all are logged)."""
        for channel in self.courier.channels():
            self.courier.run(channel.flushed()).result()
        with self._lock:
            failures, self._failures = self._failures, []
        return failures

    def status(self) -> list[dict[str, Any]]:
        """What every process of the system says of itself."""
        return ray.get(self._directory.statuses.remote())  # type: ignore[no-any-return]

    def drain(self, *, timeout_s: float = 60.0) -> dict[str, Any]:
        """Flush hosts and writer, then stop every process of the system, and the embedded
        database. Nothing that was acknowledged or accepted is lost."""
        drained: dict[str, Any] = ray.get(self._directory.stop.remote(timeout_s))
        ray.kill(self._directory, no_restart=True)
        self.close()
        return drained

    async def open_store(self) -> EventStore:
        """The event store of this system, opened for the caller. Raises StoreUnavailable."""
        return await open_store(self.settings)

    def close(self) -> None:
        """End this connection. Unanswered replies fail with HostUnavailable."""
        self.courier.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def channel_of(self, source: str, actor: type[Actor[Any]] | None) -> Channel:
        """The way to the host of a source: its own if its type is placed so, otherwise
        the host of its shard."""
        if self._placement.get(actor_type_of(source)) == "dedicated":
            return self.courier.channel(source, dedicated=True, actor=actor)
        return self.courier.channel(self._hosts[shard_of(source) % len(self._hosts)])

    def watch(self, outgoing: Outgoing, index: int) -> None:
        """Notice if a `tell` fails."""
        with self._lock:
            indexes = self._told.get(outgoing)
            if indexes is not None:
                indexes.append(index)
                return
            self._told[outgoing] = [index]
            outgoing.on_finish = self._told_finished
        if outgoing.finished:
            self._told_finished(outgoing)

    def _told_finished(self, outgoing: Outgoing) -> None:
        with self._lock:
            indexes = self._told.pop(outgoing, [])
        for index in indexes:
            error = outgoing.error
            if outgoing.answer is not None and index in outgoing.answer.errors:
                error = decode_error(outgoing.answer.errors[index])
            if error is not None and (outgoing.answer is None or index in outgoing.answer.errors):
                logger.warning("tell to %s failed: %s", outgoing.source(index), error)
                with self._lock:
                    if len(self._failures) < self.MAX_FAILURES:
                        self._failures.append((outgoing.source(index), error))


def _globs(globs: str | Iterable[str]) -> tuple[str, ...]:
    found = (globs,) if isinstance(globs, str) else tuple(globs)
    return () if "*" in found else found

"""Actors that listen: events of the log are posted to them, each as a command of its own.

What the actor decides commits like what it decides of any command, with the event for its cause.
The command's id derives from the event's, the actor and the method, so it takes effect once.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from actors.actor import Actor
from actors.actor_type import ActorType, Listener
from actors.event import Event
from actors.listening import told_event
from actors.naming import source_of
from runtime.driver.connection import Connection
from runtime.driver.hosts import Hosts
from runtime.host.failing_code import own_frames
from runtime.host.resident import FAILURES
from runtime.process.world import World
from runtime.processing.letters import derived
from runtime.processing.mailing import Message
from runtime.processing.posting import CLASS_AWAY, Elsewhere, Letter, Posting
from runtime.settings.settings import Settings
from runtime.topology.status import WorkerFacts
from runtime.wire.error_codec import EncodedError, decode_error, text_of_error
from store.event_store import EventStore
from store.selection import Selection
from store.slots import SLOTS

logger = logging.getLogger("thornback.processing")


def selection_of_listeners(actor: ActorType) -> Selection:
    """What an actor type selects: all that any of its methods may want."""
    types: set[str] = set()
    sources: set[str] = set()
    anywhere = False
    for listener in actor.listeners:
        types |= set(listener.listening.event_types)
        sources |= set(listener.listening.sources)
        anywhere |= not listener.listening.sources
    return Selection(
        event_types=() if "*" in types else tuple(sorted(types)),
        sources=() if anywhere or "*" in sources else tuple(sorted(sources)),
    )


class Hearing(Posting):
    """One actor type, all of whose actors are listening."""

    #: Whoever has them listen has made it (making_slots.py).
    MAKES = False
    #: Also where its host has an older class, without the method.
    AWAY = (*CLASS_AWAY, "UnknownMessage")

    def __init__(
        self,
        actor: type[Actor[Any]],
        code: bytes,
        after: int,
        *,
        fingerprint: str,
        world: World,
        settings: Settings,
        store: EventStore,
        connect: Callable[[], Connection],
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`code` is what hosts are brought that do not know the class."""
        known = actor.described()
        super().__init__(
            known.name, selection_of_listeners(known), after,
            world=world, settings=settings, store=store, connect=connect, elsewhere=elsewhere,
        )  # fmt: skip
        self._code = code
        self._listeners = known.listeners
        self._own = f"{known.name}/"
        self._resumed = asyncio.Event()
        self._skips = False
        self.facts = WorkerFacts(
            program=known.name, slots=SLOTS, workers=1, fingerprint=fingerprint
        )

    @property
    def slot_names(self) -> frozenset[str]:
        """What its checkpoint is called."""
        return frozenset((self.name,))

    def all_facts(self) -> WorkerFacts:
        """What there is to say of it."""
        facts: WorkerFacts = self.facts
        return facts

    def resume(self, *, skip: bool) -> None:
        """After a pause: ask again whose the event is at which it stands, or pass it over."""
        self._skips = skip
        self._resumed.set()

    async def _letters(self, events: list[Event]) -> list[Sequence[Letter]]:
        return [await self._heard_by(event) for event in events]

    async def _heard_by(self, event: Event) -> Sequence[Letter]:
        if event.source.startswith(self._own) or event.erased:
            return ()  # of its own, it would never come to an end
        while True:
            try:
                return list(self._posted(event))
            except FAILURES as error:
                if isinstance(error, asyncio.CancelledError | GeneratorExit):
                    raise
                self._stand(event, error)
            self._stands = True
            self._turned.set()
            self._resumed.clear()
            await self._resumed.wait()
            self._stands = False
            self._say(paused=False, trouble=None)
            if self._skips:
                return ()

    def _posted(self, event: Event) -> Iterator[Letter]:
        told: dict[str, Any] | None = None
        correlation = event.correlation_id
        for listener in self._listeners:
            if not listener.listening.wants(event):
                continue
            for name in listener.listening.names(event):
                told = told or told_event(event)
                receiver = source_of(self.name, name)
                packed = self._packer.pack(
                    (
                        receiver,
                        listener.message_type,
                        self._id(event, listener, receiver),
                        event.timestamp_us,
                        told,
                        None if correlation is None else correlation.bytes,
                        event.id_bytes,
                    )
                )
                yield receiver, packed

    def _id(self, event: Event, listener: Listener, receiver: str) -> bytes:
        return derived(event.id_bytes, f"{receiver} {listener.message_type}".encode())

    def _stand(self, event: Event, error: BaseException) -> None:
        """Whose the event is cannot be said: it stands there until it is resumed."""
        what = f"at event {event.id} ({event.event_type} of {event.source}): {text_of_error(error)}"
        logger.error("%s fails %s", self.name, what, exc_info=error)
        self._say(
            paused=True,
            failures=self.facts.failures + 1,
            trouble=f"fails {what} [{'; '.join(own_frames(error))}]",
        )

    def _refused(self, message: Message, encoded: EncodedError) -> None:
        """An actor that rejects what it hears does not want it; what fails is a dead letter."""
        message.finished = True
        if encoded[0] == "Rejected":
            return
        event, error = message.event, decode_error(encoded)
        self._say(failures=self.facts.failures + 1)
        logger.error(
            "%s: a dead letter, event %s (%s of %s): %s", message.receiver, event.id,
            event.event_type, event.source, error,
        )  # fmt: skip

    async def _bring(self, hosts: Hosts, receiver: str) -> bool:
        await hosts.offer(receiver, self._code)
        return True

    async def _bring_from(self, known: Hosts, hosts: Hosts, receiver: str) -> bool:
        return await self._bring(hosts, receiver)

    def _count(self, answered: int) -> None:
        self._say(events=self.facts.events + answered)

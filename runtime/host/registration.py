"""The actor classes that one host decides by, and how they come to it.

It imports those of its modules and is made with the one that it is dedicated to; drivers and
gateways bring others while it runs. Whatever comes while it runs is held against the log before it
decides anything (runtime/host/type_checks.py); what was there before is, when it starts.
"""

import importlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

from actors.actor import Actor, ActorType
from actors.errors import InvalidActor
from actors.naming import actor_type_of
from runtime.host.actor_types import ActorTypes, described_or_why
from runtime.host.class_loading import loaded_class
from runtime.host.code_stamp import stamp_of
from runtime.host.decision import Decider
from runtime.host.past_events import check_history
from runtime.host.resident import FAILURES
from runtime.host.residents import Residents
from runtime.host.type_checks import NOTHING_KNOWN, check_types, held_against
from runtime.host.type_descriptions import describe
from runtime.topology.status import TypeCode
from runtime.wire.actor_code import ActorCode
from runtime.wire.class_shipping import fingerprint_here
from runtime.wire.error_codec import text_of_error
from runtime.wire.type_descriptions import TypeDescription
from store.event_store import EventStore

logger = logging.getLogger("thornback.host")


class Registration:
    """All that a host knows of classes. `begin` comes before `register`, `offer` and `describe`."""

    def __init__(self, host: str, *, refuse_changed: bool = False) -> None:
        """`refuse_changed` says what is done with a class that changes a schema without a word."""
        self._host = host  #: its name, for the log
        self._refuse_changed = refuse_changed
        self.types = ActorTypes()
        self.unusable: str | None = None  #: why one of its modules cannot be used
        #: Is told the actor type of each class that comes while it runs.
        self.on_class: Callable[[str], None] = lambda actor_type: None
        #: Fingerprints by actor type: of each class that was sent, and of those that it has
        #: imported as they are asked for.
        self._fingerprints: dict[str, str] = {}
        #: Of those that it has imported: a stamp of the files that they came from.
        self._stamps: dict[str, str] = {}
        self._decider: Decider | None = None  #: from `begin` on, as the next two
        self._store: EventStore
        self._residents: Residents

    def know_module(self, module: str) -> None:
        """Import a module and know its actor classes; `unusable` says why that does not work."""
        try:
            found = importlib.import_module(module)
        except FAILURES as error:  # of a user's module: whatever it does when it is imported
            self.unusable = (
                f"actor_system.actor_modules names {module!r}, which cannot be imported here "
                f"({text_of_error(error)}): correct the name, install it where the hosts run, or "
                "launch with a working directory that has it"
            )
            return
        actors = [each for each in vars(found).values() if _is_actor_class(each)]
        stamp = stamp_of([module, *(actor.__module__ for actor in actors)]) if actors else ""
        for actor in actors:
            self._know_class(module, actor)
            self._stamps[actor.actor_type] = stamp
        if not actors:
            said = "actor_system.actor_modules names %r, which has no actor class"
            logger.warning(said, module)

    def know_own(self, actor: bytes) -> None:
        """Know the class of the actor that this host is dedicated to. One that cannot be loaded
        does not end the host: `register` tells the driver that brings it, and whoever comes
        without one is told that the type is unknown."""
        try:
            self._take(loaded_class(actor), ActorCode.unpack(actor).fingerprint, actor)
        except InvalidActor as error:
            logger.warning("%s: %s", self._host, error)

    async def begin(
        self, store: EventStore, residents: Residents, decider: Decider, source: str | None
    ) -> None:
        """There is a log: hold against it the classes that came before. Of a host that is dedicated
        to `source`, that is the one of its type. Raises StoreUnavailable."""
        self._store, self._residents, self._decider = store, residents, decider
        types = self.types.described()
        blocked = residents.work.blocked
        blocked.know_codes(self._decides_by, [one.name for one in types])
        if source is not None:
            types = [one for one in types if one.name == actor_type_of(source)]
        for problem in (await self._check(store, types, decider)).values():
            logger.error("%s: %s", self._host, problem)
            self.types.refuse(problem)
            self._fingerprints.pop(problem.actor, None)

    async def register(self, actor: bytes) -> None:
        """Know a class from now on, instead of another of its type (`Host.register`)."""
        await self._register(actor, over=True)

    async def offer(self, actor_type: str, actor: bytes) -> None:
        """Know a class, unless one of its type is known (`Host.offer`)."""
        if self.types.get(actor_type) is None:
            await self._register(actor, over=False)

    def describe(self, known: Mapping[str, str]) -> list[TypeDescription]:
        """The actor types, less those whose fingerprint is the `known` one."""
        return [
            describe(each, code, self.types.sent.get(each.name))
            for each in self.types.described()
            if (code := self._code_of(each)).fingerprint != known.get(each.name)
        ]

    def code(self) -> tuple[TypeCode, ...]:
        """By which code each actor type is decided."""
        return tuple(map(self._code_of, self.types.described()))

    def _decides_by(self, actor_type: str) -> str:
        """What tells its code from any other's of the same kind; empty for an unknown type. Any
        thread may ask."""
        if actor_type in self.types.sent:
            return self._fingerprints.get(actor_type, "")
        return self._stamps.get(actor_type, "")

    def _know_class(self, module: str, actor: type[Actor[Any]]) -> None:
        try:
            self.types.register(actor)
        except InvalidActor as error:
            self.unusable = (
                f"actor_system.actor_modules names {module!r}, whose class {actor.__name__} is "
                f"refused ({error}): correct it, and launch again"
            )

    async def _register(self, actor: bytes, *, over: bool) -> None:
        fingerprint = ActorCode.unpack(actor).fingerprint
        if fingerprint in self._fingerprints.values():
            return
        known = loaded_class(actor)
        described = described_or_why(known)
        assert self._decider is not None
        if (resident := self._residents.one_of(described.name)) is not None:
            work = self._residents.work
            await check_history(self._store, resident.source, described, work, fingerprint)
        wrong = await self._check(self._store, [described], self._decider)
        if not over and self.types.get(described.name) is not None:
            return
        # What the class before it has yielded meanwhile is to fit, too: from here on nothing
        # of that class is decided.
        if misfit := held_against(described, NOTHING_KNOWN, self._decider.met):
            wrong[described.name] = misfit
        for problem in wrong.values():
            raise problem
        self._take(known, fingerprint, actor)

    async def _check(
        self, store: EventStore, types: Iterable[ActorType], decider: Decider
    ) -> dict[str, InvalidActor]:
        return await check_types(store, types, decider.met, refuse_changed=self._refuse_changed)

    def _take(self, known: type[Actor[Any]], fingerprint: str, packed: bytes) -> None:
        replaced = self.types.register(known)
        if replaced is not None:
            logger.info(
                "%s: %s is decided by code %.10s from now on, and no more by %.10s", self._host,
                known.actor_type, fingerprint, self._fingerprints.get(known.actor_type, "another"),
            )  # fmt: skip
        self._fingerprints[known.actor_type] = fingerprint
        self.types.sent[known.actor_type] = packed
        if self._decider is not None:
            if replaced is not None:
                self._decider.forget_type(replaced)
            self._residents.work.blocked.forget_other_code(known.actor_type, fingerprint)
        self.on_class(known.actor_type)

    def _code_of(self, known: ActorType) -> TypeCode:
        fingerprint = self._fingerprints.get(known.name)
        if fingerprint is None:
            fingerprint = self._fingerprints[known.name] = fingerprint_here(known.actor)
        return TypeCode(
            actor_type=known.name, class_name=known.actor.class_name(), fingerprint=fingerprint
        )


def _is_actor_class(value: object) -> TypeGuard[type[Actor[Any]]]:
    """Is it a class of actors, and not the one that all are made from?"""
    return isinstance(value, type) and issubclass(value, Actor) and hasattr(value, "state_type")

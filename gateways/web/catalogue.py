"""The actor types that the hosts know, for a gateway that knows none of their classes.

Hosts tell what their types take and yield, and the code of the classes that drivers have sent
them. That code is lost with a host's process until a driver brings it again; the gateway keeps it,
unread, and hands it to a host that misses it. It never looks into it.
"""

import asyncio
from contextlib import suppress

from actors.errors import ThornbackError
from actors.naming import actor_type_of
from gateways.web.parts import Parts
from gateways.web.problems import refusal
from runtime.errors import UnknownActorType
from runtime.wire.type_descriptions import TypeDescription


class Catalogue:
    """What is known of the actor types. Lives in one event loop."""

    #: The hosts are looked at so often without being asked to: a class may have been changed.
    LOOK_S = 5.0
    #: Between two looks, whoever asks for one: any client may name types that there are not.
    PAUSE_S = 0.5

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.types: dict[str, TypeDescription] = {}
        self._looked_s = float("-inf")  #: when the last look began
        self._looking = asyncio.Lock()
        self._soon: asyncio.Task[None] | None = None

    async def keep(self) -> None:
        """Look now and then."""
        while True:
            await self._look_quietly()
            await asyncio.sleep(self.LOOK_S)

    async def look(self) -> None:
        """Know what the hosts know now. Who asks meanwhile shares a look that begins after it was
        asked for."""
        loop = asyncio.get_running_loop()
        asked_s = loop.time()
        async with self._looking:
            if self._looked_s >= asked_s:
                return
            await asyncio.sleep(self._looked_s + self.PAUSE_S - loop.time())
            self._looked_s = loop.time()
            known = {name: each.fingerprint for name, each in self.types.items()}
            asked = (part.hosts.descriptions(known) for part in self._parts)
            answers = await asyncio.gather(*asked, return_exceptions=True)
            for told in [one for answer in answers if isinstance(answer, list) for one in answer]:
                self.types[told.actor_type] = told
            for answer in answers:  # those of the others are known by now
                if isinstance(answer, BaseException):
                    raise answer

    def met(self, actor_type: str) -> None:
        """Somebody has used this actor type: know it soon, before its hosts may forget it."""
        if actor_type not in self.types and (self._soon is None or self._soon.done()):
            self._soon = asyncio.ensure_future(self._look_quietly())

    async def bring(self, source: str) -> None:
        """The host of this source does not know its actor type: bring it the code. Raises
        UnknownActorType where nobody ever knew it, RequestRefused where it is known to the log
        and its code is nowhere, and what the host makes of the code."""
        actor_type = actor_type_of(source)
        if actor_type not in self.types:
            await self.look()
        known = self.types.get(actor_type)
        if known is None or known.code is None:
            await self._say_unknown(actor_type)
        else:
            await self._parts.of(source).hosts.offer(source, known.code)

    async def _look_quietly(self) -> None:
        with suppress(ThornbackError):  # what is known stays so; readiness says who is away
            await self.look()

    async def _say_unknown(self, actor_type: str) -> None:
        records = await self._parts.ask(lambda store: store.type_records([actor_type]))
        if all(each[actor_type].class_name is None for each in records):
            raise UnknownActorType(actor_type)
        raise refusal(
            503, "code-away", "The code of this actor type is not here",
            f"the hosts have lost the class of {actor_type!r}: a driver that has it brings it",
            retry_after_s=5,
        )  # fmt: skip

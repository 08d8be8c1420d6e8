"""The way to one host's process: find it, have it know actor classes, call it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError

from actors.actor import Actor
from actors.errors import InvalidActor, ThornbackError
from actors.naming import actor_type_of
from runtime.driver.outgoing import Outgoing
from runtime.errors import ActorsMoved, HostUnavailable, UnknownActorType
from runtime.process.world import Calls
from runtime.wire.commands import Answer, source_of_command, unpack_answer
from runtime.wire.error_codec import decode_error, encode_error
from store.errors import StoreUnavailable
from store.shards import ShardTable

logger = logging.getLogger("thornback.driver")

ActorClass = type[Actor[Any]]


class HostLink:
    """One host's process, wherever and whichever it is at the moment. Loop only.

    Every way in which it can be away is a HostUnavailable, and none takes for ever.
    """

    #: An answer to one of the questions that come before commands (where are you, know this
    #: class, begin anew) that has not come by then never will: the question is put again.
    SILENCE_S = 60.0

    def __init__(
        self,
        host: str,
        find: Callable[[Iterable[ActorClass]], Awaitable[Any]],
        reach: Callable[[], Awaitable[Calls]],
        shipped: Callable[[ActorClass], Awaitable[bytes | None]],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self.host = host
        self._find = find  # its Ray handle; a dedicated host is started with a class
        self._reach = reach  # the way that batches take
        self._shipped = shipped  # what is sent of a class; None: hosts have it anyway
        self._ended = ended  # told when the process has ended for good
        self._handle: Any = None
        self._caller: Calls | None = None
        self._incarnation: int | None = None
        self._known: set[ActorClass] = set()  # by this incarnation, or refused by it
        self._refused: dict[ActorClass, InvalidActor] = {}  # what it said of a class

    async def ensure_found(self, actors: Iterable[ActorClass]) -> None:
        """Have a handle of the process. Raises HostUnavailable."""
        if self._handle is None:
            self._handle = await self._asked(self._find(sorted(actors, key=_name)))

    async def ensure_known(self, actors: set[ActorClass]) -> None:
        """Have the host know the classes of the actors addressed. One that it refuses costs
        those who use it, and so does one that
        cannot be sent: `deliver` says so. Raises HostUnavailable, and StoreUnavailable where the
        host cannot ask the log whether a class fits it."""
        # In an order that does not depend on addresses: a simulation replays exactly.
        for actor in sorted(actors - self._known, key=_name):
            self._refused.pop(actor, None)
            try:
                shipped = await self._shipped(actor)  # perhaps it travelled once, and does no more
                if shipped is not None:
                    await self._asked(self._register(shipped))
            except InvalidActor as error:
                self._refused[actor] = InvalidActor(actor.actor_type, error.problem)
            self._known.add(actor)

    async def hello(self, request: bytes) -> Exception | None:
        """Begin a generation by an empty batch; why the host turns it away, if it does. Raises
        HostUnavailable."""
        answer = await self._asked(self._call(request))
        if answer.turned_away is None and answer.incarnation != self._incarnation:
            self._incarnation = answer.incarnation
            self._known.clear()  # another process, which was told nothing
            self._refused.clear()
        return self._turned_away(answer)

    async def shard_table(self) -> ShardTable | None:
        """Which host has which shard, as far as this one knows. Raises HostUnavailable, and
        StoreUnavailable where it has just begun and cannot read the table."""
        await self.ensure_found(())
        table: ShardTable | None = await self._asked(self._handle.shard_table.remote())
        return table

    def held_back(self, outgoing: Outgoing) -> dict[int, InvalidActor]:
        """The commands of a batch whose class the host has refused, and why: it may know another
        class of that actor type, which is not to decide them."""
        why = {
            actor.actor_type: self._refused[actor]
            for actor in outgoing.actors & self._refused.keys()
        }
        if not why:
            return {}
        types = map(actor_type_of, map(source_of_command, outgoing.commands))
        return {index: why[each] for index, each in enumerate(types) if each in why}

    async def deliver(
        self, request: bytes, held_back: Mapping[int, InvalidActor]
    ) -> tuple[Answer, Exception | None]:
        """What became of a batch; or why nothing of it was run. Raises HostUnavailable."""
        try:
            answer = await self._call(request)
        except (RayError, ConnectionError) as error:
            raise self._away(error) from error
        for index, problem in held_back.items():
            answer.errors[index] = encode_error(problem)
        return answer, self._turned_away(answer)

    def forgot(self, actors: set[ActorClass], answer: Answer) -> bool:
        """Does the host not know a class that it was told? Then another process answered than
        was told: Ray leads to the newest, and an older one may live on beside it. Whoever it
        is, it is looked for and told again."""
        told = {actor.actor_type for actor in (actors & self._known) - self._refused.keys()}
        if not any(
            name == UnknownActorType.__name__ and arguments[0] in told
            for name, arguments in answer.errors.values()
        ):
            return False
        self._known.clear()
        if self._caller is not None:
            self._caller.look_again()
        return True

    def close(self) -> None:
        """End the connection; calls under way fail."""
        if self._caller is not None:
            self._caller.close()

    async def _register(self, shipped: bytes) -> None:
        try:
            await self._handle.register.remote(shipped)
        # Both are RayErrors, too, but the host is well, and a caller is to hear what it said.
        except InvalidActor as error:
            raise InvalidActor(error.actor, error.problem) from error
        except StoreUnavailable as error:
            raise StoreUnavailable(error.where, error.reason) from error

    async def _call(self, request: bytes) -> Answer:
        caller = self._caller or await self._found()
        return unpack_answer(await caller.call("deliver", request))

    async def _found(self) -> Calls:
        try:
            found = await self._reach()
        except Exception as error:  # ValueError where there is none, and Ray's own ones
            raise HostUnavailable(self.host, f"it cannot be found: {error}") from error
        if self._caller is None:  # or another batch was quicker
            self._caller = found
        return self._caller

    def _turned_away(self, answer: Answer) -> Exception | None:
        if answer.turned_away is None:
            return None
        error = decode_error(answer.turned_away)
        away = isinstance(error, HostUnavailable) and not isinstance(error, ActorsMoved)
        if away and self._caller is not None:
            self._caller.look_again()  # it may have been replaced
        return error

    async def _asked(self, question: Awaitable[Any]) -> Any:
        """The answer to a question that may be put again as often as one likes."""
        try:
            async with asyncio.timeout(self.SILENCE_S):
                return await question
        except TimeoutError as error:
            if self._caller is not None:
                self._caller.look_again()
            raise HostUnavailable(self.host, "it does not answer") from error
        except (InvalidActor, StoreUnavailable) as error:
            if isinstance(error, RayTaskError):  # Ray's double of what a process has raised
                raise error.cause from error
            raise
        except (RayError, ConnectionError, HostUnavailable) as error:
            raise self._away(error) from error
        except Exception as error:
            # Ray's own failures have no common root; whatever it is, it may pass.
            logger.exception("%s cannot be asked", self.host)
            raise HostUnavailable(self.host, f"{type(error).__name__}: {error}") from error

    def _away(self, error: Exception) -> HostUnavailable:
        if isinstance(error, RayTaskError) and isinstance(error.cause, ThornbackError):
            return _said(self.host, error.cause)
        if isinstance(error, HostUnavailable):
            return error
        if isinstance(error, ActorDiedError):
            self._forget()
        return HostUnavailable(self.host, why_away(error))

    def _forget(self) -> None:
        """It has ended for good: its system was drained. Another one may have its name by now,
        which knows nothing of us."""
        self._handle = None
        self.close()
        self._caller, self._incarnation = None, None
        self._known.clear()
        self._refused.clear()
        self._ended()


def why_away(error: Exception) -> str:
    """Why a process cannot be asked, of which Ray says that: in words, where there are some."""
    if isinstance(error, ActorDiedError):
        return "its process has ended"
    if isinstance(error, ActorUnavailableError):
        return "its process does not answer, or has ended"
    return type(error).__name__


def _said(host: str, cause: ThornbackError) -> HostUnavailable:
    """What a process of the system raised, without what Ray puts around it."""
    if isinstance(cause, HostUnavailable):
        return type(cause)(*cause.args)
    return HostUnavailable(host, str(cause))


def _name(actor: ActorClass) -> tuple[str, str]:
    return actor.actor_type, actor.class_name()

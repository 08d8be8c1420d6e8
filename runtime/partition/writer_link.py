"""A host's way to the writer: appends go out, acknowledgements and refusals come back.

A lost connection is no refusal: the append's outcome is open then, and whoever sent it
waits until the writer is back and asks the log.
"""

import asyncio

from ray.exceptions import RayError, RayTaskError

from actors.errors import ThornbackError
from runtime.process.world import Calls, World
from runtime.topology.names import WRITER_ACTOR
from runtime.transport.asking import soonest
from runtime.wire.commits import pack_append, unpack_acknowledgement
from runtime.wire.error_codec import decode_error
from store.appends import Acknowledged, Append
from store.errors import StoreError, StoreUnavailable


class WriterAway(StoreError):
    """The writer's process is away; whether it committed is open."""


class WriterLink:
    """Appends to whichever process is the writer now; it finds the process anew after a
    failure. `patience_s` is how long `wait_back` waits for one that is away."""

    #: Between two tries to reach a writer that is away: Ray does not say when it is back.
    PAUSE_S = 0.05

    def __init__(self, world: World, *, patience_s: float) -> None:
        self._world = world
        self._patience_s = patience_s
        self._writer: Calls | None = None

    async def append(self, append: Append) -> Acknowledged:
        """Have an append committed. Raises what the writer refuses it with, StoreUnavailable,
        or WriterAway when there was no answer."""
        try:
            writer = self._writer or await self._found()
            packed = await writer.call("append", pack_append(append))
        except (RayError, ConnectionError, ValueError) as error:
            raise WriterAway(type(error).__name__) from error
        answer = unpack_acknowledgement(packed)
        if isinstance(answer, Acknowledged):
            return answer
        refusal = decode_error(answer)
        if isinstance(refusal, StoreUnavailable):
            writer.look_again()  # or it was replaced
        raise refusal

    async def _found(self) -> Calls:
        found = await self._world.caller(WRITER_ACTOR)
        if self._writer is None:  # or another append was quicker
            self._writer = found
        return self._writer

    async def wait_back(self) -> None:
        """Wait until the writer answers again; StoreUnavailable if it takes too long."""
        loop = asyncio.get_running_loop()
        deadline, said = loop.time() + self._patience_s, ""
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    writer = await self._world.handle(WRITER_ACTOR)
                    await soonest(writer.ready.remote)
                return
            except (RayError, ValueError, TimeoutError) as error:
                said = _said(error) or said
                if loop.time() >= deadline:
                    reason = said or f"its process is away ({type(error).__name__})"
                    raise StoreUnavailable("the writer", reason) from error
                await asyncio.sleep(self.PAUSE_S)


def _said(error: Exception) -> str:
    """What the writer itself has answered: that it rests, or why it does not start."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, ThornbackError):
        return str(error.cause)
    return ""

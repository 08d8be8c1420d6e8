"""The caller's end of a connection: of loopback on one machine, of the machines' network between
two, and Ray where there is neither."""

import asyncio
import contextlib
import hmac
import logging
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from ray.exceptions import RayError

from runtime.transport.asking import soonest
from runtime.transport.loopback import (
    GREETING,
    LOOPBACK,
    Address,
    Frames,
    Sealed,
    this_machine,
)
from runtime.transport.network import Network, NotReached, digest

logger = logging.getLogger("thornback.loopback")


class _Calling(Frames):
    """The caller's end."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._numbers = count(GREETING)
        self.lost = False

    async def call(self, method: int, request: bytes) -> bytes:
        """The answer to a request. Raises ConnectionError when the connection ends."""
        if self.lost:
            raise ConnectionResetError("the connection has ended")
        number = next(self._numbers) & 0xFFFF_FFFF
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self.send(number, method, request)
        try:
            return await answer
        finally:
            self._waiting.pop(number, None)

    def received(self, number: int, method: int, payload: bytes) -> None:
        answer = self._waiting.get(number)
        if answer is not None and not answer.done():
            answer.set_result(payload)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError(str(error or "the process has ended")))


class _FarCalling(Sealed, _Calling):
    """The caller's end between machines."""


class Caller:
    """Calls methods, of bytes to bytes, of a process: over loopback where the process
    runs on this machine; where not, over the machines' network if both are on it, and otherwise
    through Ray. There a process that was not reached is tried again now and then.

    A call raises RayError or ConnectionError when the process is away; whether it took
    effect is open then. The next call looks for the process anew, and after `look_again`
    too: a process that was replaced may live on beside its successor, and answer.
    """

    GREETING_S = 1.0

    def __init__(
        self,
        handle: Any,
        machine: Callable[[], str] | None = None,
        network: Callable[[], Network | None] = lambda: None,
        name: str = "",
    ) -> None:
        self._handle = handle
        self._machine = machine  # what tells where this process runs; Ray does, unless given
        self._network = network  # what tells how this process is on the machines' network, if it is
        self._name = name  # whom it calls, for the status
        self._methods: dict[str, int] = {}
        self._address: Address | None = None
        self._near: _Calling | None = None
        self._far = False
        self._doubted = False
        self._closed = False
        self._looking = asyncio.Lock()
        self._trying: asyncio.Task[None] | None = None  #: again, beside calls through Ray
        self._try_s = 0.0  #: not before, by the loop's clock
        self._reaching: asyncio.Future[_Calling] | None = None  #: for longer than calls wait

    async def call(self, method: str, request: bytes) -> bytes:
        """The answer of the process."""
        near = self._near
        if near is None or near.lost or self._doubted:
            near = None if self._far else await self._look()
        if near is not None:
            return await near.call(self._methods[method], request)
        self._try_again_in_time()
        try:
            answer: bytes = await getattr(self._handle, method).remote(request)
        except RayError:
            self._far = False  # it may come back elsewhere
            raise
        return answer

    def look_again(self) -> None:
        """Have the next call ask Ray where the process is now."""
        self._doubted, self._far = True, False

    def close(self) -> None:
        """End the connection; calls under way fail, and so does every later one."""
        self._closed = True
        self._hang_up()
        for task in (self._trying, self._reaching):
            if task is not None:
                task.cancel()
        if (network := self._network()) is not None:
            network.through_ray.pop(self._name, None)

    async def _look(self) -> _Calling | None:
        async with self._looking:
            standing = self._near is not None and not self._near.lost
            if standing and not self._doubted:
                return self._near  # somebody was quicker
            address: Address = await soonest(self._handle.address.remote)
            if not standing or address != self._address:
                self._hang_up()
                if self._reaching is not None:
                    self._reaching.cancel()
                self._address = address
                self._methods = {name: index for index, name in enumerate(address.methods)}
                here = address.machine == (self._machine or this_machine)()
                found = await (self._reach(address) if here else self._reach_far(address))
                self._hang_up()  # what has come late meanwhile
                self._near, self._far = found, found is None
            self._doubted = False
            if self._closed:  # while we looked, so that nobody else would end what was found
                self._hang_up()
                raise ConnectionResetError("the caller was closed")
        return self._near

    def _hang_up(self) -> None:
        if self._near is not None:
            self._near.transport.abort()

    def _try_again_in_time(self) -> None:
        """Look for the process in the background, while calls go through Ray, if it is time."""
        network = self._network()
        if network is None or self._closed or any(map(_under_way, (self._trying, self._reaching))):
            return
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._try_s > 0.0:
            self._trying = asyncio.ensure_future(self._try_again())
        elif self._try_s == 0.0:
            self._try_s = now_s + network.AGAIN_S

    async def _try_again(self) -> None:
        self._try_s = 0.0
        try:
            await self._look()
        except (RayError, ConnectionError) as error:
            logger.debug("not tried again: %r; whoever calls hears it, too", error)

    async def _reach_far(self, address: Address) -> _Calling | None:
        """A connection to a process of another machine, or None where calls go through Ray; for as
        long as it takes, if that is longer than they wait for it."""
        network = self._network()
        if network is None:
            return None
        if address.network is None:
            self._through_ray("it does not answer there")
            return None
        reaching = asyncio.ensure_future(self._over(network, address))
        waited = False
        try:
            await asyncio.wait({reaching}, timeout=network.WAIT_S)
            waited = reaching.done()
        finally:
            if not waited:  # it takes long, or this call was given up
                self._reaching = reaching
                reaching.add_done_callback(partial(self._reached, address))
        if not waited:
            self._through_ray(f"no answer within {network.WAIT_S:g} s")
            return None
        try:
            return reaching.result()
        except NotReached as error:
            self._through_ray(str(error))
            return None

    def _reached(self, address: Address, reaching: "asyncio.Future[_Calling]") -> None:
        """A connection has come, or not, for which nobody waits any more."""
        if reaching.cancelled():
            return
        if (error := reaching.exception()) is not None:
            self._through_ray(str(error))
            return
        found = reaching.result()
        standing = self._near is not None and not self._near.lost
        if self._closed or standing or address != self._address:
            found.transport.abort()
            return
        self._near, self._far = found, False

    def _through_ray(self, why: str) -> None:
        """Calls go through Ray, because of this."""
        if (network := self._network()) is None or self._closed:
            return
        if network.through_ray.get(self._name) != why:
            logger.warning("%s is called through Ray: %s", self._name or "a process", why)
        network.through_ray[self._name] = why

    async def _over(self, network: Network, address: Address) -> _Calling:
        assert address.network is not None
        far, shown = await network.reach(address.network, _FarCalling)
        proven = False
        try:
            with contextlib.suppress(OSError, TimeoutError):
                token, proof = (digest(each, shown) for each in (address.token, address.proof))
                answer = await asyncio.wait_for(far.call(0, token), network.REACH_S)
                proven = hmac.compare_digest(answer, proof)
        finally:
            if not proven:
                far.transport.abort()
        if not proven:
            raise NotReached("it does not let this process in")
        network.through_ray.pop(self._name, None)
        calling: _Calling = far
        return calling

    async def _reach(self, address: Address) -> _Calling | None:
        """A connection, or None if there is none to be had."""
        loop = asyncio.get_running_loop()
        near: _Calling | None = None
        proven = False
        try:
            with contextlib.suppress(OSError, TimeoutError):
                _, near = await loop.create_connection(_Calling, LOOPBACK, address.port)
                proof = await asyncio.wait_for(near.call(0, address.token), self.GREETING_S)
                proven = hmac.compare_digest(proof, address.proof)
        finally:
            if near is not None and not proven:
                near.transport.abort()  # also where the caller gave up meanwhile
        if proven:
            return near
        logger.warning("port %d does not answer: calls go through Ray", address.port)
        return None


def _under_way(task: "asyncio.Future[Any] | None") -> bool:
    return task is not None and not task.done()

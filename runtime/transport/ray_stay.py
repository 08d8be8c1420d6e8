"""This program's stay in a Ray that may end before the program does.

What was got during a stay is good for nothing in the Ray that comes after it: a handle of a process
raises ActorDiedError once its stay is over, as that of a process which was drained does. So whoever
finds drained systems again finds those of another Ray, too (docs/decisions/0053).
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, TypeVar

from ray.exceptions import ActorDiedError

T = TypeVar("T")


class InNoRay(ValueError):
    """There is no such process: the Ray that this program was in has ended."""


class RayStay:
    """One stay; `after` says what comes of it, for whoever asks when it is over. For any thread."""

    def __init__(self, after: str) -> None:
        self._after = after  #: replaced whole
        self._lock = threading.Lock()  # guards what follows
        self._over = False  # once it is, for good
        self._told: dict[object, Callable[[InNoRay], None]] = {}
        #: What belongs to Ray's own code, which ends the program, without a word, where one of
        #: these is given back to it while it is being left.
        self._kept: list[Any] = []

    @property
    def over(self) -> bool:
        """Is it over?"""
        return self._over

    def end(self) -> None:
        """It is over: whoever waits for something of this Ray waits no longer."""
        with self._lock:
            self._over = True
            told, self._told = self._told, {}
        for tell in told.values():
            tell(InNoRay(self._after))

    def say(self, after: str) -> None:
        """What comes of it by now, for whoever asks from here on."""
        self._after = after

    def check(self) -> None:
        """Raises InNoRay once it is over."""
        if self._over:
            raise InNoRay(self._after)

    @contextmanager
    def telling(self, tell: Callable[[InNoRay], None]) -> Iterator[None]:
        """Have something called, in whatever thread, when it ends in that block, with what there is
        to be raised; at once where it is over."""
        of = object()
        with self._lock:
            over = self._over
            self._told[of] = tell
        try:
            if over:
                tell(InNoRay(self._after))
            yield
        finally:
            with self._lock:
                self._told.pop(of, None)

    async def while_it_lasts(self, work: Awaitable[T]) -> T:
        """What comes of some work that waits for this Ray. Raises InNoRay as soon as the stay is
        over: Ray answers nobody any more who waits then, and says nothing."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def end(_: InNoRay) -> None:
            with suppress(RuntimeError):  # it is closed: nobody waits in it
                loop.call_soon_threadsafe(_resolve, ended)

        asked = asyncio.ensure_future(work)
        with self.telling(end):
            try:
                await asyncio.wait((asked, ended), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not asked.done():
                    asked.cancel()
                if self._over:
                    self._kept.append(work)
        if asked.done() and not asked.cancelled():
            return asked.result()
        raise InNoRay(self._after)

    def handle(self, handle: Any) -> "StayHandle":
        """The handle of a process, for as long as this stay."""
        self._kept.append(handle)
        return StayHandle(handle, self)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class StayHandle:
    """A Ray handle whose methods raise ActorDiedError once its stay is over, also where they wait
    for an answer by then. They give coroutines."""

    def __init__(self, handle: Any, stay: RayStay) -> None:
        self._handle, self._stay = handle, stay

    def __getattr__(self, name: str) -> Any:
        return _Method(self._called(name))

    def _called(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self._stay.over:
                raise ActorDiedError
            return self._answered(getattr(self._handle, name).remote(*arguments))

        return call

    async def _answered(self, reference: Any) -> Any:
        try:
            return await self._stay.while_it_lasts(reference)
        except InNoRay:
            raise ActorDiedError from None

    def of_ray(self) -> Any:
        """The handle as Ray gave it, for what Ray alone can do with it."""
        return self._handle


class _Method:
    def __init__(self, remote: Callable[..., Any]) -> None:
        self.remote = remote


class _Now:
    """The stay of this program; None where its Ray ends no earlier than it, or where it is to
    end with its Ray: in what Ray itself has started."""

    stay: RayStay | None = None
    past: ClassVar[list[RayStay]] = []  #: with what they keep, for good: a handle for each process


@contextmanager
def asking_ray() -> Iterator[RayStay | None]:
    """Ask Ray itself something, or wait for it, in this block; the stay in which that is. Raises
    InNoRay where the Ray that this program was in has ended, before or meanwhile, which Ray says in
    several ways: one of them would end the program, without a word and as if all were well."""
    stay = stay_now()
    if stay is None:
        yield None
        return
    stay.check()
    try:
        yield stay
    except InNoRay:
        raise
    except (Exception, SystemExit):
        stay.check()
        raise


def begin_stay(after: str) -> RayStay:
    """This program has just joined a Ray that may end before it."""
    if _Now.stay is not None:
        _Now.past.append(_Now.stay)
    _Now.stay = RayStay(after)
    return _Now.stay


def stay_now() -> RayStay | None:
    """The stay in the Ray that this program is in, or was in last."""
    return _Now.stay


def of_ray(handle: Any) -> Any:
    """A handle as Ray knows it."""
    return handle.of_ray() if isinstance(handle, StayHandle) else handle

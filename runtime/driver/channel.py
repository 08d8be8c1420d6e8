"""The way from one driver to one host: batches in order, retried, never run twice.

Commands that are made while a batch is under way travel together in the next one. When
a batch fails, the channel begins a new generation and sends all that is unanswered
again, in its order; the commands' ids make that harmless.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any
from weakref import ReferenceType, ref

from ray.exceptions import RayError

from actors.actor import Actor
from actors.errors import InvalidActor
from runtime.clocks import DriverClock
from runtime.driver.outgoing import Outgoing
from runtime.errors import AskTimeout, HostUnavailable, MailboxFull
from runtime.process.world import Calls
from runtime.wire.commands import Answer, CommandPacker, pack_request, unpack_answer
from runtime.wire.error_codec import decode_error
from store.errors import StoreUnavailable

logger = logging.getLogger("thornback.driver")


class Channel:
    """Sends to one host. `add` and `submit` may be called from any thread; the rest runs
    in the courier's loop."""

    #: Batches under way at once: enough to keep a host busy while an answer travels.
    WINDOW = 4
    #: Between two tries to reach a host that is away: Ray does not say when it is back.
    PAUSE_S = 0.1

    def __init__(
        self,
        host: str,
        driver: bytes,
        find: Callable[[], Awaitable[Any]],
        loop: asyncio.AbstractEventLoop,
        clock: "DriverClock",
        *,
        reach: Callable[[], Calls],
        pickled: Callable[[type[Actor[Any]]], bytes | None],
        timeout_s: float,
    ) -> None:
        self.host = host
        self._driver = driver
        self._find = find
        self._loop = loop
        self._clock = clock
        self._reach = reach
        self._pickled = pickled
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._packer = CommandPacker()
        self._open: Outgoing | None = None
        self._queue: deque[Outgoing] = deque()
        # A heap, by deadline. Those that are answered long before are not kept for it.
        self._watched: list[tuple[float, int, ReferenceType[Outgoing]]] = []
        self._watches = count()
        self._timer: asyncio.TimerHandle | None = None
        self._away: HostUnavailable | None = None
        self._woken = False
        self._wake = asyncio.Event()
        self._generation = 0
        self._sequence = 0
        self._handle: Any = None
        self._caller: Calls | None = None
        self._registered: set[type[Actor[Any]]] = set()
        self._under_way: set[Outgoing] = set()
        self._again: list[tuple[int, Outgoing]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = asyncio.run_coroutine_threadsafe(self._run(), loop)

    def add(
        self, fields: tuple[Any, ...], actor: type[Actor[Any]] | None, *, want_events: bool
    ) -> tuple[Outgoing, int]:
        """Put one command into the batch that leaves next. Raises InvalidMessage for
        data that has no form on the wire."""
        with self._lock:
            packed = self._packer.pack(fields)
            outgoing = self._open
            if outgoing is None or self._loop.time() > outgoing.joined_until_s:
                outgoing = self._open = self._new()
                self._queue.append(outgoing)
                self._watch(outgoing, outgoing.deadline_s)
            index = outgoing.add(packed)
            outgoing.want_events |= want_events
            if actor is not None:
                outgoing.actors.add(actor)
            if outgoing.full:
                self._open = None
            self._ring()
        return outgoing, index

    def now_s(self) -> float:
        """The clock that deadlines are set by."""
        return self._loop.time()

    def submit(self, outgoing: Outgoing) -> None:
        """Send a whole batch after those that are waiting."""
        outgoing.created_s = self._loop.time()
        outgoing.deadline_s = outgoing.created_s + outgoing.patience_s
        with self._lock:
            self._open = None
            self._queue.append(outgoing)
            # An answer may take its time, even where nothing is to be sent twice.
            self._watch(outgoing, max(outgoing.deadline_s, outgoing.created_s + self._timeout_s))
            self._ring()

    async def flushed(self) -> None:
        """Wait until all that was sent so far is answered, or has failed for good."""
        with self._lock:
            sent = [*self._queue, *self._under_way, *(one for _, one in self._again)]
        for outgoing in sent:
            future = outgoing.future()
            if future is not None:
                await future

    def close(self) -> None:
        """Stop sending; what is unanswered fails."""
        self._running.cancel()
        for task in self._tasks:
            task.cancel()
        for outgoing in (*self._queue, *self._under_way, *(one for _, one in self._again)):
            outgoing.finish(None, HostUnavailable(self.host, "the connection was closed"))
        if self._caller is not None:
            self._caller.close()

    def _new(self) -> Outgoing:
        outgoing = Outgoing(self._timeout_s, bulk=False, want_events=False)
        outgoing.created_s = self._loop.time()
        outgoing.deadline_s = outgoing.created_s + self._timeout_s
        # One deadline serves all of a batch, so who joins late must not come much later.
        outgoing.joined_until_s = outgoing.created_s + self._timeout_s / 20
        return outgoing

    def _ring(self) -> None:
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._called)

    def _called(self) -> None:
        with self._lock:
            self._woken = False  # here, not in `_run`: that may be waiting for a host that hangs
        self._wake.set()
        if self._timer is None or self._watched[0][0] < self._timer.when():
            self._sweep()

    def _watch(self, outgoing: Outgoing, until_s: float) -> None:
        heappush(self._watched, (until_s, next(self._watches), ref(outgoing)))

    def _sweep(self) -> None:
        """End what is overdue, also while the host takes its time over something else."""
        if self._timer is not None:
            self._timer.cancel()
        now, watched = self._loop.time(), self._watched
        late: list[Outgoing] = []
        with self._lock:
            while watched and ((outgoing := watched[0][2]()) is None or now >= watched[0][0]):
                heappop(watched)
                if outgoing is not None and not outgoing.finished:
                    late.append(outgoing)
            self._timer = self._loop.call_at(watched[0][0], self._sweep) if watched else None
        for outgoing in late:
            silent = AskTimeout(self.host, max(outgoing.patience_s, self._timeout_s))
            self._end(outgoing, outgoing.error or self._away or silent)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._again or (self._queue and len(self._under_way) < self.WINDOW):
                if self._again:
                    await self._recover()
                else:
                    await self._send_next()

    async def _send_next(self) -> None:
        with self._lock:
            outgoing = self._queue.popleft()
            if outgoing is self._open:
                self._open = None
            self._under_way.add(outgoing)  # now: `flushed` is to see it wherever it is
        if outgoing.finished:
            self._under_way.discard(outgoing)
            return
        order = self._sequence
        try:
            await self._prepare(outgoing)
            if order == 0:
                await self._begin(self._generation)
                order = self._sequence = 1
        except InvalidActor as error:
            self._under_way.discard(outgoing)
            outgoing.finish(None, error)
            return
        except (RayError, ConnectionError, HostUnavailable) as error:
            self._failed(order, outgoing, HostUnavailable(self.host, _name(error)))
            self._under_way.discard(outgoing)
            return
        request = pack_request(
            self._driver, self._generation, order, self._clock.counts(),
            outgoing.want_events, outgoing.commands,
        )  # fmt: skip
        self._sequence += 1
        task = asyncio.ensure_future(self._deliver(order, outgoing, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin(self, generation: int) -> None:
        """The host learns of a generation by an empty batch, and takes no other first: so
        one that was restarted, and knows of none, does not wait for what it never gets."""
        hello = pack_request(self._driver, generation, 0, {}, False, [])
        error = self._refusal(unpack_answer(await self._call(hello)))
        if isinstance(error, HostUnavailable):
            raise error

    async def _prepare(self, outgoing: Outgoing) -> None:
        """Find the host, and have it know the classes of the actors addressed."""
        if self._handle is None:
            self._handle = await self._find()
        for actor in outgoing.actors - self._registered:
            try:
                pickled = self._pickled(actor)
            except Exception as error:  # whatever pickling a user's class comes to
                raise InvalidActor(actor.actor_type, f"it cannot be sent: {error}") from error
            if pickled is not None:
                try:
                    await self._handle.register.remote(pickled)
                except InvalidActor as error:  # a RayError too, but the host is well
                    raise InvalidActor(actor.actor_type, error.problem) from error
            self._registered.add(actor)

    async def _call(self, request: bytes) -> bytes:
        if self._caller is None:
            self._caller = self._reach()
        return await self._caller.call("deliver", request)

    async def _deliver(self, order: int, outgoing: Outgoing, request: bytes) -> None:
        try:
            answer = unpack_answer(await self._call(request))
        except (RayError, ConnectionError) as error:
            self._failed(order, outgoing, HostUnavailable(self.host, _name(error)))
        else:
            self._judge(order, outgoing, answer)
        finally:
            self._under_way.discard(outgoing)
            self._wake.set()

    def _judge(self, order: int, outgoing: Outgoing, answer: Answer) -> None:
        error = self._refusal(answer)
        if error is not None:
            self._failed(order, outgoing, error)
        elif self._forgotten(outgoing, answer):
            self._registered.clear()
            outgoing.registered = True
            self._failed(order, outgoing, HostUnavailable(self.host, "it forgot the actor type"))
        else:
            self._clock.observe(answer.clock)
            outgoing.finish(answer, None)

    def _refusal(self, answer: Answer) -> Exception | None:
        if answer.refusal is None:
            return None
        error = decode_error(answer.refusal)
        if isinstance(error, HostUnavailable) and self._caller is not None:
            self._caller.look_again()  # it may have been replaced
        return error

    def _forgotten(self, outgoing: Outgoing, answer: Answer) -> bool:
        """Did the host restart, and now not know a class it had been told?"""
        if outgoing.registered or not outgoing.actors:
            return False
        return any(name == "UnknownActorType" for name, _ in answer.errors.values())

    def _failed(self, order: int, outgoing: Outgoing, error: Exception) -> None:
        """Send it again, unless its time is over or a caller should hear of it now."""
        telling = isinstance(error, MailboxFull | StoreUnavailable) and not outgoing.bulk
        passing = isinstance(error, HostUnavailable | MailboxFull | StoreUnavailable)
        over = self._loop.time() >= outgoing.deadline_s
        if telling or over or not passing:
            outgoing.finish(None, error)
        if not outgoing.finished:
            outgoing.error = error
        self._again.append((order, outgoing))

    async def _recover(self) -> None:
        """Begin a new generation: the host turns away what is left of the old one. Then
        everything unanswered is sent again, in its order."""
        generation = self._generation + 1
        while True:
            self._drop_overdue()
            if not self._again and not self._under_way and not self._queue:
                break
            try:
                if self._handle is None:
                    self._handle = await self._find()
                await self._begin(generation)
                break
            except (RayError, ConnectionError, HostUnavailable) as error:
                self._away = HostUnavailable(self.host, _name(error))
                # The host may have had this hello, and would not answer a second one.
                generation += 1
                await asyncio.sleep(self.PAUSE_S)
        self._away = None
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._generation, self._sequence = generation, 1
        self._registered.clear()
        waiting = [one for _, one in sorted(self._again, key=lambda each: each[0])]
        self._again = []
        full = any(isinstance(one.error, MailboxFull | StoreUnavailable) for one in waiting)
        with self._lock:
            self._queue.extendleft(one for one in reversed(waiting) if not one.finished)
        if full:
            await asyncio.sleep(self.PAUSE_S)

    def _drop_overdue(self) -> None:
        now = self._loop.time()
        for _, outgoing in self._again:
            if now >= outgoing.deadline_s and not outgoing.finished:
                self._end(outgoing, outgoing.error)
        with self._lock:
            overdue = [one for one in self._queue if not one.bulk and now >= one.deadline_s]
        for outgoing in overdue:
            self._end(outgoing, HostUnavailable(self.host, "it did not come back in time"))
        self._again = [pair for pair in self._again if not pair[1].finished]

    def _end(self, outgoing: Outgoing, error: Exception | None) -> None:
        """Give a batch up. Nothing may join it any more: it would never be sent."""
        with self._lock:
            if self._open is outgoing:
                self._open = None
        outgoing.finish(None, error)


def _name(error: BaseException) -> str:
    return error.reason if isinstance(error, HostUnavailable) else type(error).__name__

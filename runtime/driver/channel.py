"""The way from one driver to one host: batches in order, retried, never run twice.

Commands that are made while a batch is under way travel together in the next one. When
a batch fails, the channel begins a new generation and sends all that is unanswered
again, in its order; the commands' ids make that harmless.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from actors.actor import Actor
from actors.errors import InvalidActor, ThornbackError
from runtime.clocks import DriverClock
from runtime.driver.deadlines import Deadlines
from runtime.driver.host_link import HostLink
from runtime.driver.outbox import Outbox, Rerouted
from runtime.driver.outgoing import Outgoing
from runtime.driver.table_of_shards import TableOfShards
from runtime.errors import (
    ActorsMoved,
    AskTimeout,
    ChannelFailed,
    ConnectionClosed,
    HostUnavailable,
    MailboxFull,
)
from runtime.wire.commands import pack_request, source_of_command, stand_in
from store.errors import StoreUnavailable

logger = logging.getLogger("thornback.driver")

#: The host, or what it needs, is away or has no room: to be sent again.
_PASSING = (HostUnavailable, MailboxFull, StoreUnavailable)


class Channel:
    """Sends to one host. `add`, `submit` and `close` may be called from any thread;
    the rest runs in the courier's loop.

    Every batch ends: with its answer, or with a typed error at its deadline at the latest,
    or at once when the channel ends, by `close` or by a fault of its own.

    More than fifteen fields: outbox, deadlines and link are classes of their own, and what is left
    is one state, of a sender and its generation, that sending and recovering change together.
    """

    #: Batches under way at once: enough to keep a host busy while an answer travels.
    WINDOW = 4
    #: Between two tries to reach a host that is away: Ray does not say when it is back.
    PAUSE_S = 0.1
    #: Before a batch is sent again that the host, though there, never answers: at most.
    LONGEST_PAUSE_S = 1.6
    #: After so many tries to reach a host it is asked again whether its actors live elsewhere.
    LOOK_AFTER = 10
    #: How long what is under way is waited for when a table is adopted.
    HOLD_S = 1.0

    def __init__(
        self,
        link: HostLink,
        driver: bytes,
        loop: asyncio.AbstractEventLoop,
        clock: DriverClock,
        *,
        timeout_s: float,
        table: TableOfShards | None = None,
    ) -> None:
        self.moved = False  #: its host is not its actors' any more: references look anew
        # Immutable, and what has locks of its own where it needs them:
        self.host = link.host
        self._driver = driver
        self._loop = loop
        self._deadlines = Deadlines(loop, self._give_up)
        self._outbox = Outbox(self.host, loop, self._deadlines, self._called, timeout_s=timeout_s)
        # In the loop only:
        self._link = link
        self._clock = clock
        self._table = table or TableOfShards()
        self._held = False  #: nothing is sent: what is in here may belong elsewhere
        #: By a table of this version the host has turned something away that was not divided since.
        self._behind = 0
        #: The version by which something was sent again that was turned away so; -1: none yet.
        self._moved_at = -1
        self._wake = asyncio.Event()
        self._generation = 0
        self._sequence = 0  # of the next batch; 0: this generation's hello is still to come
        #: Taken from the outbox; with its delivery, once that has begun.
        self._under_way: dict[Outgoing, asyncio.Task[None] | None] = {}
        #: To be sent again, with their sequences: while there are any, a new generation is due.
        self._again: list[tuple[int, Outgoing]] = []
        #: A batch was given up without an answer: its generation may have a hole.
        self._silent = False
        self._stuck = ""  #: what was the first to be given up since the host's last answer
        self._away: Exception | None = None  # while a new generation cannot be begun: why
        self._running = asyncio.run_coroutine_threadsafe(self._live(), loop)
        # However it ends, and wherever: nobody waits for it afterwards.
        self._running.add_done_callback(lambda _: self.close(ConnectionClosed(self.host)))

    def add(
        self,
        fields: tuple[Any, ...],
        actor: type[Actor[Any]] | None,
        *,
        want_events: bool,
        routed: int,
    ) -> tuple[Outgoing, int]:
        """Put one command into the batch that leaves next. Raises InvalidMessage for data
        that has no form on the wire, ConnectionClosed or ChannelFailed for a channel that
        has ended, and Rerouted where its way was found by another version of the table than
        `routed`."""
        return self._outbox.add(fields, actor, want_events=want_events, routed=routed)

    def submit(self, outgoing: Outgoing) -> None:
        """Send a whole batch after those that are waiting; where its actors do not all live here
        any more, to the hosts where they do. Raises ConnectionClosed or ChannelFailed for a channel
        that has ended."""
        try:
            self._outbox.submit(outgoing)
        except Rerouted:
            self._table.submit(outgoing)

    @property
    def routed(self) -> int:
        """By which version of the table of shards its actors live here. For any thread; it changes
        while a new one is adopted, and whoever must be sure asks Channels.way."""
        return self._outbox.routed

    # What Channels does with it when it adopts a table, all but `take_over` in the loop:

    async def hold(self) -> None:
        """Send nothing more, and wait until nothing is under way: what gets no answer for a while
        is taken for lost, and is to be sent again. Until `go_on`."""
        self._held = True
        if tasks := [task for task in self._under_way.values() if task is not None]:
            await asyncio.wait(tasks, timeout=self.HOLD_S)
        for task in [task for task in self._under_way.values() if task is not None]:
            task.cancel()
        if tasks := [task for task in self._under_way.values() if task is not None]:
            await asyncio.wait(tasks)

    def divide(self, host_of: Callable[[str], str], routed: int) -> list[tuple[str, Outgoing]]:
        """By another version of the table from now on: what of the unanswered belongs to other
        hosts, in order. It is held."""
        again = [one for _, one in sorted(self._again, key=lambda each: each[0])]
        self._silent |= bool(self._again)
        self._again = []
        about_to = [one for one, task in self._under_way.items() if task is None]
        for outgoing in about_to:
            del self._under_way[outgoing]
        self._behind = 0
        return self._outbox.divide([*again, *about_to], host_of, routed)

    def take_over(self, outgoing: Outgoing) -> None:
        """Send what belonged to another host. Ends it, where this channel has ended."""
        try:
            self._outbox.take_over(outgoing)
        except ThornbackError as error:
            outgoing.finish(None, error)

    def begin(self, outgoing: Outgoing) -> None:
        """The time of a batch begins."""
        self._outbox.begin(outgoing)

    def reroute(self, routed: int) -> None:
        """By another version of the table from now on, in which all that is here belongs here."""
        self._behind = 0
        self._outbox.reroute(routed)

    def go_on(self) -> None:
        """Send again."""
        self._held = False
        self._wake.set()
        self._deadlines.keep()

    def unanswered(self) -> list[Outgoing]:
        """What was sent, or is to be, and has no answer yet. From any thread."""
        return self._outbox.unfinished()

    def close(self, error: Exception) -> None:
        """Stop sending; what is unanswered fails with `error`, and later calls do at once.
        Closing twice is harmless."""
        if self._outbox.end(error):
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing runs in it
                self._loop.call_soon_threadsafe(self._stop)

    def left_behind(self, error: Exception) -> None:
        """This process was forked, and the channel is its parent's."""
        self._outbox.left_behind(error)

    def _stop(self) -> None:
        self._running.cancel()
        for task in self._under_way.values():
            if task is not None:
                task.cancel()
        self._deadlines.close()
        self._link.close()

    def _called(self) -> None:
        self._outbox.heard()  # here, not in `_run`: that may be waiting for a host that hangs
        self._wake.set()
        self._deadlines.keep()

    async def _live(self) -> None:
        """Run until it is closed."""
        try:
            await self._run()
        except Exception as error:
            logger.exception("the channel to %s has ended by a fault", self.host)
            self.close(ChannelFailed(self.host, f"{type(error).__name__}: {error}"))

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while not self._held:
                if self._again or self._silent:
                    await self._recover()
                elif not self._has_room() or (outgoing := self._outbox.take()) is None:
                    break
                else:
                    await self._send(outgoing)

    def _has_room(self) -> bool:
        return len(self._under_way) < self.WINDOW

    async def _send(self, outgoing: Outgoing) -> None:
        self._under_way[outgoing] = None
        order = self._sequence
        try:
            await self._link.ensure_found(outgoing.actors)
            if self._sequence == 0:
                await self._begin(self._generation)
                order = self._sequence = 1
            await self._link.ensure_known(outgoing.actors)
        except _PASSING as error:
            if self._under_way.pop(outgoing, self) is None:
                self._failed(order, outgoing, error)
            return
        if self._under_way.get(outgoing, self) is not None:
            return  # it belongs elsewhere
        if outgoing.finished or self._held:  # it was given up meanwhile, or is to wait
            del self._under_way[outgoing]
            self._outbox.put_back([outgoing])
            return
        held = self._link.held_back(outgoing)
        commands = [
            stand_in(source_of_command(packed)) if index in held else packed
            for index, packed in enumerate(outgoing.commands)
        ] if held else outgoing.commands  # fmt: skip
        request = pack_request(
            self._driver, self._generation, order, self._clock.counts(),
            outgoing.want_events, commands, outgoing.sent, self.routed,
        )  # fmt: skip
        self._sequence += 1
        outgoing.sent = True
        delivery = self._deliver(order, outgoing, request, held)
        self._under_way[outgoing] = asyncio.ensure_future(delivery)

    async def _begin(self, generation: int) -> None:
        """The host learns of a generation by an empty batch, and takes no other first: so
        one that was restarted, and knows of none, does not wait for what it never gets."""
        why_not = await self._link.hello(pack_request(self._driver, generation, 0, {}, False, []))
        if isinstance(why_not, _PASSING):
            raise why_not
        if why_not is not None:
            raise HostUnavailable(self.host, str(why_not))

    async def _deliver(
        self, order: int, outgoing: Outgoing, request: bytes, held: Mapping[int, InvalidActor]
    ) -> None:
        outgoing.held_up = None
        try:
            answer, why_not = await self._link.deliver(request, held)
            if why_not is not None:
                self._failed(order, outgoing, why_not)
            elif not outgoing.introduced_again and self._link.forgot(outgoing.actors, answer):
                outgoing.introduced_again = True  # once: a host may have its reasons
                self._failed(order, outgoing, HostUnavailable(self.host, "it forgot a class"))
            else:
                self._stuck = ""
                self._clock.observe(answer.clock)
                self._outbox.finish(outgoing, answer, None)
        except HostUnavailable as error:
            outgoing.losses += 1
            self._failed(order, outgoing, error)
        except asyncio.CancelledError:
            if not self._held or outgoing.finished:
                raise
            self._failed(order, outgoing, HostUnavailable(self.host, "it does not answer"))
        except Exception as error:
            # Not the host's being away: an answer that cannot be read, say. It would be none
            # the second time either, so it costs those who asked.
            logger.exception("a batch for %s has failed", self.host)
            self._failed(order, outgoing, ChannelFailed(self.host, repr(error)))
        finally:
            self._under_way.pop(outgoing, None)
            if self._again or self._silent or self._outbox.waiting():
                self._wake.set()

    def _failed(self, order: int, outgoing: Outgoing, error: Exception) -> None:
        """Send it again, unless its time is over or a caller should hear of it now."""
        telling = isinstance(error, MailboxFull | StoreUnavailable) and not outgoing.bulk
        over = self._loop.time() >= outgoing.deadline_s
        outgoing.setback = outgoing.held_up = error
        if isinstance(error, ActorsMoved):
            self._behind = max(self._behind, error.version)
        if telling or over or not isinstance(error, _PASSING):
            self._outbox.finish(outgoing, None, error)
        self._again.append((order, outgoing))

    def _give_up(self, outgoing: Outgoing) -> None:
        """Its deadline has come. Whether the host has it is open; if it has not, what follows
        in this generation waits there for ever, so the generation ends with it."""
        if outgoing.divided:
            return  # it ends with its parts
        silent = AskTimeout(self.host, outgoing.may_take_s, doing=self._doing(outgoing))
        self._outbox.finish(outgoing, None, outgoing.setback or self._away or silent)
        delivery = self._under_way.get(outgoing)
        if delivery is not None:
            self._silent = True
            self._stuck = self._stuck or outgoing.asked(0)
            delivery.cancel()

    def _doing(self, outgoing: Outgoing) -> str:
        """What is known here of a host that gives no answer."""
        first = next((one for one, task in self._under_way.items() if task is not None), None)
        if first is None and not self._stuck:
            return f"{self.host} was not reached"
        stuck = self._stuck or (first.asked(0) if first not in (None, outgoing) else "")
        before = f", and {stuck} before it" if stuck else ""
        has = "has it" if self._under_way.get(outgoing) is not None else "is to get it"
        return (
            f"{self.host} {has}{before}; where a handler keeps its host from all others, its log "
            "names it (`thornback logs`)"
        )

    async def _recover(self) -> None:
        """Begin a new generation: the host turns away what is left of the old one. Then
        everything unanswered is sent again, in its order."""
        generation, begun, tries = self._generation + 1, False, 0
        while not begun and self._wanted():
            try:
                await self._link.ensure_found(_classes(self._again))
                await self._begin(generation)
                begun = True
            except _PASSING as error:
                self._away = error
                for one in self._outbox.unfinished():
                    one.held_up = error
                self._tell(error)
                # The host may have had this hello, and would not answer a second one.
                generation += 1
                if isinstance(error, HostUnavailable) and not tries % self.LOOK_AFTER:
                    await self._table.look_elsewhere(self.host)
                tries += 1
                await asyncio.sleep(self.PAUSE_S)
        self._away = None
        if deliveries := [task for task in self._under_way.values() if task is not None]:
            await asyncio.wait(deliveries)
        self._silent = False
        self._generation, self._sequence = generation, int(begun)
        waiting = [one for _, one in sorted(self._again, key=lambda each: each[0])]
        self._again = []
        self._put_back(waiting)
        moved_s = 0.0
        if self._behind:
            await self._table.catch_up(self._behind, self._link)
            if self._behind or self._moved_at == self.routed:
                moved_s = self.PAUSE_S  # nobody could say where they are
            self._moved_at = self.routed
        if pause_s := max(map(self._pause_s, waiting), default=0.0) or moved_s:
            await asyncio.sleep(pause_s)

    def _wanted(self) -> bool:
        """Is anything left for which a new generation is worth beginning?"""
        unanswered = any(not one.finished for _, one in self._again)
        return unanswered or bool(self._under_way) or self._outbox.waiting()

    def _tell(self, error: Exception) -> None:
        """The host is there and says that its store is not: single callers hear it now."""
        if isinstance(error, StoreUnavailable):
            for outgoing in self._outbox.unfinished():
                if not outgoing.bulk and outgoing not in self._under_way:
                    self._outbox.finish(outgoing, None, error)

    def _put_back(self, waiting: list[Outgoing]) -> None:
        now = self._loop.time()
        for outgoing in waiting:
            if now >= outgoing.deadline_s:  # it ends later, but is not to be sent again
                self._outbox.finish(outgoing, None, outgoing.setback)
        self._outbox.put_back(waiting)

    def _pause_s(self, outgoing: Outgoing) -> float:
        """How long not to send again what had a setback: what is full stays so for a moment,
        and what breaks the host's connections is not to do it all the time."""
        if outgoing.finished or outgoing.divided:
            return 0.0
        if isinstance(outgoing.setback, MailboxFull | StoreUnavailable):
            return self.PAUSE_S
        if outgoing.losses < 2:
            return 0.0
        return min(self.PAUSE_S * 2.0 ** (outgoing.losses - 2), self.LONGEST_PAUSE_S)


def _classes(again: list[tuple[int, Outgoing]]) -> set[type[Actor[Any]]]:
    return {actor for _, outgoing in again for actor in outgoing.actors}

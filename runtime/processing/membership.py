"""One member of a group: its signs of life, its share of the slots, and what the store is told.

Each member looks at the group about ten times in the time after which a silent one is out. What it
sees says who is to have which slot (dealing.py): of its own it gives up those that are not to be
its own any more, once nothing of them is in hand; it takes those that nobody has, or a member had
that is out. Whoever has a slot is known by its epoch, and nobody else moves its checkpoint. So a
mistake about who lives costs events that come twice, and never one that is skipped.

Whether another one is silent is judged by the clock of this process, and only while it sees the
group itself (silence.py)."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress

from actors.errors import ThornbackError
from runtime.driver.connection import Connection
from runtime.driver.inlet import Inlet
from runtime.driver.starting import Start, position_of
from runtime.errors import ConnectionClosed, ShareTaken, SubscriptionTaken, fresh
from runtime.processing.dealing import dealt
from runtime.processing.keeping import Keeping
from runtime.processing.share import Share
from runtime.processing.silence import Silence
from runtime.processing.taken_names import check_group
from store.appends import CheckpointMove
from store.groups import NOBODY, UNHAD, GroupView, opened_anew
from store.selection import Selection
from store.slots import SLOTS
from store.subscriptions import SubscriptionRecord

logger = logging.getLogger("thornback.processing")


class Membership(Keeping):
    """That of one subscription of this process.

    More than fifteen fields: what it was made of, and what the loop alone has, stand apart below.
    """

    #: So many looks in the time after which whoever is silent is out.
    LOOKS = 10

    def __init__(
        self, connection: Connection, name: str, selection: Selection, after: Start
    ) -> None:
        """Does not block. A group that is new begins after a position, or from now on."""
        # Set once:
        self._selection = selection
        self._after = after
        self._member = 1 + int.from_bytes(connection.world.random(8)) % 2**62
        self._silent_s = connection.settings.processing.member_timeout_ms / 1000
        self._look_s = self._silent_s / self.LOOKS
        #: What its reader and the loop have of it together.
        self.share = Share(self.move_soon, self._look_soon)
        # Of the loop alone:
        self._inlet: Inlet | None = None  # None: it has not begun
        self._over = False
        self._reads = True  # there is a feed
        self._looking: asyncio.Task[None] | None = None
        self._look_now = asyncio.Event()
        self._one_look = asyncio.Lock()  # at a time
        self._signs = 0  # of life, that it has given
        self._silence = Silence(self._silent_s, self._look_s)  # of the others
        self._seen: Mapping[int, SubscriptionRecord] = {}  # the slots, by the last look
        self._given_up: Mapping[int, int] = {}  # the last slots that it did, and their epochs
        self._waits = False  # it was said that it has no share
        super().__init__(connection, name)

    async def begin(self, inlet: Inlet) -> int:
        """Join the group; after which position its share, or the group, is to be read. Raises
        BusUnavailable and SystemNotFound, where there is no system, StoreUnavailable,
        AnotherSelection, and InvalidName for the name of something else."""
        log = self._connection.log
        await log.head()  # or there is no system
        after = await position_of(log, self._after)
        await log.ask(check_group(self.name))
        await log.ask(lambda store: store.open_group(self.name, self._selection, after))
        view = await self._look()
        self._inlet = inlet
        self._looking = self._looking or asyncio.ensure_future(self._keep_looking(inlet))
        return self.share.start(min(record.position for record in view.slots.values()))

    async def move(self) -> int:
        """Have the store know of all that is finished by now; the least position of its slots. What
        another member has meanwhile is lost, and that is logged. Raises StoreUnavailable,
        SchemaMismatch, SubscriptionTaken where the group was dropped, and what ended it."""
        async with self._turn:
            moves = self.share.moves(self.name)
            if not moves:
                return self.share.kept_through()
            if self._lost is not None:
                raise fresh(self._lost)
            wanted = list(moves.values())
            refused = await self._connection.log.ask_at_once(
                lambda store: store.move_checkpoints(wanted)
            )
            for number, move in moves.items():
                if move.name not in refused:
                    self.share.keep(number, move)
            await self._hear({slot: move for slot, move in moves.items() if move.name in refused})
            return self.share.kept_through()

    async def told(self) -> int:
        """What `finish` is answered with. Raises ShareTaken where something that was finished
        since the last answer is another member's to finish."""
        position = await self.move()
        if taken := self.share.taken():
            if self._lost is not None:  # nobody else finishes it
                raise fresh(self._lost)
            raise ShareTaken(self.name, *sorted(taken))
        return position

    def untold(self) -> int | None:
        """How many events are finished of which the store does not know."""
        return self.share.untold()

    def left_behind(self) -> None:
        """This process was forked: the member is its parent."""
        self._over = True
        self.share.left_behind()
        super().left_behind()

    def _stop(self) -> None:
        self._over = True
        self.share.stop()
        if self._looking is not None:
            self._looking.cancel()

    async def _leave(self) -> None:
        """The others need not find out by themselves."""
        async with self._one_look:  # or what one has asked for might come about behind this
            if self._lost is None or isinstance(self._lost, SubscriptionTaken):  # and no other log
                log = self._connection.log
                await log.ask_at_once(lambda store: store.leave_group(self.name, self._member))

    async def _keep_looking(self, inlet: Inlet) -> None:
        self._go_on(inlet, None)
        failed = False
        while True:
            await self._pause(failed)
            failed = True
            try:
                await self._look()
                self._go_on(inlet, None)
                failed = False
            except SubscriptionTaken as error:
                inlet.fail(error)
                return
            except ThornbackError as error:
                self._silence.failed()
                logger.info("a member of the group %r does not see it: %s", self.name, error)
            except Exception:
                self._silence.failed()
                logger.exception("a member of the group %r has failed", self.name)

    async def _pause(self, failed: bool) -> None:
        """Until the next look is due, or something has happened that it is to see to; after one
        that failed, until it is due: whoever reads on would ask a database that is away at each
        event."""
        if failed:
            await asyncio.sleep(self._look_s)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._look_now.wait()
        self._look_now.clear()

    async def _look(self) -> GroupView:
        """Say that it is there, and do what follows from what it sees. What one has asked of the
        store may come about though nobody waits for it any more: so it goes on then, and leaving
        waits for it."""

        async def look() -> GroupView:
            async with self._one_look:
                return await self._looked()

        looking = asyncio.ensure_future(look())
        looking.add_done_callback(self._has_looked)
        return await asyncio.shield(looking)

    def _has_looked(self, look: "asyncio.Task[GroupView]") -> None:
        """Where nobody waits for it any more, only a fault is worth a word."""
        error = None if look.cancelled() else look.exception()
        if self._over and error is not None and not isinstance(error, ThornbackError):
            logger.error(
                "a member of the group %r that leaves has failed", self.name, exc_info=error
            )

    async def _looked(self) -> GroupView:
        self._check_there()
        log = self._connection.log
        self._signs += 1
        sign = self._signs
        kept = self.share.kept()  # by now, and further when the answer comes
        view = await log.ask_at_once(lambda store: store.meet_group(self.name, self._member, sign))
        self._check_there()
        self._check_same(view.slots, kept)
        out = await self._put_out(view)
        self._check_there()
        members = [member for member in view.members if member not in out]
        had = self.share.epochs()
        self._lose({slot: epoch for slot, epoch in had.items() if view.slots[slot].epoch != epoch})
        if self._member in members:
            owners = {slot: record.member or NOBODY for slot, record in view.slots.items()}
            deal = dealt(owners, members)
            mine = {slot for slot, member in deal.items() if member == self._member}
            self._say_waiting(members, mine)
            self.share.leave(self.share.handing - mine)
            await self._give_up(view, mine)
            free = {slot for slot in mine if owners[slot] not in members}
            found = {slot for slot in mine if owners[slot] == self._member}
            await self._take(view, (free | found) - self.share.numbers)
        return view

    def _check_there(self) -> None:
        if self._over:
            raise ConnectionClosed(self._connection.namespace)

    def _check_same(self, slots: Mapping[int, SubscriptionRecord], kept: Mapping[int, int]) -> None:
        """Is it the group that it was? Raises SubscriptionTaken where it was dropped."""
        before, self._seen = self._seen, slots
        if (
            len(slots) < SLOTS
            or slots[0].selection != self._selection
            or any(opened_anew(slots[slot], record) for slot, record in before.items())
            or any(slots[slot].position < position for slot, position in kept.items())
        ):
            self._lost = SubscriptionTaken(self.name)
            raise self._lost

    async def _put_out(self, view: GroupView) -> set[int]:
        """Whoever was silent for too long is no member any more."""
        signs = {member: sign for member, sign in view.members.items() if member != self._member}
        silent = self._silence.see(signs, asyncio.get_running_loop().time())
        return {member for member in silent if await self._expelled(member, signs[member])}

    async def _expelled(self, member: int, sign: int) -> bool:
        log, name = self._connection.log, self.name
        expelled = await log.ask_at_once(lambda store: store.expel_member(name, member, sign))
        if expelled:
            logger.warning(
                "a member of the group %r has been silent for %g seconds: others have its share "
                "from now on", name, self._silent_s,
            )  # fmt: skip
        return expelled

    async def _give_up(self, view: GroupView, mine: set[int]) -> None:
        """Slots that it leaves, as soon as nothing of them is in hand; and those that it has
        without its knowledge, where an answer was lost, and that it is not to have."""
        await self._free({
            slot: record.epoch for slot, record in view.slots.items()
            if record.member == self._member and slot not in self.share.numbers | mine
        })  # fmt: skip
        if settled := self.share.settled():
            await self.move()
            epochs = {slot: epoch for slot, epoch in self.share.epochs().items() if slot in settled}
            self._given_up = epochs
            await self._free(epochs)
            self.share.remove(settled)

    async def _free(self, epochs: dict[int, int]) -> None:
        if epochs:
            log, name = self._connection.log, self.name
            await log.ask_at_once(lambda store: store.free_slots(name, epochs))
            logger.info("a member of the group %r gives up %s", self.name, _said(epochs))

    async def _take(self, view: GroupView, slots: set[int]) -> None:
        if not slots:
            return
        seen = {slot: view.slots[slot].epoch for slot in sorted(slots)}
        epoch = int.from_bytes(self._connection.world.random(8)) % 2**62
        records = await self._connection.log.ask_at_once(
            lambda store: store.take_slots(self.name, self._member, epoch, seen)
        )
        taken = {int(record.name.rpartition("/")[2]): record for record in records}
        if taken and not self._over:
            logger.info("a member of the group %r takes %s", self.name, _said(taken))
            with self.share.lock:  # so that whoever takes a page knows which deal it is of
                self.share.add(taken)
                if self._inlet is not None:
                    self._go_on(self._inlet, self.share.start(0))

    async def _hear(self, refused: dict[int, CheckpointMove]) -> None:
        """Why these moves were. Raises SubscriptionTaken where the group was dropped, and whoever
        reads is told."""
        if not refused:
            return
        names = {move.name for move in refused.values()}
        records = await self._connection.log.ask_at_once(lambda store: store.subscriptions())
        there = {record.name for record in records if record.epoch != UNHAD}  # as it was had here
        if not names <= there:
            self._lost = SubscriptionTaken(self.name)
            if self._inlet is not None:
                self._inlet.fail(self._lost)
            raise self._lost
        self._lose({slot: move.epoch for slot, move in refused.items()})

    def _lose(self, epochs: Mapping[int, int]) -> None:
        """Slots that it had under these epochs, and has no more. One that it has given up itself,
        where the answer was lost, nobody has taken from it."""
        lost = self.share.lose(epochs)
        if taken := [slot for slot in lost if self._given_up.get(slot) != epochs[slot]]:
            logger.warning(
                "another member of the group %r has taken %s over: what this one has not kept of "
                "them comes again there", self.name, _said(taken),
            )  # fmt: skip

    def _go_on(self, inlet: Inlet, after: int | None) -> None:
        """Read from there on; or read nothing, as long as it has no share."""
        if after is not None:
            inlet.restart(after)
            self._reads = True
        elif self._reads and not self.share.numbers:
            inlet.restart(None)
            self._reads = False

    def _say_waiting(self, members: list[int], mine: set[int]) -> None:
        if not mine and not self._waits:
            logger.warning(
                "the group %r has %d members, and %d slots: this one has no share, and waits until "
                "another one leaves", self.name, len(members), SLOTS,
            )  # fmt: skip
        self._waits = not mine

    def _look_soon(self) -> None:
        self._in_loop(self._look_now.set)


def _said(slots: Iterable[int]) -> str:
    return f"slots {', '.join(map(str, sorted(slots)))}"

"""One member of a group: its signs of life, its share of the slots, and what the store is told.

Each member looks at the group about ten times in the time after which a silent one is out. What it
sees says who is to have which slot (dealing.py): of its own it gives up those that are not to be
its own any more, once nothing of them is in hand; it takes those that nobody has, or a member had
that is out. Whoever has a slot is known by its epoch, and nobody else moves its checkpoint. So a
mistake about who lives costs events that come twice, and never one that is skipped.

Whether another one is silent is judged by the clock of this process, and only while it sees the
group itself: after it could not, it begins to count anew. So nobody is out because the database was
away."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

from actors.errors import ThornbackError
from runtime.driver.connection import Connection
from runtime.driver.inlet import Inlet
from runtime.driver.starting import Start, position_of
from runtime.errors import ConnectionClosed, ShareTaken, SubscriptionTaken, fresh
from runtime.processing.dealing import dealt
from runtime.processing.keeping import Keeping
from runtime.processing.share import Share
from runtime.processing.taken_names import check_group
from store.groups import NOBODY, GroupView
from store.selection import Selection
from store.slots import SLOTS

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
        self._looked_s: float | None = None  # the last time that it saw the group
        self._signs = 0  # of life, that it has given
        #: Of each other member: the last sign that was seen, and since when it was.
        self._heard: dict[int, tuple[int, float]] = {}
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
        SchemaMismatch, and what ended it."""
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
            self._lose({number for number, move in moves.items() if move.name in refused})
            return self.share.kept_through()

    async def told(self) -> int:
        """What `finish` is answered with. Raises ShareTaken where something that was finished
        since the last answer is another member's to finish."""
        position = await self.move()
        if taken := self.share.taken():
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
        if self._looking is not None:
            await asyncio.wait({self._looking})  # or what it has asked for would come behind this
        if self._lost is None or isinstance(self._lost, SubscriptionTaken):  # and no other log
            log = self._connection.log
            await log.ask_at_once(lambda store: store.leave_group(self.name, self._member))

    async def _keep_looking(self, inlet: Inlet) -> None:
        self._go_on(inlet, None)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._look_now.wait()
            self._look_now.clear()
            try:
                await self._look()
                self._go_on(inlet, None)
            except SubscriptionTaken as error:
                inlet.fail(error)
                return
            except ThornbackError as error:
                self._looked_s = None
                logger.info("a member of the group %r does not see it: %s", self.name, error)
            except Exception:
                self._looked_s = None
                logger.exception("a member of the group %r has failed", self.name)

    async def _look(self) -> GroupView:
        """Say that it is there, and do what follows from what it sees."""
        if self._over:
            raise ConnectionClosed(self._connection.namespace)
        log = self._connection.log
        self._signs += 1
        sign = self._signs
        view = await log.ask_at_once(lambda store: store.meet_group(self.name, self._member, sign))
        if len(view.slots) < SLOTS or view.slots[0].selection != self._selection:
            self._lost = SubscriptionTaken(self.name)
            raise self._lost
        out = await self._put_out(view)
        members = [member for member in view.members if member not in out]
        had = self.share.epochs()
        self._lose({slot for slot, epoch in had.items() if view.slots[slot].epoch != epoch})
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

    async def _put_out(self, view: GroupView) -> set[int]:
        """Whoever was silent for too long is no member any more."""
        now_s = asyncio.get_running_loop().time()
        if self._looked_s is None or now_s - self._looked_s > 2 * self._look_s:
            self._heard.clear()  # it saw nothing itself, or hung: nobody's silence says anything
        self._looked_s = now_s
        out: set[int] = set()
        heard, self._heard = self._heard, {}
        for member, sign in view.members.items():
            last, since_s = heard.get(member, (sign, now_s))
            if member == self._member:
                continue
            self._heard[member] = (sign, since_s if sign == last else now_s)
            silent = sign == last and now_s - since_s >= self._silent_s
            if silent and await self._expelled(member, sign):
                out.add(member)
        return out

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
        if taken:
            logger.info("a member of the group %r takes %s", self.name, _said(taken))
            with self.share.lock:  # so that whoever takes a page knows which deal it is of
                self.share.add(taken)
                if self._inlet is not None:
                    self._go_on(self._inlet, self.share.start(0))

    def _lose(self, slots: set[int]) -> None:
        if slots:
            self.share.lose(slots)
            logger.warning(
                "another member of the group %r has taken %s over, or the group was dropped: what "
                "this one has not kept of them comes again there", self.name, _said(slots),
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

"""Running handlers together: each event comes to all of them in an order (streams/handlers.py).

The company reads and decodes the log once. Of a batch of events, first the handler with the highest
priority makes what it makes, then the next; all of that, and the checkpoints of all of them, is one
append. A handler that fails leaves (companion.py) when what it and the others have made so far is
committed, and is let in again when it has come as far as they are by then.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from actors.event import Event
from runtime.processing.companion import Companion
from runtime.processing.evaluation import StepFailed
from runtime.processing.lanes import Lane
from runtime.processing.program_run import ProgramRun
from runtime.telemetry.metrics import ProgramMetrics
from runtime.topology.status import WorkerFacts
from store.appends import CheckpointMove
from streams.handlers import Handlers


class CompanyLane(Lane):
    """Slots of those who are together, and how far they are; each of them has a lane of its own,
    with its receipts."""

    __slots__ = ("companions", "leaving")

    def __init__(self, position: int) -> None:
        super().__init__(position, None)
        self.companions: dict[Companion, Lane] = {}
        #: Who has failed, where it is, which is not as far, and at what.
        self.leaving: dict[Companion, tuple[Lane, StepFailed]] = {}

    def add(self, companion: Companion, lane: Lane) -> None:
        """One that is where all are."""
        if (there := self.companions.get(companion)) is None:
            self.companions[companion] = lane
        else:
            there.position = self.position
            there.join(lane)
        self.slots |= lane.slots

    def join(self, other: Lane) -> None:
        """The other one has come as far as this one."""
        assert isinstance(other, CompanyLane)
        for companion, lane in other.companions.items():
            lane.position = other.position
            self.add(companion, lane)


class Company(ProgramRun):
    """Those handlers, in the worker `index` of `workers`. It has no checkpoint: it is where they
    are."""

    #: Slots of a handler that are no further behind the furthest one when a worker begins are
    #: brought up together with those of the others, in the order of priority; the handler is apart
    #: otherwise, and for as long as it is further behind.
    ABREAST = 10_000

    def __init__(
        self,
        program: Handlers,
        *args: Any,
        metrics_of: Callable[[str], ProgramMetrics],
        spawn: Callable[[Companion], Any],
        **kwargs: Any,
    ) -> None:
        """`spawn` has one that is apart run in the background."""
        super().__init__(program, *args, metrics=metrics_of(program.name), **kwargs)
        self.companions = tuple(
            Companion(handler, *args, meeting=self, metrics=metrics_of(handler.name), **kwargs)
            for handler in program.handlers
        )
        self._spawn = spawn
        self._away: set[Companion] = set()  #: who is apart
        self._knocking: deque[tuple[Companion, asyncio.Future[bool]]] = deque()
        self._moved = asyncio.Event()  #: the front may be another one
        # Of one incarnation:
        self._lanes: list[CompanyLane] = []  #: in the order in which they are brought together
        self._carried: list[Companion] = []  #: whose work is in the append that is being sent

    def all_facts(self) -> WorkerFacts:
        """What there is to say of it, and of each handler."""
        theirs = tuple(companion.facts for companion in self.companions)
        troubles = [f"{each.program} {each.trouble}" for each in theirs if each.trouble]
        return replace(
            self.facts,
            events=sum(each.events for each in theirs),
            outputs=sum(each.outputs for each in theirs),
            failures=sum(each.failures for each in theirs),
            letters=sum(each.letters for each in theirs),
            parked=sum(each.parked for each in theirs),
            paused=any(each.paused for each in theirs),
            trouble="; ".join([*([self.facts.trouble] if self.facts.trouble else []), *troubles])
            or None,
            handlers=theirs,
        )

    # What those who are apart see (Meeting) --------------------------------------------------

    @property
    def front(self) -> int:
        """The position up to which what those who are together have made is committed: what they
        have evaluated beyond it is not in the log yet, and nobody is to get before it there."""
        return self._committed

    async def let_in(self, companion: Companion) -> bool:
        """Wait until it is one of those who are together; False where it is too far behind."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._knocking.append((companion, answer))
        self._changed.set()
        return await answer

    async def passed(self, position: int) -> int:
        """Wait until the front is beyond a position; where it is then."""
        while self.front <= position:
            self._moved.clear()
            await self._moved.wait()
        return self.front

    def wake(self) -> None:
        """Somebody wishes something of a companion."""
        self._changed.set()

    # One incarnation ----------------------------------------------------------------------

    async def _begin(self) -> list[Lane]:
        """Those who are not apart, by how far their slots are."""
        await self._open_node()
        self._keys = self._key_table()  # there are none: each handler has its own
        opened: dict[Companion, list[Lane]] = {}
        for companion in self.companions:
            if companion not in self._away:
                opened[companion] = await companion.open(self._clock, self._after)
        furthest = max((own[-1].position for own in opened.values()), default=self.front)
        lanes: dict[int, CompanyLane] = {furthest: CompanyLane(furthest)}
        behind: list[Companion] = []
        for companion, own in opened.items():
            if own[0].position < furthest - self.ABREAST:
                behind.append(companion)
                continue
            for lane in own:
                lanes.setdefault(lane.position, CompanyLane(lane.position)).add(companion, lane)
        self._lanes = [lanes[position] for position in sorted(lanes)]
        self._lane = self._lanes[-1]
        self._committed = self._lanes[0].position
        for companion in behind:
            self._part(companion)
        return list(self._lanes)

    @property
    def slot_names(self) -> frozenset[str]:
        return frozenset(name for companion in self.companions for name in companion.slot_names)

    async def _was_interrupted(self) -> bool:
        together = [companion for companion in self.companions if companion not in self._away]
        return await self._are_nobodys(
            frozenset(name for companion in together for name in companion.slot_names)
        )

    async def _evaluate(self, lane: Lane, events: Sequence[Event], through: int) -> int:
        assert isinstance(lane, CompanyLane)
        for companion in self.companions:
            if (own := lane.companions.get(companion)) is None:
                continue
            effects, failed = await companion.hand(own, events, through)
            self._effects.add(effects)
            if failed is not None:
                del lane.companions[companion]
                lane.leaving[companion] = own, failed
        lane.position = max(lane.position, through)
        return len(events)

    async def _finish_due(self, lane: Lane) -> None:
        """Of a batch nothing is due; who has failed at one of its events leaves."""
        assert isinstance(lane, CompanyLane)
        if lane.leaving:
            await self._commit(lane)
            leaving, lane.leaving = lane.leaving, {}
            for companion, (_, failed) in leaving.items():
                self._part(companion, failed)
        if lane is self._lane:  # there slots are not brought to one place any more
            await self._let_them_in(lane)

    async def _attend(self, lane: Lane) -> bool:
        """Who has something to replay leaves; who has come up is let in."""
        assert isinstance(lane, CompanyLane)
        self._moved.set()
        wishing = [companion for companion in lane.companions if companion.wishes_something()]
        if wishing:
            await self._commit(lane)
            for companion in wishing:
                self._part(companion)
        await self._let_them_in(lane)
        return False

    async def _let_them_in(self, lane: CompanyLane) -> None:
        for _ in range(len(self._knocking)):
            companion, answer = self._knocking[0]
            near = self.front - companion.position <= self.ABREAST
            if near and not answer.done() and companion.position <= lane.position:
                await self._commit(lane)  # before what this one makes of it
            self._knocking.popleft()
            if answer.done():
                continue  # its worker ends
            if companion.position > lane.position:  # this company has begun anew
                self._knocking.append((companion, answer))
            elif near:
                await self._let_in(lane, companion, answer)
            else:
                answer.set_result(False)

    async def _let_in(
        self, lane: CompanyLane, companion: Companion, answer: "asyncio.Future[bool]"
    ) -> None:
        try:
            own = await companion.come_up(lane.position, self._clock)
        except asyncio.CancelledError:
            answer.cancel()
            raise
        except Exception as error:  # it is for the one whose work that was to see to it
            if not answer.done():  # else its worker ends
                answer.set_exception(error)
            return
        if not answer.done():
            lane.add(companion, own)
            self._away.discard(companion)
            answer.set_result(True)

    def _part(self, companion: Companion, failed: StepFailed | None = None) -> None:
        """From now on it goes on by itself. All that it has made is committed."""
        for lane in self._lanes:
            lane.companions.pop(companion, None)
        self._away.add(companion)
        companion.leave(failed)
        self._spawn(companion)

    # What is committed --------------------------------------------------------------------

    def _moves(self, lane: Lane) -> list[CheckpointMove]:
        assert isinstance(lane, CompanyLane)
        for own in lane.companions.values():
            own.position = lane.position
        theirs = lane.companions | {companion: own for companion, (own, _) in lane.leaving.items()}
        self._carried = list(theirs)
        return [move for companion, own in theirs.items() for move in companion.sent(own)]

    def _settle(self) -> None:
        done = self._sending is not None and self._sending.done()
        super()._settle()
        if done:
            self._moved.set()
            for companion in self._carried:
                companion.committed()

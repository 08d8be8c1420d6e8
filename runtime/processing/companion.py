"""A handler of a company: what it is by itself, and what it is together with the others.

Together, the company hands it events and commits what it makes of them. Apart, it runs as any
program does, until it has come up with the company and is let in: while it fails at an event, and
is tried again, parks it or stands there; while its dead letters are replayed; and where it is far
behind. It has checkpoints of its own, so neither is a matter of what is in the log.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from actors.event import Event
from runtime.clocks import NodeClock
from runtime.processing.evaluation import Effects, StepFailed
from runtime.processing.lanes import Lane
from runtime.processing.program_run import ProgramRun
from store.appends import CheckpointMove
from store.slots import slot_of_event
from streams.handler import Handler
from streams.handlers import selects


class Meeting(Protocol):
    """Where the company is, for whoever is apart."""

    @property
    def front(self) -> int:
        """The position up to which what the others have made is committed."""

    async def let_in(self, companion: "Companion") -> bool:
        """Wait until the company has brought this one up to where it is, and taken it in. False
        where it has gone on too far meanwhile. Raises what keeps it from coming there: it is apart
        still."""

    async def passed(self, position: int) -> int:
        """Wait until the front is beyond a position; where it is then."""

    def wake(self) -> None:
        """Somebody wishes something of a companion."""


class Companion(ProgramRun):
    """One handler, in the worker `index` of `workers`."""

    #: So near to the company, which goes on all the while, it is waited for: the others stand for
    #: as long as that takes.
    NEAR = 1_000

    def __init__(self, handler: Handler, *args: Any, meeting: Meeting, **kwargs: Any) -> None:
        super().__init__(handler, *args, **kwargs)
        self._meeting = meeting
        self._selects = selects(handler)
        self._failed_at: StepFailed | None = None  #: it has left the company because of that
        # What it has made together with the others, and is not sent:
        self._made_outputs = self._made_letters = self._made_batch = 0

    # Together -----------------------------------------------------------------------------

    async def open(self, clock: NodeClock, after: int) -> list[Lane]:
        """Its slots, by how far they are: what comes of them is the company's to append, whose
        clock that is."""
        self._clock = clock
        lanes = await self._open_slots(after)
        self._made_outputs = self._made_letters = self._made_batch = 0
        return [lanes[position] for position in sorted(lanes)]

    async def hand(
        self, lane: Lane, events: Sequence[Event], through: int
    ) -> tuple[Effects, StepFailed | None]:
        """What it makes of events, the next of the log up to `through`; up to the first one at
        which it fails, with which it has to leave. Raises StoreUnavailable."""
        failed: StepFailed | None = None
        theirs = [event for event in events if self._selects(event)]
        while True:
            effects = Effects()
            try:
                await self._evaluation.evaluate(lane, theirs, through, effects)
                break
            except StepFailed as error:
                failed, through = error, (error.event.position or 0) - 1
                theirs = [event for event in theirs if (event.position or 0) <= through]
        self._made_outputs += len(effects.rows)
        self._made_letters += effects.put_away
        self._made_batch = effects.batch
        finished = sum(slot_of_event(event) in lane.slots for event in theirs)
        self._say(events=self.facts.events + finished)
        return effects, failed

    def sent(self, lane: Lane) -> list[CheckpointMove]:
        """How far an append of the company takes it, with all that it has made."""
        self._sent_batch, self._sent_position = self._made_batch, lane.position
        self._sent_outputs, self._sent_letters = self._made_outputs, self._made_letters
        self._made_outputs = self._made_letters = 0
        return self._moves(lane)

    def committed(self) -> None:
        """That append is in the log."""
        self._metrics.put_away(self._sent_letters)
        self._say(
            position=self._sent_position,
            outputs=self.facts.outputs + self._sent_outputs,
            letters=self.facts.letters + self._sent_letters,
            parked=len(self._parked),
        )
        self._keys.forget_settled(self._sent_batch)

    def wishes_something(self) -> bool:
        """Is there anything to replay that somebody wishes? Those who wish for nothing are told."""
        while self._wishes and self._wishes[0].next_of(self._parked) is None:
            self._wishes.popleft().fulfil()
        return bool(self._wishes)

    def leave(self, failed: StepFailed | None) -> None:
        """From now on it is apart: `run` it."""
        self._failed_at = failed

    # Apart --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the company has let it in. Raises as ProgramRun does."""
        failed, self._failed_at = self._failed_at, None
        if failed is not None:
            await self._failed(failed)
        await super().run()

    @property
    def position(self) -> int:
        """How far it is, apart."""
        return self._lane.position

    async def come_up(self, position: int, clock: NodeClock) -> Lane:
        """Bring it to where the company is, whose clock is its own from then on. Raises what keeps
        it from coming there: it is apart still."""
        await self._align(self._lane, position)
        self._clock = clock
        self._forget(self._began)
        self._made_batch = 0
        return self._lane

    async def _bring_up(self, lane: Lane, position: int) -> None:
        """Not before the others, of whom slots may lag, too, and are brought up meanwhile."""
        while lane.position < position:
            front = await self._meeting.passed(lane.position)
            await self._align(lane, min(front, position))

    def _wake(self) -> None:
        super()._wake()
        self._meeting.wake()

    async def _follow(self, lane: Lane) -> None:
        self._lane = lane
        self._committed = lane.position
        self._settled.set()
        self._say(position=lane.position)
        while True:
            front = self._meeting.front
            if self._wishes:
                await self._attend(lane)
            elif front - lane.position > self.NEAR:
                await self._align(lane, min(front, lane.position + self.ALIGNED))
            elif await self._meeting.let_in(self):
                return

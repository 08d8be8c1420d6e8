"""Replaying dead letters: what waits, in its order, as far as the program gets with it.

A piece at a time, each of which is one append with the outputs, the states and the letters that are
paid: whoever is killed in between goes on, when he is asked again, with what is left.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from actors.event import Event
from runtime.clocks import NodeClock
from runtime.processing.dead_letters import Replayed
from runtime.processing.evaluation import Effects, Evaluation, StepFailed
from runtime.processing.lanes import Lane
from runtime.processing.parked_here import Failure, ParkedHere
from runtime.processing.reading import Reading
from store.dead_letters import DeadLetter, LetterChange, Parked, slots_mask
from store.event_store import EventStore
from store.rows.decoding import Decoder
from store.slots import slot_of_key

#: Letters of one append.
TOGETHER = 500
#: The reason of a letter whose turn comes next.
NEXT = "it has waited behind events that were replayed; replay it, too"

Waiting = tuple[DeadLetter, Event]
#: Makes what evaluates, with keys of its own, and with this that is parked.
Evaluations = Callable[[ParkedHere], Evaluation]


@dataclass(slots=True, eq=False)
class Wish:
    """That dead letters are replayed: of something, or all that there are."""

    done: "asyncio.Future[Replayed]"
    parked: Parked | None
    events: int = 0
    failed: dict[Parked, str] = field(default_factory=dict)

    def next_of(self, parked: ParkedHere) -> Parked | None:
        """What is to be replayed next; None: it is fulfilled."""
        wanted = parked.all() if self.parked is None else [self.parked]
        there = parked.keys, parked.sources
        for each in wanted:
            if each.name in there[each.by_source] and each not in self.failed:
                return each
        return None

    def note(self, parked: Parked, piece: "Piece") -> None:
        """A piece is committed."""
        self.events += piece.replayed
        if piece.failure is not None:
            self.failed[parked] = piece.failure.reason

    def fulfil(self) -> None:
        """Tell whoever wishes."""
        failed = {str(parked): reason for parked, reason in self.failed.items()}
        if not self.done.done():
            self.done.set_result(Replayed(events=self.events, parked=failed))

    def refuse(self, error: Exception) -> None:
        """It comes to nothing."""
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What the next letters of something come to."""

    effects: Effects
    replayed: int
    left: DeadLetter | None  #: the next one
    failure: Failure | None  #: with which the program fails at that
    due_us: int | None  #: when the key is looked at again


class Replay:
    """Of what one worker has, with the lane as it stands. Nothing here is stored."""

    def __init__(
        self,
        store: EventStore,
        reading: Reading,
        clock: NodeClock,
        lane: Lane,
        here: ParkedHere,
        evaluations: Evaluations,
    ) -> None:
        self._store, self._reading = store, reading
        self._clock, self._lane = clock, lane
        self._here, self._evaluations = here, evaluations
        self._decoder = Decoder()

    async def piece(self, parked: Parked) -> Piece:
        """The next letters, up to one at which the program fails. Raises StoreUnavailable."""
        after = 0
        if parked.by_source:
            after = min(self._here.sources[parked.name].values()) - 1
        letters = await self._store.dead_letters(parked, after, TOGETHER + 1)
        mine = slots_mask(self._lane.slots)
        theirs = [letter for letter in letters if letter.slots & mine]
        waiting = await self._with_events(theirs[:TOGETHER])
        left = theirs[TOGETHER] if len(theirs) > TOGETHER else None
        failure: Failure | None = None
        done: tuple[Effects, int | None] | None = None
        while done is None:
            ticks = self._clock.ticks
            try:
                done = await self._evaluated(parked, waiting, is_all=left is None)
            except StepFailed as failed:  # at one of them: those before it, by themselves
                self._clock.ticks = ticks
                at = [event.position for _, event in waiting].index(failed.event.position)
                left, waiting = waiting[at][0], waiting[:at]
                failure = Failure.of(failed.__cause__ or failed, left.tries + 1)
        effects, due_us = done
        effects.letters += [_change(letter, mine, gone=True) for letter, _ in waiting]
        if left is not None and (failure is not None or left.reason is None):
            effects.letters.append(_change(left, mine, failure or Failure(NEXT)))
        return Piece(
            effects=effects, replayed=len(waiting), left=left, failure=failure, due_us=due_us
        )

    async def _evaluated(
        self, parked: Parked, waiting: Sequence[Waiting], *, is_all: bool
    ) -> tuple[Effects, int | None]:
        """What they come to, and when the key is to be looked at again."""
        evaluation, effects = self._evaluations(self._here.copied()), Effects()
        lane = Lane(self._lane.position, self._lane.watermark_us)
        if parked.by_source:
            for slot in self._lane.slots:
                lane.add_slot(slot)
            await evaluation.replay_source(lane, waiting, effects)
            return effects, None
        lane.add_slot(slot_of_key(parked.name))
        lane.plan(parked.name, self._here.keys[parked.name])
        until_us = self._lane.watermark_us if is_all else None
        await evaluation.replay_key(lane, parked.name, waiting, until_us, effects)
        return effects, lane.unplan(parked.name)

    async def _with_events(self, letters: Sequence[DeadLetter]) -> list[Waiting]:
        events: dict[bytes, Event] = {}
        wanted = [letter.event_id for letter in letters]
        while wanted:
            found = await self._reading.find_rows(wanted)
            page = self._decoder.page(found.rows)
            self._clock.observe_all(page.clocks)
            events |= {event.id_bytes: event for event in page.events}
            wanted = [each for each in wanted if each not in events] if found.more else []
        return [(letter, events[letter.event_id]) for letter in letters]


def _change(
    letter: DeadLetter, slots: int, failure: Failure | None = None, *, gone: bool = False
) -> LetterChange:
    return LetterChange(
        parked=letter.parked,
        position=letter.position,
        event_id=letter.event_id,
        slots=letter.slots & slots,
        watermark_us=letter.watermark_us,
        reason=failure.reason if failure else None,
        frames=failure.frames if failure else (),
        tries=failure.tries if failure else 0,
        gone=gone,
    )

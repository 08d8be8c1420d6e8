"""Whatever happens on the way to the log, a host's histories hold what it promises.

Random drivers, random commands and random failures, in virtual time; a seed replays one.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from actors.actor import Command
from actors.event import Event
from actors.lifecycle import LIFECYCLE
from runtime.errors import HostUnavailable, MailboxFull
from runtime.partition.writer_link import WriterAway
from runtime.wire.answers import read_events, unpack_state
from runtime.wire.commands import STATE, Answer, Request, unpack_answer
from store.appends import Acknowledged, Append
from store.errors import RowsRefused
from store.rows.decoding import Decoder
from tests.unit.hosting import (
    NODE,
    Add,
    AddOnce,
    AddUpTo,
    Break,
    Counter,
    Hosting,
    Spoil,
    command,
)
from tests.unit.writing import lost_after, lost_before
from tests.virtual_time import settled, virtual_time

SEEDS = 100
ACTORS = [f"counter/{name}" for name in "abcde"]
#: Its rows are what the database refuses, whoever sends them.
CURSED = "counter/cursed"
MESSAGES: list[Command | str] = [
    Add(),
    Add(times=3),
    AddOnce(),
    AddUpTo(total=4),
    Break(),
    Spoil(),
    STATE,
]
WEIGHTS = [8, 4, 2, 2, 2, 1, 2]


class Trouble:
    """What becomes of a host's appends on their way."""

    def __init__(self, host: Hosting, rng: random.Random) -> None:
        self._host = host
        self._rng = rng
        self.over = False

    async def way(self, append: Append) -> Acknowledged:
        """Instead of the way to the writer."""
        rng, store = self._rng, self._host.store
        if self.over:
            return await self._commit(append)
        await asyncio.sleep(rng.random() * 0.01)
        if rng.random() < 0.1:
            raise WriterAway("before it got there")
        if rng.random() < 0.05:
            store.cues.append(rng.choice([lost_before, lost_after]))
        acknowledged = await self._commit(append)
        await asyncio.sleep(rng.random() * 0.01)
        if rng.random() < 0.1:
            raise WriterAway("on the way back")
        return acknowledged

    async def _commit(self, append: Append) -> Acknowledged:
        if CURSED.encode() in append.rows.data:
            # The writer is to hear of it, too: it holds nothing back for it then.
            raise RowsRefused("cursed") if append.sequence == 0 else WriterAway("cursed")
        return await self._host.writing.writer.append(append)


@dataclass
class Driver:
    """Sends its batches in order, some at a time, and again what was turned away."""

    name: bytes
    host: Hosting
    rng: random.Random
    batches: list[list[list[Any]]]
    answers: dict[int, Answer] = field(default_factory=dict)
    clock: dict[str, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Until everything is answered."""
        generation = 0
        while left := [n for n in range(len(self.batches)) if n not in self.answers]:
            generation += 1
            hello = Request(self.name, generation, 0, {}, True, [])
            await self.host.mailbox.put(hello).answer
            window = left[: self.rng.randint(1, 5)]
            sent = list(self._sent(generation, window))
            done = [unpack_answer(await one.answer) for one in sent]
            kept = [answer.turned_away is None for answer in done]
            assert kept == sorted(kept, reverse=True), "one was run after one that was turned away"
            for number, answer in zip(window, done, strict=False):
                if answer.turned_away is None:
                    self.answers[number] = answer
                    await self._look_at(answer)
            await asyncio.sleep(self.rng.random() * 0.01)

    def _sent(self, generation: int, window: list[int]) -> Iterator[Any]:
        for sequence, number in enumerate(window, 1):
            request = Request(
                self.name, generation, sequence, dict(self.clock), True, self.batches[number]
            )
            try:
                yield self.host.mailbox.put(request)
            except (MailboxFull, HostUnavailable):
                return

    async def _look_at(self, answer: Answer) -> None:
        stored = (await self.host.store.epochs([NODE]))[NODE].counter
        assert answer.clock.get(NODE, 0) <= stored, "ticks that are not stored"
        for node, count in answer.clock.items():
            self.clock[node] = max(self.clock.get(node, 0), count)


def made_batches(rng: random.Random) -> list[list[list[Any]]]:
    """Batches of one driver; some commands come twice."""
    batches: list[list[list[Any]]] = []
    known: list[list[Any]] = []
    for _ in range(rng.randint(3, 8)):
        batch = []
        for _ in range(rng.randint(1, 6)):
            if known and rng.random() < 0.15:
                batch.append(rng.choice(known))
                continue
            source = CURSED if rng.random() < 0.02 else rng.choice(ACTORS)
            (message,) = rng.choices(MESSAGES, WEIGHTS)
            batch.append(command(source, message))
            known.append(batch[-1])
        batches.append(batch)
    return batches


async def history(seed: int) -> None:
    """One history, and the look at it afterwards."""
    rng = random.Random(seed)
    strategy = rng.choice(["restart", "resume", "stop"])
    host = await Hosting.begin(
        strategy=strategy,
        capacity=rng.choice([2, 1000]),
        frequency=rng.choice([2, 1000]),
        mailbox=rng.choice([10, 1000]),
        recent=rng.choice([3, 1000]),
    )
    trouble = Trouble(host, rng)
    host.way = trouble.way  # type: ignore[method-assign]
    drivers = [Driver(bytes([n]), host, rng, made_batches(rng)) for n in range(rng.randint(1, 3))]
    working = asyncio.gather(*(driver.run() for driver in drivers))
    while not working.done():
        await asyncio.sleep(0.02)
        if rng.random() < 0.1:
            host.register(type("Counter", (Counter,), {"__slots__": ()}))
        if rng.random() < 0.05:
            trouble.over = not trouble.over
    await working
    trouble.over = True
    await settled()
    assert not host.running.done()
    assert host.mailbox.unanswered == 0
    await look_at(host, drivers, strategy)


async def look_at(host: Hosting, drivers: list[Driver], strategy: str) -> None:
    """Is what was answered in the log, once, and in order?"""
    logged = Decoder().events((await host.store.read(0, 1_000_000)).rows)
    of_command: dict[bytes, list[Event]] = {}
    stopped: set[bytes] = set()  # commands at which an actor was
    for event in logged:
        assert event.causation_id is not None
        if event.event_type in LIFECYCLE:
            stopped.add(event.causation_id.bytes)
            continue
        of_command.setdefault(event.causation_id.bytes, []).append(event)
    for source in {*ACTORS, CURSED}:
        theirs = [event.version for event in logged if event.source == source]
        assert theirs == list(range(1, len(theirs) + 1))
    for driver in drivers:
        check_answers(driver, of_command)
        assert strategy != "stop" or stopped >= failed_of(driver)
    if strategy == "stop":
        return
    for source in ACTORS:
        counted = [event for event in logged if event.source == source]
        host.begin_generation()
        answer = await host.deliver(command(source, STATE))
        state = unpack_state(answer)
        assert (state["version"], state["state"]["total"]) == (len(counted), len(counted))


def check_answers(driver: Driver, of_command: dict[bytes, list[Event]]) -> None:
    positions: dict[str, list[int]] = {}
    seen: set[bytes] = set()
    for number, batch in enumerate(driver.batches):
        answer = driver.answers[number]
        for index, sent in enumerate(batch):
            if sent[1] == STATE and index in answer.values:
                continue
            logged = of_command.get(sent[2], [])
            told = [] if index in answer.errors else read_events(answer, index)
            what = answer.errors.get(index, "no error")
            assert told == logged, f"batch {number}, command {index}: {what}"
            for event in told:
                counts = dict(event.vector_clock)
                assert all(answer.clock.get(node, 0) >= count for node, count in counts.items())
            if told and sent[2] not in seen:
                seen.add(sent[2])
                positions.setdefault(sent[0], []).append(told[0].position or 0)
    for theirs in positions.values():
        assert all(first < second for first, second in pairwise(theirs)), "out of order"


def failed_of(driver: Driver) -> set[bytes]:
    """The commands that were answered with a failure of their own."""
    return {
        driver.batches[number][index][2]
        for number, answer in driver.answers.items()
        for index, (name, arguments) in answer.errors.items()
        if name == "HandlerFailed" and arguments[3] == "stop"
    }


@pytest.mark.parametrize("seed", range(SEEDS))
@virtual_time
async def test_what_a_host_answers_is_what_the_log_has(seed: int) -> None:
    await history(seed)

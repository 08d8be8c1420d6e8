"""Bulk calls of a simulated driver: the runtime's generators, driven by an event of the loop."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from actors.errors import ThornbackError
from actors.event import Event
from runtime.driver.bulk import BulkCall, BulkResult, Item, Send
from runtime.driver.bulk_steps import asking, telling
from runtime.driver.reply import Reply
from runtime.wire.commands import ID
from runtime.wire.values import unpack_value
from tests.simulation.history import Call, seen
from tests.simulation.log_index import must_fail
from tests.simulation.plan import Step
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.drivers import Driver

#: How long a bulk call sends its batches again.
PATIENCE_S = 4.0


class ProgressFailed(Exception):
    """What a caller's own `progress` raises."""


async def bulk(driver: "Driver", step: Step) -> None:
    """One bulk call, to its end."""
    calls: list[Call] = []
    changed = asyncio.Event()
    wants_events = step.more["way"] == "ask"
    call = BulkCall(PATIENCE_S, want_events=wants_events, changed=changed.set)
    try:
        if wants_events:
            await _ask(driver, step, calls, call, changed)
        else:
            await _tell(driver, step, calls, call, changed)
    except ThornbackError as error:
        for one in calls:
            if one.ended_s is None:
                driver.failed(one, error)
    if calls and not all(one.ended_s is not None for one in calls):
        driver.history.complain(f"bulk call {step.number} ended before its commands did")


def _items(driver: "Driver", step: Step, calls: list[Call]) -> Iterator[Item]:
    for part in step.parts:
        ref = driver.ref(part.source)
        call = driver.called(part, "bulk")
        call.group, call.deadline_s = step.number, float("inf")
        calls.append(call)
        yield Send(ref, driver.message(part), call.id)


async def _ask(
    driver: "Driver", step: Step, calls: list[Call], call: BulkCall, changed: asyncio.Event
) -> None:
    draw = stream(driver.holder.loop.seed, "asking", step.number)
    leaves_at = draw.randrange(1, 10) if draw.random() < 0.3 else 0
    steps = asking(_items(driver, step, calls), call, 10)
    answered = 0
    for reply in steps:
        if reply is None:
            await changed.wait()
            changed.clear()
            continue
        await _note(driver, calls[answered], reply)
        answered += 1
        if answered == leaves_at:
            _leave(driver, calls[answered:], call)
            return


def _leave(driver: "Driver", taken: list[Call], call: BulkCall) -> None:
    """Nobody looks at what else was taken: it has its effects, or is said not to be sent."""
    unsent = {unpack_value(packed)[ID] for one in call.leave() for packed in one.commands}
    driver.history.unsent |= unsent
    for one in taken:
        driver.ended(one)


async def _note(driver: "Driver", call: Call, reply: Reply[list[Event]]) -> None:
    if not reply.done():
        driver.history.complain(f"bulk call {call.group} gave a reply that is not done")
    try:
        events = await reply
    except Exception as error:
        driver.failed(call, error)
    else:
        call.events, call.repeated = [seen(event) for event in events], reply.repeated
        driver.ended(call)


async def _tell(
    driver: "Driver", step: Step, calls: list[Call], call: BulkCall, changed: asyncio.Event
) -> None:
    raised = False

    def progress(_: BulkResult) -> None:
        nonlocal raised
        if step.more["progress"]:
            raised = True
            raise ProgressFailed

    steps = telling(_items(driver, step, calls), call, progress)
    try:
        while True:
            next(steps)
            await changed.wait()
            changed.clear()
    except StopIteration as end:
        _judge(driver, step, calls, end.value, raised=raised)
    except ProgressFailed:
        if not raised:
            driver.history.complain(f"bulk call {step.number} raised what nobody had raised")
    for one in calls:
        driver.ended(one)


def _judge(
    driver: "Driver", step: Step, calls: list[Call], told: BulkResult, *, raised: bool
) -> None:
    """What a result says has to be so: every command is counted once, and what is said to
    have taken effect is in the log."""
    name = f"bulk call {step.number}"
    if raised:
        driver.history.complain(f"{name} returned though its progress had raised")
    if told.commands != len(calls):
        driver.history.complain(f"{name} of {len(calls)} commands counts {told.commands}")
    if told.failed < sum(map(must_fail, calls)):
        driver.history.complain(f"{name} counts {told.failed} failures")
    effective = [one for one in calls if one.message == "Note"]
    stored = sum(driver.stored(one.id) for one in effective)
    if stored < len(effective) - told.failed:
        driver.history.complain(
            f"{name} counts {told.failed} failures; {stored} of {len(effective)} are in the log"
        )

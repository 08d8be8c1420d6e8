"""Questions to a process that may be being started anew.

Ray keeps a call to a process that has just died for one to two seconds, and then says that it is
away, though its next incarnation may be there for most of that time. It does the same with a call
that is made while it starts that one, and answers those that are made afterwards. So a question is
put again while the first has no answer, and the more often the sooner it is answered.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from runtime.transport.peers import awaited

T = TypeVar("T")

#: From one question to the next: close together for as long as it takes a process to begin in a
#: warm one. Together they last as long as Ray keeps the first one; a process that is there and
#: says nothing for longer is busy, and asked no more often.
PAUSES_S = (0.05, *[0.025] * 16, *[0.1] * 17)


async def soonest(ask: Callable[[], Awaitable[T]], pauses_s: Iterable[float] = PAUSES_S) -> T:
    """The first answer to a question that may be put as often as one likes. Raises what the first
    of them to fail fails with: that is mostly the one that was put first."""
    asked: list[asyncio.Future[T]] = []
    try:
        for pause_s in pauses_s:
            asked.append(asyncio.ensure_future(awaited(ask())))
            await asyncio.wait(asked, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
            if done := [each for each in asked if each.done()]:
                return _best(done)
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        return _best([each for each in asked if each.done()])
    finally:
        for each in asked:
            each.add_done_callback(_not_needed)
            each.cancel()


def _best(done: list["asyncio.Future[T]"]) -> T:
    """An answer, if there is one among them."""
    answered = [each for each in done if each.exception() is None]
    return (answered or done)[0].result()


def _not_needed(asked: "asyncio.Future[T]") -> None:
    """Whatever became of it, somebody else has answered."""
    if not asked.cancelled():
        asked.exception()

"""A time limit that stands still while something is under way that may take its time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

#: How soon it is noticed that the limit has run out meanwhile, where it had stood still.
_LOOK_S = 0.5


async def within(limit_s: float, work: Awaitable[T], uncounted_s: Callable[[], float]) -> T:
    """What the work comes to. It has `limit_s`, and as much again as `uncounted_s` grows meanwhile:
    the seconds, since whenever, that do not count.

    Raises TimeoutError, when the work has been cancelled and has ended, and what the work raises.
    Where the caller is cancelled, so is the work, and its end is waited for.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    until_s = loop.time() - uncounted_s() + limit_s
    try:
        while True:
            left_s = until_s + uncounted_s() - loop.time()
            # While it stands still, what is left does not get less, however little it is.
            done, _ = await asyncio.wait({task}, timeout=max(left_s, 0.0))
            if done:
                return task.result()
            if until_s + uncounted_s() <= loop.time():
                break
            await asyncio.wait({task}, timeout=_LOOK_S)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        raise
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is None:
        return task.result()  # it has come to an end in this very moment
    raise TimeoutError

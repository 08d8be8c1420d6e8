"""Asking the store until it answers, where what it says decides whether somebody goes on at all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from store.errors import StoreUnavailable

A = TypeVar("A")


async def until_answered(
    ask: Callable[[], Awaitable[A]],
    say: Callable[[StoreUnavailable], None],
    *,
    pause_s: float,
    longest_s: float,
) -> A:
    """What the store answers, asked again after a pause for as long as it cannot be reached; each
    time that is said. To end then, or to begin anew, would be to guess: somebody else may have the
    work, or nobody."""
    while True:
        try:
            return await ask()
        except StoreUnavailable as error:
            say(error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)

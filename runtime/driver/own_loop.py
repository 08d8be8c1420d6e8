"""For a program that is one event loop itself: a connection that works in that loop."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class OwnLoop:
    """In the place of a Courier: the loop that runs where this is made. Whoever made the loop
    ends it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    def run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def close(self) -> None:
        """It is not this one's to end."""

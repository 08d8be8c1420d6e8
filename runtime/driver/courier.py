"""A driver's post: one thread with one event loop, in which all its channels live."""

import asyncio
import sys
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from runtime.errors import ConnectionClosed

if sys.platform == "win32":  # for which there is no uvloop

    def _new_event_loop() -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()
else:
    import uvloop

    class _EventLoop(uvloop.Loop):
        """Its time may be asked for in any thread, as that of asyncio's own loop; deadlines are
        set where they are made. uvloop's would be written down in the loop by each question."""

        def time(self) -> float:
            return time.monotonic()

    def _new_event_loop() -> asyncio.AbstractEventLoop:
        return _EventLoop()


T = TypeVar("T")


class Loop(Protocol):
    """Where a connection's work runs. What Courier is; the simulation has one of its own."""

    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine in the loop. May be called from any thread. Raises
        ConnectionClosed once the loop is closed."""

    def close(self) -> None:
        """End what runs, and the loop. Calling it again changes nothing."""


class SameLoop:
    """The loop of another connection, which is closed after whatever works in it by this."""

    def __init__(self, loop: Loop) -> None:
        self._own, self.loop = loop, loop.loop

    def run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine in the loop. Raises ConnectionClosed once it is closed."""
        return self._own.run(work)

    def close(self) -> None:
        """It is the other connection's to end."""


class Courier:
    """The thread. It ends with `close`, or with the process."""

    def __init__(self) -> None:
        self.loop = _new_event_loop()
        self._thread = threading.Thread(target=self._work, name="thornback-courier", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine in the courier's loop. Raises ConnectionClosed once it is closed."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError as error:
            work.close()
            raise ConnectionClosed("the system") from error

    def close(self) -> None:
        """Cancel what runs, and stop the thread. Called in the thread itself, it stops as
        soon as what runs there lets it."""
        try:
            self.loop.call_soon_threadsafe(self.loop.stop)
        except RuntimeError:
            return  # it was closed before
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _work(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            while tasks := asyncio.all_tasks(self.loop):  # some may begin only now
                for task in tasks:
                    task.cancel()
                self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            # What was aborted last, or was cancelled just now, closes its socket a turn later.
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()

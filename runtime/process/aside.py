"""What blocks, and is waited for in an event loop: done in a few threads beside it.

Ray answers some questions only to a thread that waits, and pickling a class takes as long as the
class is large. In the loop itself either would hold up everything that lives there.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Aside:
    """The threads of one process's world, begun when they are first needed. They end with the
    process, whatever they are waiting for then, which those of an executor would not."""

    #: So many at a time; the rest waits for its turn.
    THREADS = 4

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards what follows
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._working = 0  #: threads

    async def run(self, work: Callable[[], T]) -> T:
        """What some work returns, or raises. It is begun in its turn; who gives up waiting takes
        back what has not begun, and leaves the rest to its end. Raises RuntimeError where this
        process can have no thread more."""
        done: Future[T] = Future()
        with self._lock:
            self._waiting.append((done, work))
            begins = self._working < self.THREADS
            self._working += begins
        if begins:
            self._begin(done)
        return await asyncio.wrap_future(done)

    def _begin(self, done: "Future[Any]") -> None:
        try:
            threading.Thread(target=self._work, name="thornback-aside", daemon=True).start()
        except RuntimeError:
            done.cancel()  # whoever comes to it leaves it out
            with self._lock:
                self._working -= 1
            raise

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._working -= 1
                    return
                done, work = self._waiting.popleft()
            if not done.set_running_or_notify_cancel():
                continue
            try:
                answer = work()
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(answer)

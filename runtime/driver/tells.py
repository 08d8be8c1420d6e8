"""What is sent and not waited for: somebody has to notice when it fails."""

import logging
import threading

from runtime.driver.outgoing import Outgoing

logger = logging.getLogger("thornback.driver")


class Tells:
    """The `tell`s that nobody waits for, and those of them that failed. For any thread."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()  # guards both tables
        self._told: dict[Outgoing, list[int]] = {}  # which commands of it
        self._failures: list[tuple[str, Exception]] = []

    def watch(self, outgoing: Outgoing, index: int) -> None:
        """Notice if a command fails."""
        with self._lock:
            indexes = self._told.get(outgoing)
            if indexes is not None:
                indexes.append(index)
                return
            self._told[outgoing] = [index]
            outgoing.on_finish = self._finished
        if outgoing.finished:
            self._finished(outgoing)

    def taken(self) -> list[tuple[str, Exception]]:
        """The failures so far, which are forgotten with that."""
        with self._lock:
            failures, self._failures = self._failures, []
        return failures

    def left_behind(self) -> None:
        """This process was forked: its parent notices."""
        self._lock, self._told = threading.Lock(), {}

    def _finished(self, outgoing: Outgoing) -> None:
        with self._lock:
            indexes = self._told.pop(outgoing, [])
        for index in indexes:
            if outgoing.answer is None or index in outgoing.answer.errors:
                error = outgoing.failure(index)
                logger.warning("tell to %s failed: %s", outgoing.what(index), error)
                with self._lock:
                    if len(self._failures) < self._capacity:
                        self._failures.append((outgoing.what(index), error))

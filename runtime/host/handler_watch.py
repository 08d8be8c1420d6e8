"""Says which handler keeps its host from everything else, and where.

A handler that waits, or asks an actor of its own host, stops all actors of that host. The loop
that it stops cannot say so, and a look at the clock before each command would cost each
command; so a thread looks once a second at what the loop's thread is doing. A command that it
finds again is logged, and again whenever it has taken twice as long.
"""

import logging
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from functools import partial
from types import CodeType, FrameType
from typing import Any

logger = logging.getLogger("thornback.host")

#: What a handler that asks and waits for the answer is found in.
_WAITING = "runtime/driver/pending.py"


class HandlerWatch:
    """Watches the decisions made in one thread, by the code of the function that makes them; its
    locals `source`, `message_type` and `index` say which command it is at."""

    #: Between two looks; what takes less is not seen.
    LOOK_S = 1.0
    #: How many frames of the handler's own code are shown.
    FRAMES = 3

    def __init__(self, decides: CodeType, thread: int) -> None:
        self._decides = decides
        self._thread = thread
        self._at: tuple[int, int] | None = None  # what was found last: a frame, and its command
        self._since_s = 0.0
        self._due_s = self.LOOK_S

    def watching(self) -> Callable[[], None]:
        """To be run in a thread: looks once a second, as long as somebody keeps this object."""
        return partial(_looking, weakref.WeakMethod(self.look), self.LOOK_S)

    def look(self, now_s: float) -> None:
        """Is the same command still being decided as at the look before?"""
        stack = self._stack()
        if not stack:
            self._at = None
            return
        deciding = stack[0]
        found = deciding.f_locals
        at = id(deciding), found.get("index", -1)
        if at != self._at:
            self._at, self._since_s, self._due_s = at, now_s, self.LOOK_S
        elif now_s - self._since_s >= self._due_s:
            self._due_s = 2 * (now_s - self._since_s)
            self._say(found, stack[1:], now_s - self._since_s)

    def _stack(self) -> list[FrameType]:
        """From what decides up to what runs; nothing if nothing is being decided."""
        frame: FrameType | None = sys._current_frames().get(self._thread)
        stack: list[FrameType] = []
        while frame is not None:
            stack.append(frame)
            if frame.f_code is self._decides:
                return stack[::-1]
            frame = frame.f_back
        return []

    def _say(self, found: Any, handler: list[FrameType], took_s: float) -> None:
        places = [f"{each.f_code.co_filename}:{each.f_lineno}" for each in handler]
        asks = any(_WAITING in place.replace("\\", "/") for place in places)
        problem = "waits for an answer that its own host may have to give" if asks else "still runs"
        logger.warning(
            "%s has been at %s for %.0f s, and nobody else of its host has his turn: its handler "
            "%s (%s). A handler decides from its state and its message, and does not wait.",
            found.get("source"), found.get("message_type"), took_s, problem,
            "; ".join(_shown(each) for each in handler[: self.FRAMES]) or "in the host",
        )  # fmt: skip


def _shown(frame: FrameType) -> str:
    [line] = traceback.format_list(
        [traceback.FrameSummary(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)]
    )
    return " ".join(line.split())


def _looking(look: "weakref.WeakMethod[Any]", every_s: float) -> None:
    pause = threading.Event()
    while not pause.wait(every_s) and (bound := look()) is not None:
        bound(time.monotonic())
        del bound  # or this thread would be the one that keeps it

"""Says which handler keeps its host from everything else, and where.

A handler that waits, or computes for long, stops all actors of its host. The loop that it stops
cannot say so, and a look at the clock before each command would cost each command; so a thread
looks once a second at which command is being decided. One that it finds again is logged, and
again whenever it has taken twice as long.
"""

import logging
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any

from runtime.host.decision import Decider
from runtime.wire.commands import MESSAGE_TYPE, SOURCE

logger = logging.getLogger("thornback.host")


class HandlerWatch:
    """Watches the decisions that a decider makes in one thread."""

    #: Between two looks; what takes less is not seen.
    LOOK_S = 1.0
    #: How many frames of the handler's own code are shown.
    FRAMES = 3

    def __init__(self, decider: Decider, thread: int) -> None:
        self._decider = decider
        self._thread = thread
        self._at: Sequence[Any] | None = None  # the command that was found last
        self._since_s = 0.0
        self._due_s = self.LOOK_S

    def watching(self) -> Callable[[], None]:
        """To be run in a thread: looks once a second, as long as somebody keeps this object."""
        return partial(_looking, weakref.WeakMethod(self.look), self.LOOK_S)

    def look(self, now_s: float) -> None:
        """Is the same command still being decided as at the look before?"""
        command = self._decider.at
        if command is None or command is not self._at:
            self._at, self._since_s, self._due_s = command, now_s, self.LOOK_S
        elif now_s - self._since_s >= self._due_s:
            self._due_s = 2 * (now_s - self._since_s)
            self._say(command, now_s - self._since_s)

    def _handler(self) -> list[FrameType]:
        """The handler's own frames, from what decides up to what runs."""
        decides = Decider.decide.__code__
        frame: FrameType | None = sys._current_frames().get(self._thread)
        stack: list[FrameType] = []
        while frame is not None and frame.f_code is not decides:
            if frame.f_code.co_filename != decides.co_filename:
                stack.append(frame)
            frame = frame.f_back
        return stack[::-1] if frame is not None else []

    def _say(self, command: Sequence[Any], took_s: float) -> None:
        logger.warning(
            "%s has been at %s for %.0f s, and nobody else of its host has his turn: its handler "
            "still runs (%s). A handler decides from its state and its message, and does not wait.",
            command[SOURCE], command[MESSAGE_TYPE], took_s,
            "; ".join(map(_shown, self._handler()[: self.FRAMES])) or "in the host",
        )  # fmt: skip


def _shown(frame: FrameType) -> str:
    [line] = traceback.format_list(
        [traceback.FrameSummary(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)]
    )
    return " ".join(line.split())


def _looking(look: "weakref.WeakMethod[Any]", every_s: float) -> None:
    pause = threading.Event()
    while not pause.wait(every_s) and (bound := look()) is not None:
        try:
            bound(time.monotonic())
        except Exception:  # a frame that is gone by now, say: the next look is another one
            logger.exception("a look at which handler keeps its host failed")
        del bound  # or this thread would be the one that keeps it

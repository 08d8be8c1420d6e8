"""Where nobody may wait: in a handler, while its host decides.

A handler that waits for an answer stops all actors of its host. Where the answer is to come from
one of these, it waits for itself, until its time is over. A driver's calls can know that a
handler makes them, by their thread, and raise at once.
"""

import asyncio
import threading

from runtime.errors import WaitInHandler


class _Here(threading.local):
    """What is known of each thread; it is gone with it."""

    decides = False


_here = _Here()


def forbid_waiting() -> None:
    """From now on this thread decides for actors."""
    _here.decides = True


def allow_waiting() -> None:
    """It does so no longer."""
    _here.decides = False


def check_may_wait(what: str) -> None:
    """Raises WaitInHandler where this thread decides for actors; `what` is waited for."""
    if _here.decides:
        raise WaitInHandler(what)


def in_a_loop() -> bool:
    """Does an event loop run in this thread, which is not to be held up?"""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

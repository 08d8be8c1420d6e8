"""Code of actors, run so that another thread can see what is at hand, and interrupt it.

A host runs its actors' code in the thread of its loop. An interruption is an exception that
another thread has raised there (PyThreadState_SetAsyncExc): at the next step of Python code, which
is at once in a loop, and after the call in a call of C code that blocks. It comes wherever that
thread is by then, perhaps not in the code that it was meant for any more. So whatever is run here
either was not interrupted, or counts as if nothing of it had been done, and it is never raised
outside: the end of `run` and an interruption exclude one another.
"""

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from runtime.errors import HandlerBlocked
from runtime.host.blocked import Blocked

T = TypeVar("T")


class Interruption(BaseException):
    """Raised by another thread in code of an actor that takes too long. No Exception: a handler
    that goes on after any of these is interrupted, too."""


class Interruptible:
    """Runs code of actors, in one thread; another one may interrupt it."""

    def __init__(self, blocked: Blocked) -> None:
        self.blocked = blocked  #: what is not run again
        #: The command that is being decided, or what else is done (at_hand.py); any thread may
        #: look. Whoever is run changes it as it goes on.
        self.at: Sequence[Any] | None = None
        self.thread = 0  #: where it is run
        self._lock = threading.Lock()  # guards that nobody is interrupted who has ended
        self._ending = False  # what was run has ended, whatever is done about that
        self._because: HandlerBlocked | None = None  # why what is run now was interrupted

    def run(self, at: Sequence[Any] | None, work: Callable[..., T], *arguments: Any) -> T:
        """What some work returns, or raises; `at` is what it begins with. Raises HandlerBlocked if
        it was interrupted anywhere, which says at what, and then whatever it has changed is to be
        thrown away."""
        self.thread = threading.get_ident()
        self._ending, self.at = False, at
        # From `_ending` on nobody interrupts any more. One interruption may have been on its way
        # by then, and another one about to be: each may come within one `_end`.
        try:
            try:
                try:
                    result = work(*arguments)
                finally:
                    self._ending = True
                    self._end()
            except BaseException:
                self._end()
                raise
        except BaseException:
            self._end()
            if self._because is not None:
                raise self._interrupted() from None
            raise
        if self._because is not None:  # somebody has caught it
            raise self._interrupted()
        return result

    def check(self) -> None:
        """Raises Interruption where what is run was interrupted, whatever has become of that: so
        whoever sees a failure does not take it for one of the code that fails."""
        if self._because is not None:
            raise Interruption

    def interrupt(self, at: Sequence[Any], because: HandlerBlocked) -> None:
        """Have this end, if it still is at hand. Called by another thread."""
        with self._lock:
            if self.at is at and not self._ending:
                self._because = because
                because.at = at  # others may be interrupted before somebody looks at that
                _raise_in(self.thread, Interruption)

    def _end(self) -> None:
        """Nothing is at hand, and nothing is raised here any more."""
        with self._lock:
            self.at = None
        if self._because is not None:
            _raise_in(self.thread, None)
        if self.blocked.at_hand.noted:
            self.blocked.at_hand.nothing()

    def _interrupted(self) -> HandlerBlocked:
        because, self._because = self._because, None
        assert because is not None
        return because


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have a thread raise it at its next step; None: raise nothing that it has not raised yet."""
    wanted = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), wanted)

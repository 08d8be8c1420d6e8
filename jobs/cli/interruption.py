"""Ctrl-C while something is being started that is not to be left half way."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from jobs.terminal import problems


class Interruption:
    """Whether Ctrl-C or SIGTERM came. Whoever starts things looks where it is safe to stop."""

    def __init__(self, answer: str) -> None:
        self._answer = answer
        self.came = False
        self._then: Callable[[], None] | None = None

    def check(self) -> None:
        """Raise KeyboardInterrupt if it came."""
        if self.came:
            raise KeyboardInterrupt

    @contextmanager
    def answered_by(self, then: Callable[[], None]) -> Iterator[None]:
        """`then` cuts short what the block waits for. It is called whenever it came, be it before
        the block or in its last moment, and perhaps several times."""
        self._then = then
        if self.came:
            then()
        yield
        self._then = None
        if self.came:
            then()

    def note(self, signum: int, frame: FrameType | None) -> None:
        """A handler of signals: say that it was heard."""
        self.came = True
        problems.print(self._answer, markup=False)
        if self._then is not None:
            self._then()


@contextmanager
def noted_interruption(answer: str) -> Iterator[Interruption]:
    """Answer Ctrl-C and SIGTERM with that line, and do nothing else about them, until the block
    ends. Main thread only."""
    interruption = Interruption(answer)
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(signum, interruption.note) for signum in signals]
    try:
        yield interruption
    finally:
        for signum, handler in zip(signals, before, strict=True):
            signal.signal(signum, handler)

"""Whether this process is just about to have a connection: between joining a Ray, which it may have
to leave, and the connection that brings it back."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Opening:
    """How many connections this process is just about to have."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # guards what follows
        self.count = 0

    def left_behind(self) -> None:
        """This process was forked, and its parent is about to have them."""
        self.lock, self.count = threading.Lock(), 0


_opening = _Opening()
os.register_at_fork(after_in_child=_opening.left_behind)


@contextmanager
def opening() -> Iterator[None]:
    """A connection is to be opened in this block: until its end it counts as one that is."""
    with _opening.lock:
        _opening.count += 1
    try:
        yield
    finally:
        with _opening.lock:
            _opening.count -= 1


def about_to_open() -> bool:
    """Is one to be opened just now?"""
    return bool(_opening.count)

"""A process that is forked from the one that runs the tests."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def forked() -> Iterator[None]:
    """A process that is forked from this one, lives for as long, and does nothing."""
    here, there = os.pipe()
    begun, begins = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(there)
        os.write(begins, b"!")
        os.read(here, 1)
        os._exit(0)
    os.close(here)
    os.read(begun, 1)
    try:
        yield
    finally:
        os.close(there)
        os.close(begun)
        os.close(begins)
        os.waitpid(child, 0)

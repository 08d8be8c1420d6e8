"""A process that is forked from the one that runs the tests."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from runtime.errors import ConnectionClosed


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


def in_a_fork(run: Callable[[], Any]) -> str:
    """What becomes of a call in a forked process: the text of its ConnectionClosed, say."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        outcome = "taken"
        try:
            outcome = str(run())
        except ConnectionClosed as error:
            outcome = str(error)
        finally:
            os.write(writer, outcome.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        outcome = answers.read().decode()
    os.waitpid(child, 0)
    return outcome

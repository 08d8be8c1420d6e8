"""The Ray of a test session."""

from collections.abc import Iterator
from contextlib import contextmanager

import ray

from runtime.cluster.ray_session import end_ray, start_ray


@contextmanager
def local_ray() -> Iterator[None]:
    """This process is connected to a Ray: the one that it is connected to already, or one that
    is started here, on loopback alone and with a token of its own, and ends here."""
    if ray.is_initialized():
        yield
        return
    start_ray()
    try:
        yield
    finally:
        end_ray()

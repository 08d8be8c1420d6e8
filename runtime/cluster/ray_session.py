"""Ray for this process: the one that runs, or one of its own."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from actors.errors import ThornbackError


class NoRay(ThornbackError):
    """No Ray is running that this process could join."""

    def __init__(self) -> None:
        super().__init__()

    def __str__(self) -> str:
        return "no Ray is running here: start one with 'ray start --head', or use 'make run'"


def join_ray() -> None:
    """Connect to the running Ray: that of the job this is, of RAY_ADDRESS, or of this
    machine. Raises NoRay."""
    if ray.is_initialized():
        return
    try:
        ray.init(address="auto", log_to_driver=False, logging_level="warning")
    except ConnectionError as error:
        raise NoRay from error


def start_ray() -> None:
    """Start a Ray that ends with this process. On loopback, without a dashboard; nothing
    is written to the user's home."""
    # Ray reads these when it starts: no token file in the home folder, no usage reports.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level="warning",
        object_store_memory=256 * 1024 * 1024,
        _system_config={
            # Batches of commands and rows, a few hundred kB, then travel inside the calls
            # that carry them instead of through shared memory, which costs more
            # (docs/performance.md).
            "max_direct_call_object_size": 4 * 1024 * 1024,
            # By default at 15, behind whatever else runs: hosts serve somebody who waits.
            "worker_niceness": 0,
        },
        _temp_dir=str(Path(tempfile.gettempdir()) / "thornback-ray"),
    )


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block ends: a start that is cut short leaves
    processes behind that nobody knows of. Main thread only."""
    held: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(signum, lambda number, _: held.append(number)) for signum in signals]
    try:
        yield
    finally:
        for signum, handler in zip(signals, before, strict=True):
            signal.signal(signum, handler)
    for number in held[:1]:
        signal.raise_signal(number)

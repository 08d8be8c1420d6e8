"""Spares: warm processes of Ray's, of which the next one that starts on a machine is made.

Ray starts an actor anew in a process of its own. To make one takes most of a second of a processor:
Python, Ray itself and the modules of this system are imported. Where a process waits that has all
that behind it and belongs to nobody yet, Ray takes that one, and the actor begins after a fifth of
a second. Ray is asked for spares ahead of time, by the processes of the system, in a call
that only its own programs use; whatever comes of it, all works without them.

What they have imported, is told to Ray when it is started (runtime/cluster/ray_session.py; where a
cluster is started by others, RAY_preload_python_modules may be set).
"""

import asyncio
import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import ray
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated.common_pb2 import Language
from ray.core.generated.node_manager_pb2 import GetNodeStatsRequest, PrestartWorkersRequest
from ray.core.generated.node_manager_pb2_grpc import NodeManagerServiceStub

logger = logging.getLogger("thornback.process")

#: How long Ray keeps one that nobody needs.
KEPT_S = 30 * 24 * 3600
#: How long Ray may take to hear of it.
ASKED_S = 5.0
#: Behind the start of a process: making a spare takes the time of those who wait for that start.
AFTER_S = 2.0
#: The job of a process that belongs to none.
NO_JOB = bytes.fromhex("ffffffff")
#: How Ray calls a process that belongs to nobody, and what it runs while it starts.
_IDLE, _STARTING = "ray::IDLE", "default_worker.py"


class Spares:
    """Sees to those of this machine. For processes that Ray has started."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._looking: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """This process has started, and has perhaps taken a spare: a little later there are to be
        as many again."""
        if self._wanted:
            asyncio.get_running_loop().call_later(AFTER_S, self._look)

    def _look(self) -> None:
        self._looking = asyncio.ensure_future(asyncio.to_thread(self._keep))

    def _keep(self) -> None:
        """Have Ray start those that are missing. Of several processes that look at one time, one
        after the other does."""
        try:
            node = ray._private.worker.global_worker.node
            with (Path(node.get_session_dir_path()) / "thornback-spares.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                with _raylet(f"{node.node_ip_address}:{node.node_manager_port}") as raylet:
                    if (missing := self._wanted - _there(raylet)) > 0:
                        _start(raylet, missing)
        except Exception:  # it is another program's call, and nothing depends on it
            logger.warning("there may be no spare process on this machine", exc_info=True)


@contextmanager
def _raylet(address: str) -> Iterator[Any]:
    """The Ray of this machine, to be asked what its own programs ask it."""
    channel = init_grpc_channel(address)
    try:
        yield NodeManagerServiceStub(channel)
    finally:
        channel.close()


def _there(raylet: Any) -> int:
    """So many processes of this machine's Ray are for this system: they belong to no job, or to
    that of this process. Those of another one, which wait for its next task, are not."""
    said = raylet.GetNodeStats(GetNodeStatsRequest(), timeout=ASKED_S).core_workers_stats
    job = bytes.fromhex(ray.get_runtime_context().get_job_id())
    others = {each.pid for each in said if each.job_id not in (NO_JOB, job)}
    parent = psutil.Process().parent()
    beside = parent.children() if parent is not None else ()
    return sum((is_spare(each) and each.pid not in others) or _starts(each) for each in beside)


def is_spare(process: psutil.Process) -> bool:
    """Is that a process of Ray's that has started, and belongs to nobody?"""
    return _command(process)[:1] == [_IDLE]


def _starts(process: psutil.Process) -> bool:
    return any(part.endswith(_STARTING) for part in _command(process)[:3])


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has ended since
        return []


def _start(raylet: Any, count: int) -> None:
    """Ask the Ray of this machine for so many."""
    request = PrestartWorkersRequest(
        language=Language.PYTHON, keep_alive_duration_secs=KEPT_S, num_workers=count
    )
    # For those who have what this process has: Ray gives a process only to its own environment.
    context: Any = ray.get_runtime_context()
    request.runtime_env_info.serialized_runtime_env = context.get_runtime_env_string()
    if context.get_runtime_env_string() != "{}":
        request.job_id = bytes.fromhex(context.get_job_id())
    raylet.PrestartWorkers(request, timeout=ASKED_S)

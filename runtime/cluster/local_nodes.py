"""Further nodes of a Ray on this machine, each a raylet of its own beside that of the head.

They listen on loopback alone, as the head does, or each in a network namespace of its own
(node_network.py), and are told apart by Ray's id of each. What runs on one of them is on another
machine, as far as Ray and a system are concerned: it is reached through Ray, and it ends with its
raylet. Memory, processors, files and clocks are those of this machine.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import psutil
import ray
from ray._private import ray_constants, services
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._private.services import wait_for_node

from runtime.cluster.node_network import Place

#: How long a raylet may take to be known to the head, and its processes to be gone once killed.
_STARTS_S, _ENDS_S = 60.0, 10.0
#: In the environment of each worker: the raylet that has started it.
_RAYLET = "RAY_RAYLET_PID"
_OBJECT_STORE_BYTES = 128 * 1024 * 1024

#: By default Ray's head asks each raylet every 3 s whether it lives, lets it take 10 s, and takes
#: five answers that fail for its death. Measured, that is 15 s where nobody listens, and 64 s where
#: somebody is silent; with these it is 5 s and 19 s (docs/deployment.md). A node that is too busy
#: to answer for as long as that loses all that runs on it, so they are not shorter.
HEALTH_CHECK = {
    "health_check_initial_delay_ms": 3_000,
    "health_check_period_ms": 1_000,
    "health_check_timeout_ms": 3_000,
    "health_check_failure_threshold": 5,
}


class LocalNode:
    """One of them, from its start to its end. Ends with the thread that has made it at the latest.

    Raises what Ray raises where it does not come up.
    """

    def __init__(self, head: str, address: str, place: Place | None = None) -> None:
        """`head` is where Ray's head is, and `address` the one to listen on, in a `place` unless
        that is where this program is."""
        self.place = place
        parameters = RayParams(
            gcs_address=head,
            redis_address=head,
            node_ip_address=address,
            num_cpus=os.cpu_count() or 1,
            num_gpus=0,
            object_store_memory=_OBJECT_STORE_BYTES,
            min_worker_port=0,
            max_worker_port=0,
            node_manager_port=0,
            include_log_monitor=False,  # the head's is for all of this machine
            dashboard_agent_listen_port=None,
        )
        with nullcontext() if place is None else _started_in(place):
            self._node = Node(parameters, head=False, shutdown_at_exit=False, spawn_reaper=True)
        wait_for_node(head, self._node.plasma_store_socket_name, _STARTS_S)
        [raylet] = self._node.all_processes["raylet"]
        self._started = raylet.process
        self.pid: int = self._started.pid  #: of the raylet
        self._raylet = psutil.Process(self.pid)
        self.id: str = self._node.node_id  #: Ray's

    @property
    def ended(self) -> bool:
        """Has its raylet ended, by whatever? Its processes end once somebody has looked."""
        return self._started.poll() is not None

    def processes(self) -> list[psutil.Process]:
        """The raylet, and all that it has started, as far as they are alive."""
        with suppress(psutil.NoSuchProcess):
            return [self._raylet, *self._raylet.children(recursive=True)]
        return []

    def known_alive(self) -> bool:
        """Does Ray's head take it for alive? Blocks while that is asked."""
        return any(each["NodeID"] == self.id and each["Alive"] for each in ray.nodes())

    def freeze(self) -> None:
        """The raylet says nothing any more; its processes run on."""
        self._raylet.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on, unless it has ended."""
        with suppress(psutil.NoSuchProcess):
            self._raylet.send_signal(signal.SIGCONT)

    def kill(self) -> int:
        """Kill -9 of all of it, as where a machine loses its power: nobody says good-bye. How many
        processes that were."""
        with suppress(psutil.NoSuchProcess):
            self.freeze()  # so it does not tell of those that are killed before it
        gone = self.processes()
        for process in reversed(gone):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        psutil.wait_procs(gone, timeout=_ENDS_S)
        self._end_orphans()
        self._leave()
        return len(gone)

    def end(self) -> None:
        """Have it leave its Ray, and end all of it."""
        below = self.processes()
        self.thaw()
        self._node.kill_all_processes(check_alive=False, allow_graceful=True, wait=True)
        _, alive = psutil.wait_procs(below, timeout=_ENDS_S)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._end_orphans()
        self._leave()

    def _end_orphans(self) -> None:
        """A worker that began just when its raylet ended, by whatever, is nobody's child, and tries
        for minutes to reach it."""
        orphans = workers_of(self.pid)
        for process in orphans:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(orphans, timeout=_ENDS_S)

    def _leave(self) -> None:
        """Its namespace is gone with those who were in it."""
        if self.place is not None:
            self.place.close()


def workers_of(raylet: int) -> list[psutil.Process]:
    """What a raylet that has ended has left behind. Ray tells each worker its number, which may be
    that of another process by now: whose workers these are nobody knows then."""
    found: list[psutil.Process] = []
    if psutil.pid_exists(raylet):
        return found
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended, or is another user's
            if process.environ().get(_RAYLET) == str(raylet):
                found.append(process)
    return found


@contextmanager
def _started_in(place: Place) -> Iterator[None]:
    """What Ray starts in this block runs in that place. Only for the moment in which it is started
    this thread is there, too: a thread that Ray's own code begins would stay there for ever."""
    before = services.start_ray_process

    def start(*arguments: Any, **named: Any) -> Any:
        with place.inside():
            return before(*arguments, **named)

    services.start_ray_process = start
    try:
        yield
    finally:
        services.start_ray_process = before


@contextmanager
def loopback_as_it_is() -> Iterator[None]:
    """Ray takes 127.0.0.1 for what it says. On Linux it would take it for the address by which
    other machines reach this one, and listen there; on macOS it never does."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before

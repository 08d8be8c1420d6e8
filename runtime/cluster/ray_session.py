"""Ray for this process: the one that is meant, or one of its own.

Which is meant, RAY_ADDRESS says, or else the note of `thornback up` in the working directory.
Nobody joins a Ray just because it runs on the machine: it may be anybody's. `auto` in RAY_ADDRESS
says that it is the one of this user on this machine.

A Ray of our own listens on loopback alone, and lets nobody in without the token of this run:
whoever reaches Ray's ports can run code as this user. Other programs of this user get both,
address and token, from `way_in`.
"""

import ctypes
import logging
import os
import secrets
import signal
import site
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import psutil
import ray
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

import runtime
from runtime.cluster.coming_back import other_ray, stay_on
from runtime.cluster.local_nodes import HEALTH_CHECK, LocalNode, loopback_as_it_is
from runtime.cluster.node_network import NodeNetwork
from runtime.cluster.project_ray import (
    ADDRESS,
    AUTH_MODE,
    TOKEN_FILE,
    end_left,
    mean_none,
    noted,
    project_is_up,
    use_project_ray,
    why_none,
)
from runtime.cluster.ray_words import into_the_log
from runtime.cluster.rays_here import NoRay as NoRay
from runtime.cluster.rays_here import address_of_own, check_answers, gcs_addresses

LOOPBACK = "127.0.0.1"

#: The module that imports all that a process of a system needs.
_PRELOADED = "runtime.cluster.warm"

_ADVICE = (
    f"; if it asks for a token, {AUTH_MODE} and {TOKEN_FILE} have to say which ('make run' prints "
    "the lines)"
)

_PYTHON_PATH = "PYTHONPATH"
#: Set where Ray's ports speak TLS.
_TLS = "RAY_USE_TLS"


class _Joining:
    """A program joins one Ray, whoever of it is the first to ask for that."""

    one_at_a_time = threading.Lock()  # guards what follows
    thread: threading.Thread | None = None  #: the last try, which may go on when it was given up
    left_in_parent = False  #: was this process forked from one that was in Ray?


class _Started:
    """The Ray that this process has started."""

    nodes: ClassVar[list[LocalNode]] = []  #: beside the head's
    network: ClassVar[NodeNetwork | None] = None  #: of the nodes; None: they are on loopback


def _in_a_forked_child() -> None:
    _Joining.one_at_a_time, _Joining.thread = threading.Lock(), None
    _Joining.left_in_parent = ray.is_initialized()


os.register_at_fork(after_in_child=_in_a_forked_child)


def join_ray(timeout_s: float = 15.0, *, stay: bool = False) -> None:
    """Connect to the Ray that is meant: that of the job this is, of RAY_ADDRESS (`auto`: the one
    of this user on this machine), or that of the project in the working directory. Raises NoRay,
    which says what was tried: at once where none is meant, and else within about `timeout_s`.

    A program that is to `stay` outlives the Ray of its project: it leaves it when it ends, and
    comes back to the next one (coming_back.py).
    """
    _join_that_of(Path.cwd(), timeout_s, stay=stay)


def _come_back(folder: Path, timeout_s: float) -> None:
    """Join the next Ray of a folder. Raises NoRay, also where this program's own code has joined
    another one meanwhile, which is left alone."""
    there = noted(folder)
    if there is not None and (other := other_ray(there)) is not None:
        raise NoRay(
            f"this program has itself joined another Ray, at {other}",
            "leave that (ray.shutdown), or connect in a program of its own",
        )
    if there is not None and ray.is_initialized():  # its own code was faster
        stay_on(there, folder, partial(_come_back, folder, timeout_s))
        return
    _join_that_of(folder, timeout_s, stay=True)


def _join_that_of(folder: Path, timeout_s: float, *, stay: bool) -> None:
    _check_not_forked()
    with _Joining.one_at_a_time:
        _await_end_of_the_last_try(timeout_s)
        if ray.is_initialized():
            return
        found = use_project_ray(folder) if project_is_up(folder) or not stay else None
        try:
            _join_meant(timeout_s)
        except BaseException:
            if found is not None:
                mean_none(found)  # or the next one that is up there would never be meant
            raise
        if stay and found is not None:
            stay_on(found, folder, partial(_come_back, folder, timeout_s))


def _check_not_forked() -> None:
    """Raises NoRay in a process that was forked from one in Ray: whatever it asks there is never
    answered."""
    if _Joining.left_in_parent and ray.is_initialized():
        raise NoRay(
            "this process was forked from one that is in Ray, and Ray answers it nothing",
            "fork before you connect, or start processes by the method spawn",
        )


def _await_end_of_the_last_try(timeout_s: float) -> None:
    """One that was given up leaves again what it joins too late."""
    if (trying := _Joining.thread) is not None:
        trying.join(timeout_s)
        if trying.is_alive():
            raise NoRay("a Ray that was tried before has not answered yet", "try again later")


def _join_meant(timeout_s: float) -> None:
    address = os.environ.get(ADDRESS)
    if not address:
        raise NoRay(*why_none())
    if address == "auto":
        address = address_of_own()
    if "://" not in address:
        check_answers(address, timeout_s, tls=os.environ.get(_TLS, "0") != "0")
    joined: Future[None] = Future()
    _Joining.thread = threading.Thread(target=_join, args=(address, joined), daemon=True)
    _Joining.thread.start()
    try:
        wait((joined,), timeout_s)
    finally:
        given_up = joined.cancel()  # or it has come to its end
    if given_up:
        waited = f"did not let this program in within {timeout_s:g} s"
        raise NoRay(f"the Ray at {address} ({ADDRESS}) {waited}{_ADVICE}")
    if (failed := joined.exception()) is not None:
        reason = (str(failed).strip() or type(failed).__name__).splitlines()[0]
        said = f"the Ray at {address} ({ADDRESS}) does not let this program in: {reason}{_ADVICE}"
        raise NoRay(said)
    _end_quietly_at_sigterm()


def _end_quietly_at_sigterm() -> None:
    """Where nobody handles SIGTERM it ends a program, and so it does again: Ray, joined in another
    thread than the main one, has put a handler of its own below Python that prints a stack first.
    Below Python, because who comes back to a Ray does so in another thread, too.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        ctypes.CDLL(None).signal(signal.SIGTERM.value, ctypes.c_void_p(signal.SIG_DFL.value))


def ensure_ray() -> None:
    """Join the Ray that is meant, as `join_ray` does; start one where none is. Raises NoRay."""
    _check_not_forked()
    if ray.is_initialized():
        return
    if os.environ.get(ADDRESS) or project_is_up():
        join_ray(stay=True)
    else:
        start_ray()


def joined_ray() -> str:
    """The address of the Ray that this process is connected to."""
    address: str = ray.get_runtime_context().gcs_address
    return address


def joined_node() -> str:
    """The id of the node of it by which this process is connected."""
    node: str = ray.get_runtime_context().get_node_id()
    return node


def start_ray(
    nodes: int = 1,
    *,
    health_check: Mapping[str, int] = HEALTH_CHECK,
    network: NodeNetwork | None = None,
) -> Sequence[LocalNode]:
    """Start a Ray that ends with this process, or with `end_ray`. It listens on loopback alone,
    has no dashboard, and asks for a token of its own; nothing is written to the user's home.

    It has so many nodes, of which those beside the head's are given back (local_nodes.py), and
    where it has several, the head looks after them as `health_check` says. In a `network` each of
    those has a place of its own, and the head is known by this program's address in it: Ray then
    listens at all addresses, and only the token keeps others out. It is closed with the Ray."""
    # A folder a user: the sockets below it are of whoever makes it.
    folder = Path(tempfile.gettempdir()) / f"thornback-ray-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    token, path = tempfile.mkstemp(prefix="token-", dir=folder)  # which nobody else can read
    with os.fdopen(token, "w") as file:
        file.write(secrets.token_hex(32))
    # Ray reads these when it starts, and so does whatever this process starts.
    os.environ.pop("RAY_AUTH_TOKEN", None)
    os.environ |= {AUTH_MODE: "token", TOKEN_FILE: path}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    Config.initialize("")  # what it has read of them when it was imported is old
    AuthenticationTokenLoader.instance().reset_cache()
    into_the_log()
    with loopback_as_it_is(), _same_code():
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level="warning",
            object_store_memory=256 * 1024 * 1024,
            # Whoever listens binds to loopback then, and to nothing else.
            _node_ip_address=LOOPBACK if network is None else network.address,
            _system_config={
                # Batches of commands and rows, a few hundred kB, then travel inside the calls
                # that carry them instead of through shared memory, which costs more
                # (docs/performance.md).
                "max_direct_call_object_size": 4 * 1024 * 1024,
                # By default at 15, behind whatever else runs: hosts serve somebody who waits.
                "worker_niceness": 0,
                **(health_check if nodes > 1 else {}),
                # A process that is killed is there again the sooner (process/spares.py).
                "preload_python_modules": [_PRELOADED],
            },
            _temp_dir=str(folder),
        )
    os.environ[ADDRESS] = joined_ray()
    _Started.network = network
    return [add_node() for _ in range(nodes - 1)]


def add_node() -> LocalNode:
    """One more node for the Ray that `start_ray` started, with which it ends. To be called where it
    is in the main thread's hands: the node ends with the thread that has started it, too."""
    place = None if _Started.network is None else _Started.network.place()
    with loopback_as_it_is(), _same_code():
        node = LocalNode(joined_ray(), LOOPBACK if place is None else place.address, place)
    _Started.nodes.append(node)
    return node


def end_ray() -> None:
    """End the Ray that `start_ray` started, with all of its processes; its token is of no use any
    more."""
    while _Started.nodes:
        _Started.nodes.pop().end()
    below = psutil.Process().children(recursive=True)
    ray.shutdown()
    end_left(below)
    if _Started.network is not None:
        _Started.network.close()
        _Started.network = None
    if token := os.environ.pop(TOKEN_FILE, None):
        Path(token).unlink(missing_ok=True)
    os.environ.pop(ADDRESS, None)


def way_in() -> Mapping[str, str]:
    """The environment in which another program of this user joins the Ray that this one has
    started."""
    return {name: os.environ[name] for name in (ADDRESS, AUTH_MODE, TOKEN_FILE)}


def _join(address: str, joined: "Future[None]") -> None:
    """In a thread of its own: some of what Ray waits for has no bound. Who is let in when nobody
    waits for it any more leaves again: nobody would see to it when that Ray ends."""
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "warning"}
    into_the_log()
    worker = logging.getLogger("ray._private.worker")
    worker.addFilter(_not_about_threads)
    failed: BaseException | None = None
    try:
        if address in gcs_addresses():  # to the letter: a Ray that is on loopback alone
            with loopback_as_it_is():
                ray.init(address=address, **options)
        else:
            ray.init(address=address, **options)
    except BaseException as error:  # for whoever waits, whatever it is
        failed = error
    finally:
        worker.removeFilter(_not_about_threads)
    if not joined.set_running_or_notify_cancel():
        ray.shutdown()
    elif failed is not None:
        joined.set_exception(failed)
    else:
        joined.set_result(None)


def _not_about_threads(record: logging.LogRecord) -> bool:
    """Ray deplores that another thread than the main one connects, which is so on purpose."""
    return "SIGTERM handler is not set" not in record.getMessage()


@contextmanager
def _same_code() -> Iterator[None]:
    """What Ray's processes import before they know of any program is the code that this one runs,
    where several copies of it are installed."""
    folder, before = str(Path(runtime.__path__[0]).parent), os.environ.get(_PYTHON_PATH)
    if folder in site.getsitepackages():
        yield
        return
    os.environ[_PYTHON_PATH] = os.pathsep.join([folder, *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ[_PYTHON_PATH]
        else:
            os.environ[_PYTHON_PATH] = before


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

"""Ray for this process: the one that is meant, or one of its own.

Which is meant, RAY_ADDRESS says, or else the note of `thornback up` in the working directory.
Nobody joins a Ray just because it runs on the machine: it may be anybody's. `auto` in RAY_ADDRESS
says that it is the one of this user on this machine.

A Ray of our own listens on loopback alone, and lets nobody in without the token of this run:
whoever reaches Ray's ports can run code as this user. Other programs of this user get both,
address and token, from `way_in`.
"""

import logging
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import ray
from ray._private import ray_constants, utils
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from actors.errors import ThornbackError
from runtime.cluster.coming_back import stay_on
from runtime.cluster.project_ray import (
    ADDRESS,
    AUTH_MODE,
    TOKEN_FILE,
    project_is_up,
    use_project_ray,
    why_none,
)
from runtime.process.presence import knock, speaks_http2

LOOPBACK = "127.0.0.1"

_ADVICE = (
    f"; if it asks for a token, {AUTH_MODE} and {TOKEN_FILE} have to say which ('make run' prints "
    "the lines)"
)

#: A program joins one Ray, whoever of it is the first to ask for that.
_one_at_a_time = threading.Lock()

#: How long whoever listens at an address may take to accept a connection, and then to say a
#: first word.
_KNOCK_S, _SILENCE_S = 3.0, 10.0
#: Set where Ray's ports speak TLS, so that nothing is said to whoever does not.
_TLS = "RAY_USE_TLS"


class NoRay(ThornbackError):
    """There is no Ray that this process could join, for the reason that is given; and what to do,
    where the reason does not tell."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason, remedy)
        self.reason, self.remedy = reason, remedy

    def __str__(self) -> str:
        return f"{self.reason}: {self.remedy}" if self.remedy else self.reason


def join_ray(timeout_s: float = 15.0, *, stay: bool = False) -> None:
    """Connect to the Ray that is meant: that of the job this is, of RAY_ADDRESS (`auto`: the one
    of this user on this machine), or that of the project in the working directory. Raises NoRay,
    which says what was tried: at once where none is meant, and else within about `timeout_s`.

    A program that is to `stay` outlives the Ray of its project: it leaves it when it ends, and
    comes back to the next one (coming_back.py).
    """
    _join_that_of(Path.cwd(), timeout_s, stay=stay)


def _join_that_of(folder: Path, timeout_s: float, *, stay: bool) -> None:
    with _one_at_a_time:
        if ray.is_initialized():
            return
        found = use_project_ray(folder) if project_is_up(folder) or not stay else None
        _join_meant(timeout_s)
        if stay and found is not None:
            stay_on(found, folder, partial(_join_that_of, folder, timeout_s, stay=True))


def _join_meant(timeout_s: float) -> None:
    address = os.environ.get(ADDRESS)
    if not address:
        raise NoRay(*why_none())
    if address == "auto":
        address = _address_of_own()
    if "://" not in address:
        _check_answers(address, timeout_s)
    failed: list[BaseException] = []
    joining = threading.Thread(target=_join, args=(address, failed), daemon=True)
    joining.start()
    joining.join(timeout_s)
    if joining.is_alive():
        waited = f"did not let this program in within {timeout_s:g} s"
        raise NoRay(f"the Ray at {address} ({ADDRESS}) {waited}{_ADVICE}")
    if failed:
        reason = (str(failed[0]).strip() or type(failed[0]).__name__).splitlines()[0]
        said = f"the Ray at {address} ({ADDRESS}) does not let this program in: {reason}{_ADVICE}"
        raise NoRay(said)
    _end_quietly_at_sigterm()


def _end_quietly_at_sigterm() -> None:
    """Where nobody handles SIGTERM it ends a program, and so it does again: Ray, joined in another
    thread than the main one, has put a handler of its own below Python that prints a stack first.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def ensure_ray() -> None:
    """Join the Ray that is meant, as `join_ray` does; start one where none is. Raises NoRay."""
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


def start_ray() -> None:
    """Start a Ray that ends with this process, or with `end_ray`. It listens on loopback alone,
    has no dashboard, and asks for a token of its own; nothing is written to the user's home."""
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
    with _loopback_as_it_is():
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level="warning",
            object_store_memory=256 * 1024 * 1024,
            _node_ip_address=LOOPBACK,  # whoever listens then binds to it, and to nothing else
            _system_config={
                # Batches of commands and rows, a few hundred kB, then travel inside the calls
                # that carry them instead of through shared memory, which costs more
                # (docs/performance.md).
                "max_direct_call_object_size": 4 * 1024 * 1024,
                # By default at 15, behind whatever else runs: hosts serve somebody who waits.
                "worker_niceness": 0,
            },
            _temp_dir=str(folder),
        )
    os.environ[ADDRESS] = joined_ray()


def end_ray() -> None:
    """End the Ray that `start_ray` started; its token is of no use any more."""
    ray.shutdown()
    if token := os.environ.pop(TOKEN_FILE, None):
        Path(token).unlink(missing_ok=True)
    os.environ.pop(ADDRESS, None)


def way_in() -> Mapping[str, str]:
    """The environment in which another program of this user joins the Ray that this one has
    started."""
    return {name: os.environ[name] for name in (ADDRESS, AUTH_MODE, TOKEN_FILE)}


def _join(address: str, failed: list[BaseException]) -> None:
    """In a thread of its own: some of what Ray waits for has no bound."""
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "warning"}
    worker = logging.getLogger("ray._private.worker")
    worker.addFilter(_not_about_threads)
    try:
        if address in _gcs_addresses():  # to the letter: a Ray that is on loopback alone
            with _loopback_as_it_is():
                ray.init(address=address, **options)
        else:
            ray.init(address=address, **options)
    except BaseException as error:  # for whoever waits, whatever it is
        failed.append(error)
    finally:
        worker.removeFilter(_not_about_threads)


def _not_about_threads(record: logging.LogRecord) -> bool:
    """Ray deplores that another thread than the main one connects, which is so on purpose."""
    return "SIGTERM handler is not set" not in record.getMessage()


def _address_of_own() -> str:
    """The Ray of this user on this machine; of several, the one that `ray start` noted last.
    Raises NoRay where there is none, or no telling which."""
    found = _gcs_addresses()
    me = psutil.Process().username()
    own = sorted(address for address, user in found.items() if user == me)
    noted = utils.read_ray_address(None)
    if noted in own or (noted is not None and not found):
        return str(noted)
    if len(own) == 1:
        return own[0]
    choose = f"say which is meant in {ADDRESS}"
    if own:
        raise NoRay(f"several Rays of yours are running here ({', '.join(own)}): {choose}")
    others = ", ".join(f"{address} of {user}" for address, user in sorted(found.items()))
    beside = f" (others' are: {others}; to join one, {choose})" if others else ""
    raise NoRay(
        f"no Ray of yours is running here{beside}: start one with 'ray start --head', or use "
        f"`thornback up`, without {ADDRESS}"
    )


def _gcs_addresses() -> dict[str, str]:
    """The addresses of the Rays with processes on this machine, each with its user."""
    found: dict[str, str] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() == "raylet":
                for word in process.cmdline():
                    flag, _, address = word.partition("=")
                    if flag.replace("_", "-") == "--gcs-address" and address:
                        found[address] = process.username()
    return found


def _check_answers(address: str, timeout_s: float) -> None:
    """Raises NoRay where nobody listens, or somebody else than a Ray."""
    try:
        if os.environ.get(_TLS, "0") != "0":
            knock(address, _KNOCK_S)
        elif not speaks_http2(address, _KNOCK_S, min(_SILENCE_S, timeout_s)):
            raise NoRay(
                f"what answers at {address} is no Ray",
                f"{ADDRESS} is the address of its head (6379, and not 8265 or 10001, unless it was "
                "started otherwise)",
            )
    except ValueError as error:
        raise NoRay(
            f"{address!r} is no address of a Ray: it is HOST:PORT", f"correct {ADDRESS}"
        ) from error
    except OSError as error:
        raise NoRay(
            f"no Ray answers at {address}: {error.strerror or error}",
            f"start it, or name another one in {ADDRESS}",
        ) from error


@contextmanager
def _loopback_as_it_is() -> Iterator[None]:
    """Ray takes 127.0.0.1 for what it says. On Linux it would take it for the address by which
    other machines reach this one, and listen there; on macOS it never does."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


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

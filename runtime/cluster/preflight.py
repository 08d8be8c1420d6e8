"""What a system needs of this machine, looked at before anything is started on it.

A start takes seconds, and one that cannot come to its end takes them for nothing. So whoever
starts a Ray of its own asks here first. Where the processes run on other machines, these have to
tell: a launch there says the same, later.
"""

import asyncio
import errno
import shlex
import socket
import sys
from contextlib import suppress
from difflib import get_close_matches
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

import psutil

from runtime.cluster.embedded_database import folder_of, wanted
from runtime.errors import NotPossible
from runtime.process.partitioning import each_partition
from runtime.settings.settings import BUILT_IN, Settings
from store.embedded.server import EmbeddedPostgres
from store.errors import EmbeddedError, StoreUnavailable
from store.postgres.connections import Connections
from store.postgres.moving_address import MovingAddress

#: What this installation consists of.
_PACKAGES = ("actors", "gateways", "jobs", "runtime", "store", "streams", "thornback")
#: How long a database may take to take a connection.
_CONNECT_S = 5.0
#: So much of a command line tells whose it is.
_SHOWN_CHARS = 60
#: What a port of 0 means.
_ZERO = {"metrics": "0 for none", "gateway": "0 for any"}
#: How many ports above the one that is taken are tried, to name one that is free.
_PORTS_TRIED = 100


class CannotStartHere(NotPossible):
    """This machine does not have what the settings ask for; nothing was started."""


def check_machine(settings: Settings) -> None:
    """Raises CannotStartHere, which says what is missing, which setting asks for it and where
    that came from, and what to do. The data folder is made where it is not there."""
    check_working_directory()
    check_actor_modules(settings)
    check_ports(settings)
    check_database(settings)


def check_working_directory() -> None:
    """Is what is imported here ours? Python looks into the working directory first. Raises
    CannotStartHere."""
    for package in _PACKAGES:
        here = PathFinder.find_spec(package, [str(Path.cwd())])
        ours = Path(__file__).parents[2] / package
        if here is None or here.origin is None:  # nothing, or a folder that hides no package
            continue
        if Path(here.origin) not in (ours / "__init__.py", ours.with_suffix(".py")):
            found = Path(*here.submodule_search_locations or [here.origin])
            raise CannotStartHere(
                f"{found} hides the package {package!r} of Thornback from what is started in this "
                "folder: rename it"
            )


def check_actor_modules(settings: Settings) -> None:
    """Are the modules there that hosts are to import? Nothing of them is run. Raises
    CannotStartHere."""
    for module in settings.actor_system.actor_modules:
        missing, beside = _missing_in(module)
        if missing is not None:
            asked = _asked_for(settings, "actor_system", "actor_modules")
            near = get_close_matches(missing, beside, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "correct the name, or install it"
            raise CannotStartHere(
                f"there is no module {missing!r}, which hosts are to import ({asked}), neither in "
                f"this folder nor installed here: {hint}"
            )


def _missing_in(module: str) -> tuple[str | None, list[str]]:
    """The part of a dotted name that is not there, with what there is in its place; None where
    all of it is."""
    found, path, name = None, [str(Path.cwd()), *sys.path], ""
    for part in module.split("."):
        before, name = name, f"{name}.{part}" if name else part
        found = PathFinder.find_spec(name, path)
        if found is None and not before:
            found = find_spec(name)  # what is found in other ways than by a path
        if found is None:
            within = f"{before}." if before else ""
            return name, [f"{within}{each.name}" for each in iter_modules(path)]
        path = list(found.submodule_search_locations or ())
    return None, []


def check_database(settings: Settings) -> None:
    """Does the database that is named answer? Or is there a place for the embedded PostgreSQL,
    and one to be run? Raises CannotStartHere."""
    if wanted(settings):
        _check_embedded(settings)
        return
    store = settings.event_store
    for key, url in [
        ("connection_string", store.connection_string),
        *(("partition_urls", each) for each in store.partition_urls),
    ]:
        if not url.get_secret_value():
            continue
        try:
            asyncio.run(_connected(url.get_secret_value()))
        except StoreUnavailable as error:
            asked = _asked_for(settings, "event_store", key)
            raise CannotStartHere(
                f"{error} ({asked}): start that PostgreSQL, or correct the address"
            ) from error


async def _connected(url: str) -> None:
    connections = await Connections.open(MovingAddress(url), pool_size=1, timeout_s=_CONNECT_S)
    try:
        await connections.fetch("SELECT 1")
    finally:
        connections.close()


def _check_embedded(settings: Settings) -> None:
    folder = folder_of(settings)
    asked = _asked_for(settings, "event_store", "data_folder")
    try:
        EmbeddedPostgres(folder).check()
    except EmbeddedError as error:
        raise CannotStartHere(
            f"no database can be kept in {folder} ({asked}): {error.problem}: name another folder "
            "there, or give the address of a PostgreSQL of your own in DATABASE_URL"
        ) from error


def check_ports(settings: Settings) -> None:
    """Can the ports of metrics and gateway be had? Raises CannotStartHere, which says who has
    one."""
    metrics, gateway = settings.metrics, settings.gateway
    both = settings.event_bus.metrics_enabled and gateway.enabled
    if both and metrics.port == gateway.port != 0:
        asked = "; ".join(_asked_for(settings, each, "port") for each in ("metrics", "gateway"))
        raise CannotStartHere(
            f"metrics and gateway are to have one port, {metrics.port} ({asked}): set one of them "
            "to another"
        )
    if settings.event_bus.metrics_enabled:
        for each in each_partition(settings):  # at a port of its own
            check_port(each, "metrics")
    if settings.gateway.enabled:
        check_port(settings, "gateway")


def check_port(settings: Settings, section: str) -> None:
    """Can the port of that section be had, if it names one? Raises CannotStartHere."""
    otherwise = f"{section}.port to {_ZERO[section]}"
    host, port = getattr(settings, section).host, getattr(settings, section).port
    error = _refusal(host, port) if port else None
    if error is None:
        return
    which = f"the {section} port {host}:{port} ({_asked_for(settings, section, 'port')})"
    if error.errno != errno.EADDRINUSE:
        why = error.strerror or str(error)
        raise CannotStartHere(
            f"{which} cannot be opened: {why}: set {section}.port and {section}.host to what this "
            f"machine has, or {otherwise}"
        )
    others = {settings.metrics.port, settings.gateway.port}  # one of them is to be had, too
    above = range(port + 1, min(port + _PORTS_TRIED, 65_536))
    free = next((each for each in above if each not in others and not _refusal(host, each)), None)
    other = f"to another ({free} is free)" if free else "to another"
    raise CannotStartHere(
        f"{which} is taken by {_listener(port)}: set {section}.port {other}, or {otherwise}"
    )


def _asked_for(settings: Settings, section: str, key: str) -> str:
    origin = settings.origin(section, key)
    return f"{section}.{key}, {'the default' if origin == BUILT_IN else f'from {origin}'}"


def _refusal(host: str, port: int) -> OSError | None:
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        return error
    return None


def _listener(port: int) -> str:
    """Who listens at a port of this machine, as far as this user can see."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            for each in process.net_connections("inet"):
                if each.status == psutil.CONN_LISTEN and each.laddr.port == port:
                    return _described(process)
    return "another program"


def _described(process: psutil.Process) -> str:
    words = shlex.join(filter(None, process.cmdline())) or process.name()
    shown = words if len(words) <= _SHOWN_CHARS else f"{words[:_SHOWN_CHARS]}..."
    said = f"process {process.pid} ({shown})"
    with suppress(psutil.Error):
        return f"{said}, which runs in {process.cwd()}"
    return said

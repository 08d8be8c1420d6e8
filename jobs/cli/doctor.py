"""`thornback doctor`: what is wrong here, and what to do."""

import asyncio
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import asyncpg
import click
from rich.markup import escape
from rich.table import Table

from actors.errors import ThornbackError
from gateways.web.access import is_loopback
from gateways.web.tls import CannotUseCertificate, tls_of
from jobs.cli import options
from jobs.command_line import connected_by
from jobs.status import well
from jobs.terminal import UNWELL, as_json, show
from runtime.cluster.embedded_database import folder_of, wanted
from runtime.cluster.preflight import (
    CannotStartHere,
    check_actor_modules,
    check_port,
    check_working_directory,
)
from runtime.cluster.project_ray import noted, ray_is_named
from runtime.settings.settings import Settings, redacted_url
from runtime.topology.status import ProcessAway
from store.embedded.binaries import chosen_binaries
from store.embedded.server import EmbeddedPostgres
from store.errors import EmbeddedError, SchemaMismatch
from store.postgres.migrations import check_schema
from store.postgres.queries import QUERIES

#: How long anybody who is asked may take.
_ANSWER_S = 5.0
#: Less than this beside the data is said.
_ROOM_BYTES = 2 * 1024**3


class Finding(StrEnum):
    WELL = "well"
    SAY = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, what was found, and what to do about it."""

    what: str
    finding: Finding
    said: str
    remedy: str = ""


@click.command
@options.config
@options.for_programs
def command(config: Path | None, for_programs: bool) -> int:
    """Look at everything that a system needs here, and say what is wrong and what to do: versions,
    settings, Ray and its token, the database, ports, room on the disk, the processes.

    The exit code is 1 when something is wrong. Nothing is changed.
    """
    checks = list(_all(config))
    if for_programs:
        for check in checks:
            print(as_json(asdict(check)))
    else:
        colours = {Finding.WELL: "green", Finding.SAY: "yellow", Finding.WRONG: "red"}
        table = Table(box=None, pad_edge=False, show_header=False)
        for check in checks:
            said = escape(check.said) + (f"\n-> {escape(check.remedy)}" if check.remedy else "")
            table.add_row(f"[{colours[check.finding]}]{check.finding}[/]", check.what, said)
        show(table)
    return UNWELL if any(check.finding is Finding.WRONG for check in checks) else 0


def _all(config: Path | None) -> Iterator[Check]:
    yield from _versions()
    try:
        check_working_directory()
    except CannotStartHere as error:
        yield Check("folder", Finding.WRONG, str(error))
    try:
        settings = Settings.load(config)
    except ThornbackError as error:
        yield Check("settings", Finding.WRONG, str(error), "correct them where it says")
        return
    try:
        check_actor_modules(settings)
    except CannotStartHere as error:
        yield Check("settings", Finding.WRONG, str(error))
    else:
        yield Check("settings", Finding.WELL, "all can be used; `thornback settings` shows them")
    yield from _database(settings)
    yield _room(settings)
    there, check = _ray()
    yield check
    system = _system(config) if there else None
    if system:
        yield system
    runs = system is not None and system.finding is not Finding.SAY
    yield from _ports(settings, runs)
    yield from _tls(settings)


def _versions() -> Iterator[Check]:
    python = sys.version.split()[0]
    yield Check("Python", Finding.WELL, python)
    for package in ("thornback", "ray"):
        try:
            yield Check(package, Finding.WELL, version(package))
        except PackageNotFoundError:
            yield Check(package, Finding.SAY, "it is not installed, but found by the import path")


def _database(settings: Settings) -> Iterator[Check]:
    store = settings.event_store
    if store.type == "memory":
        yield Check("database", Finding.SAY, "the log is in memory, and lost with the writer")
        return
    if (count := store.partitions) > 1:
        said = f"partition 0 of {count} is looked at; a launch makes and migrates each of them"
        yield Check("partitions", Finding.SAY, said)
    address = store.connection_string.get_secret_value()
    if wanted(settings):
        server = EmbeddedPostgres(folder_of(settings))
        try:
            binaries = chosen_binaries(folder_of(settings) / "data", where=folder_of(settings))
        except EmbeddedError as error:
            yield Check("PostgreSQL", Finding.WRONG, str(error))
            return
        yield Check("PostgreSQL", Finding.WELL, f"the embedded one, from {binaries}")
        if not server.running():
            yield Check("database", Finding.SAY, "it does not run; `thornback up` starts it")
            return
        address = server.url
    yield from asyncio.run(_asked(address, settings))


async def _asked(address: str, settings: Settings) -> list[Check]:
    shown = redacted_url(address)
    try:
        connection: Any = await asyncpg.connect(address, timeout=_ANSWER_S)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
        problem = f"{shown} does not let us in: {type(error).__name__}: {error}"
        remedy = "does it run, and is its address right?"
        return [Check("database", Finding.WRONG, problem, remedy)]
    try:
        unsafe = [
            name
            for name in ("fsync", "full_page_writes", "synchronous_commit")
            if await connection.fetchval(f"SHOW {name}") == "off"
        ]
        await check_schema(connection)
        live = await connection.fetchval(QUERIES["any_live_token"])
    except SchemaMismatch as error:
        said, remedy = f"{shown}: {error}", "a launch brings it up to date"
        return [Check("database", Finding.SAY, said, remedy)]
    finally:
        connection.terminate()
    if unsafe:
        problem = f"{shown}: {', '.join(unsafe)} off: what is acknowledged can be lost"
        found = Check("database", Finding.WRONG, problem, "turn it on in the server's settings")
    else:
        found = Check("database", Finding.WELL, shown)
    return [found, *_tokens(settings, live=live)]


def _tokens(settings: Settings, *, live: bool) -> Iterator[Check]:
    host = settings.gateway.host
    if settings.gateway.enabled and not live and not is_loopback(host):
        said = f"gateway.host is {host}, and no token lets anybody in: the gateway does not start"
        remedy = "thornback tokens create NAME --scope admin"
        yield Check("tokens", Finding.WRONG, said, remedy)


def _room(settings: Settings) -> Check:
    folder = settings.event_store.data_folder
    while not folder.exists():
        folder = folder.parent
    try:
        Path(tempfile.mkdtemp(dir=folder)).rmdir()
    except OSError as error:
        said = f"no folder for data can be made in {folder}: {error.strerror}"
        return Check("disk", Finding.WRONG, said, "name another event_store.data_folder")
    free = shutil.disk_usage(folder).free
    said = f"{free / 2**30:,.1f} GiB are free at {folder}"
    if free < _ROOM_BYTES:
        return Check("disk", Finding.WRONG, said, "make room: a full disk ends every commit")
    return Check("disk", Finding.WELL, said)


def _ray() -> tuple[bool, Check]:
    """Is there a Ray to be asked, and what there is to say of it."""
    if (named := ray_is_named()) is not None:
        return True, Check("Ray", Finding.WELL, f"{named}, which RAY_ADDRESS names")
    found = noted()
    if found is None:
        said = "nothing is up in this folder, and RAY_ADDRESS names no other"
        return False, Check("Ray", Finding.SAY, said, "`thornback up` starts one")
    if found.keeper() is None:
        said = "the Ray of this folder has ended by itself (.thornback/ray.log may say why)"
        return False, Check("Ray", Finding.WRONG, said, "`thornback up` starts it anew")
    token = found.way_in.get("RAY_AUTH_TOKEN_PATH")
    if token is not None:
        file = Path(token)
        if not file.exists():
            said = f"its token, {file}, was deleted: nobody can join it any more"
            return False, Check("Ray", Finding.WRONG, said, "`thornback down`, then `thornback up`")
        if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            said = f"its token, {file}, can be read by others, who can then run code as you"
            return True, Check("Ray", Finding.WRONG, said, f"chmod 600 {file}")
    return True, Check("Ray", Finding.WELL, f"of this folder, at {found.way_in['RAY_ADDRESS']}")


def _system(config: Path | None) -> Check:
    try:
        with connected_by(config) as system:
            statuses = system.status().result(timeout_s=4 * _ANSWER_S)
    except ThornbackError as error:
        return Check("system", Finding.SAY, str(error))
    amiss = [
        f"{one.name}: {one.reason if isinstance(one, ProcessAway) else one.trouble}"
        for one in statuses
        if not well(one)
    ]
    if amiss:
        return Check("system", Finding.WRONG, "\n".join(amiss), "`thornback logs` says more")
    return Check("system", Finding.WELL, f"{len(statuses)} processes, and all are well")


def _ports(settings: Settings, runs: bool) -> Iterator[Check]:
    yield _port(settings, "metrics", runs, on=settings.event_bus.metrics_enabled)
    yield _port(settings, "gateway", runs, on=settings.gateway.enabled)


def _port(settings: Settings, section: str, runs: bool, *, on: bool) -> Check:
    port, host = getattr(settings, section).port, getattr(settings, section).host
    if not on or not port:
        any_port = on and section == "gateway"
        return Check(section, Finding.WELL, "any port that is free" if any_port else "turned off")
    if runs:
        path = "/metrics" if section == "metrics" else ""
        return Check(section, Finding.WELL, f"http://{host}:{port}{path}, of this system")
    try:
        check_port(settings, section)
    except CannotStartHere as error:
        return Check(section, Finding.WRONG, str(error))
    return Check(section, Finding.WELL, f"port {port} is free")


def _tls(settings: Settings) -> Iterator[Check]:
    given = settings.gateway
    if not given.enabled:
        return
    try:
        tls = tls_of(given.tls_certificate, given.tls_key)
    except CannotUseCertificate as error:
        yield Check("TLS", Finding.WRONG, str(error))
        return
    if tls is not None:
        yield Check("TLS", Finding.WELL, f"the gateway's, from {given.tls_certificate}")
    elif not is_loopback(given.host):
        said = f"gateway.host is {given.host}, and tokens travel as they are"
        remedy = "gateway.tls_certificate and its key, or something before it that has TLS"
        yield Check("TLS", Finding.SAY, said, remedy)

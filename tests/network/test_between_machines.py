"""Calls between two machines past Ray: in TLS on the wire, and closed to strangers.

A minute and more, and root, so it is no part of `make test`: `make network-test` runs it.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.place import ROOT
from tests.machines.namespaces import impossible, machines
from tests.machines.pair import ADDRESSES
from tests.unit.certificates import Authority

PATIENCE_S = 600.0  #: on a slow machine

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif("NETWORK_TEST" not in os.environ, reason="`make network-test` runs it"),
]


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """What a system says that was launched in each way."""
    if why := impossible():
        pytest.skip(why)
    with machines(ADDRESSES) as there:
        described = json.dumps([asdict(each) for each in there])
        done = subprocess.run(
            [*there[0].inside, sys.executable, "-m", "tests.network.between", described],
            cwd=ROOT, check=False, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout
    said: dict[str, dict[str, Any]] = json.loads(
        next(line for line in done.stdout.splitlines() if line[:1] == "{")
    )
    return said


def test_a_command_is_on_the_wire_in_tls_alone(found: dict[str, dict[str, Any]]) -> None:
    """Through Ray, which has no TLS here, the same commands can be read."""
    assert (found["tls"]["said"], found["ray"]["said"]) == (False, True)


def test_nobody_is_called_through_ray(found: dict[str, dict[str, Any]]) -> None:
    assert found["tls"]["through_ray"] == []


def test_strangers_are_told_nothing(found: dict[str, dict[str, Any]]) -> None:
    """Nor is who has the token and no certificate."""
    strangers = found["tls"]["strangers"]
    assert len(strangers.pop("plain text")) <= 14, "an alert of TLS, or nothing"
    assert strangers.keys() == {"no certificate", "another CA", "an older TLS"}
    assert set(strangers.values()) <= {"SSLError", "ConnectionResetError", "SSLEOFError", ""}


def test_a_renewed_certificate_is_shown_and_taken(found: dict[str, dict[str, Any]]) -> None:
    assert found["tls"]["renewed"]


def test_a_call_to_a_machine_that_vanishes_ends(tmp_path: Path) -> None:
    """Nobody says so: no packet comes any more."""
    if why := impossible():
        pytest.skip(why)
    authority = Authority(tmp_path, "ca")
    authority.write("one")
    program = (sys.executable, "-m", "tests.network.gone", str(tmp_path))
    with (
        machines(ADDRESSES) as (near, far),
        subprocess.Popen(
            [*far.inside, *program, far.address], cwd=ROOT, text=True, stdout=subprocess.PIPE
        ) as answering,
    ):
        assert answering.stdout is not None
        described = answering.stdout.readline()
        calling = subprocess.Popen(
            [*near.inside, *program, near.address, described], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        asked = answering.stdout.readline()
        printed, _ = calling.communicate(asked, timeout=PATIENCE_S)
        answering.kill()
    assert printed.split() == ["ConnectionError"]

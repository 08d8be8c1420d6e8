"""The commands of docs/http.md, run as they stand there but for the address."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from runtime.topology.status import GatewayFacts, ProcessStatus
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

SHOWN = "http://127.0.0.1:8080"

POST = """
curl --json '{"celsius": 21.5}' http://127.0.0.1:8080/v1/actors/thermostat/kitchen/report-temperature
"""


@pytest.fixture
def address() -> Iterator[str]:
    """A gateway's, of a system that knows thermostats."""
    sections: dict[str, Mapping[str, Any]] = {
        "gateway": {"enabled": True, "port": 0},
        "actor_system": {"actor_modules": ["examples.thermostat"]},
    }
    with InProcessSystem(small_settings(sections, type="memory")) as system:
        (found,) = [
            each.facts.address
            for each in system.status().result()
            if isinstance(each, ProcessStatus) and isinstance(each.facts, GatewayFacts)
        ]
        yield found


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_curl_sends_a_command(address: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", POST.replace(SHOWN, address)],
        capture_output=True, timeout=30.0, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["events"][0]["data"] == {"celsius": 21.5}

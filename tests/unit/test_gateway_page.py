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


STREAM = """
curl -N 'http://127.0.0.1:8080/v1/events?types=temperature-*&sources=thermostat/*&after=0'
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


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_curl_reads_a_stream(address: str) -> None:
    subprocess.run(["/bin/sh", "-c", POST.replace(SHOWN, address)], timeout=30.0, check=True)
    command = ["/bin/sh", "-c", "exec " + STREAM.strip().replace(SHOWN, address)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as curl:
        assert curl.stdout is not None
        data = next(line for line in curl.stdout if line.startswith(b"data: "))
        curl.terminate()
    assert json.loads(data[6:])["source"] == "thermostat/kitchen"

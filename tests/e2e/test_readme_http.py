"""The README's lines of HTTP, as a user would send them; the year is one flight long here."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from actors.devices.aircraft import Aircraft, DepartFlight, ScheduleFlight
from runtime.topology.status import GatewayFacts, ProcessStatus
from tests.e2e.readme import command
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

pytestmark = pytest.mark.e2e

SHOWN = "http://127.0.0.1:8080"

LINES = (
    "curl 'http://127.0.0.1:8080/v1/actors/aircraft?limit=5'",
    "curl http://127.0.0.1:8080/v1/actors/aircraft/N14228",
    "curl 'http://127.0.0.1:8080/v1/actors/aircraft/N14228/events?limit=3'",
)


@pytest.fixture
def address() -> Iterator[str]:
    """A gateway's, of a system that has one flight of one aircraft."""
    sections = {"gateway": {"enabled": True, "port": 0}}
    with InProcessSystem(small_settings(sections, type="memory")) as system:
        aircraft = system.actor(Aircraft, "N14228")
        plan: dict[str, Any] = {
            name: field.annotation(1) if field.annotation in (int, float) else "X"
            for name, field in ScheduleFlight.model_fields.items()
        }
        aircraft.ask(ScheduleFlight.model_validate(plan)).result()
        aircraft.ask(DepartFlight(flight=plan["flight"], delay_min=2)).result()
        (found,) = [
            each.facts.address
            for each in system.status().result()
            if isinstance(each, ProcessStatus) and isinstance(each.facts, GatewayFacts)
        ]
        yield found


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_curl_shows_who_is_there_an_aircraft_and_its_history(address: str) -> None:
    said = []
    for line in LINES:
        words = [word.replace(SHOWN, address) for word in command(line)]
        done = subprocess.run(words, capture_output=True, timeout=30.0, check=True)
        said.append(json.loads(done.stdout))
    listed, state, history = said
    ((name, version),) = [(each["name"], each["version"]) for each in listed["actors"]]
    assert (name, version) == ("N14228", 2)
    assert state["version"] == 2
    assert [each["version"] for each in history["events"]] == [1, 2]

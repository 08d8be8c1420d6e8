"""Devices that have hosts of their own: metrics know them by their type."""

import socket
import urllib.request

import pytest

from actors.devices import DeviceTwin, Report
from tests.integration.systems import Launcher, eventually

pytestmark = pytest.mark.integration

DEVICES = ("meter-4711", "meter-4712")


def test_dedicated_hosts_of_one_type_count_together_under_that_type(launch: Launcher) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    system = launch(
        metrics={"port": port},
        actor_system={"placement": {"device-twin": "dedicated"}, "hosts": 1},
    )
    for number, name in enumerate(DEVICES):
        report = Report(event_id=str(number), event_type="reading", properties={"kwh": 1.5})
        system.actor(DeviceTwin, name).ask(report).result()

    def scraped() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            text: str = response.read().decode()
            return text

    eventually(lambda: 'events_processed_total{node="node-001.device-twin"} 2.0' in scraped())
    assert 'resident_actors{node="node-001.device-twin"} 2.0' in scraped()

"""What metrics say of whom: labels name processes and types, never a device."""

import socket
import urllib.request

from actors.devices import DeviceTwin, Report
from tests.integration.systems import Launcher

DEVICES = ("meter-4711", "meter-4712")


def test_no_label_carries_a_device_id_also_where_a_device_has_a_host_of_its_own(
    launch: Launcher,
) -> None:
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

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        scraped = response.read().decode()

    assert not [name for name in DEVICES if name in scraped]
    # Both devices count under their type.
    assert 'events_processed_total{node="node-001.device-twin"} 2.0' in scraped
    assert 'resident_actors{node="node-001.device-twin"} 2.0' in scraped

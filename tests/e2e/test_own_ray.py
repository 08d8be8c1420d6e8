"""A Ray of one's own: launch, replay, a driver, status and drain, as the README has them.

The tests of this module are one story, told in order.
"""

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from store.embedded.server import EmbeddedPostgres
from tests.e2e.own_ray import OwnRay
from tests.e2e.place import ROOT, place
from tests.e2e.readme import blocks

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def ray_of_my_own() -> Iterator[OwnRay]:
    with place() as here:
        started = OwnRay(here)
        yield started
        started.stop()


@pytest.fixture(scope="module")
def pids() -> dict[str, str]:
    """Which process runs where, as the first look at the system tells."""
    return {}


def test_launch_py_as_a_job_starts_the_topology(
    ray_of_my_own: OwnRay, pids: dict[str, str]
) -> None:
    code, said = ray_of_my_own.run("ray job submit --working-dir . -- python jobs/launch.py")

    assert code == 0, said
    assert "running in namespace thornback" in said
    pids.update(_processes(said))
    assert pids.keys() == {"directory", "writer", "bus", "host-0", "host-1", "gateway-0"}


def test_replay_py_as_a_job_stores_two_days_exactly(ray_of_my_own: OwnRay) -> None:
    code, said = ray_of_my_own.run(
        "ray job submit --working-dir . -- python jobs/replay.py --days 2"
    )

    assert code == 0, said
    assert re.search(r"holds +the log has exactly the expected events", said)
    assert re.search(r"5,478 events are new, 0 were there, 0 failed", said)


def test_the_readmes_driver_is_the_example_to_the_letter() -> None:
    assert (ROOT / "examples" / "thermostat.py").read_text() in blocks("python")


def test_the_readmes_driver_prints_what_the_readme_says(ray_of_my_own: OwnRay) -> None:
    code, said = ray_of_my_own.run("python -m examples.thermostat")

    assert code == 0, said
    shown = next(block for block in blocks("text") if block.startswith("thermostat/"))
    assert said == shown


def test_the_tour_of_the_api_runs_as_it_is(ray_of_my_own: OwnRay) -> None:
    code, said = ray_of_my_own.run("python -m examples.tour")

    assert code == 0, said
    assert "a repeat is answered with the first events: True" in said
    assert "subscribed: thermostat/attic {'celsius': 12.5}" in said
    assert "told 1,000 commands, 1,000 events, 0 failed" in said
    assert "published gateway-connected as version 1" in said
    assert "attic: ThermostatState(celsius=9.99)" in said


def test_device_data_in_the_shape_of_cloudevents_is_ingested(ray_of_my_own: OwnRay) -> None:
    code, said = ray_of_my_own.run("python -m jobs.ingest examples/devices.jsonl")

    assert code == 0, said
    assert "6 lines: 5 new events, 1 duplicates, 1 late, 0 rejects; 2 devices" in said


def test_launching_twice_is_harmless_and_the_topology_outlives_the_job(
    ray_of_my_own: OwnRay, pids: dict[str, str]
) -> None:
    code, said = ray_of_my_own.run("python -m jobs.launch")

    assert code == 0, said
    assert _processes(said) == pids


def test_status_shows_every_process_and_the_position_of_the_log(
    ray_of_my_own: OwnRay, pids: dict[str, str]
) -> None:
    code, said = ray_of_my_own.run("python -m jobs.status")

    assert code == 0, said
    assert _processes(said) == pids
    assert re.search(r"^bus .* position 6,4\d\d", said, re.MULTILINE)


def test_cars_share_the_power_of_their_site_and_no_more_than_there_is(
    ray_of_my_own: OwnRay,
) -> None:
    code, said = ray_of_my_own.run("python -m examples.power_sharing")

    assert code == 0, said
    sites = re.findall(
        r"^(\w+): (\d+) charged and (\d+) were refused; "
        r"granted at once: at most ([\d.]+) of 50 kW$",
        said, re.MULTILINE,
    )  # fmt: skip
    assert [(site, charged, refused) for site, charged, refused, _ in sites] == [
        ("harbour", "9", "1"), ("market", "9", "1"), ("station", "9", "1"),
    ]  # fmt: skip
    assert all(25 < float(most_kw) <= 50 for *_, most_kw in sites)


def test_one_scrape_has_the_counts_of_every_process(ray_of_my_own: OwnRay) -> None:
    port = ray_of_my_own.here.environment["THORNBACK_METRICS__PORT"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        text = response.read().decode()

    assert 'events_published_total{event_type="weather-observed"} 139.0' in text
    assert re.search(r'events_processed_total\{node="node-001.host-1"\} [1-9]', text)


def test_no_secret_stands_where_it_can_be_seen(ray_of_my_own: OwnRay) -> None:
    """Not in the list of processes, nor of jobs, nor in metrics, logs and errors."""
    here = ray_of_my_own.here
    password = urlsplit(EmbeddedPostgres(here.data / "postgres").url).password
    said = ray_of_my_own.output
    made = said("python", "-m", "jobs.tokens", "create", "door", "--scope", "admin")
    found = re.search(r"thb_[a-z2-7]{8}_([\w-]+)", made)
    assert password
    assert found is not None, made
    token, secret = found[0], found[1]
    status = said("thornback", "status", "--json")
    address = re.search(r"http://127\.0\.0\.1:\d+", status)
    assert address is not None
    asking = {"Authorization": f"Bearer {token}"}
    for path in ("/v1/actors/aircraft", "/v1/nowhere"):
        with suppress(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(address[0] + path, headers=asking))

    port = here.environment["THORNBACK_METRICS__PORT"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        shown = [response.read().decode(), status, said("ray", "job", "list")]
    shown += [" ".join(process.cmdline()) for process in here.processes()]
    logs = [file for file in here.folder.rglob("logs/**/*") if file.is_file()]
    assert len(logs) > 10
    shown += [file.read_text(errors="replace") for file in logs]
    assert not [text for text in shown if password in text or secret in text]


def test_drain_py_as_a_job_stops_the_topology_and_its_database(ray_of_my_own: OwnRay) -> None:
    code, said = ray_of_my_own.run("ray job submit --working-dir . -- python jobs/drain.py")

    assert code == 0, said
    assert re.search(r"^stopped$", said, re.MULTILINE)
    assert not EmbeddedPostgres(ray_of_my_own.here.data / "postgres").running()

    code, said = ray_of_my_own.run("python -m jobs.status")
    assert (code, "no system runs in namespace 'thornback'" in said) == (2, True), said


def _processes(said: str) -> dict[str, str]:
    """Process names and ids, out of the table that launch and status show."""
    return dict(re.findall(r"^([a-z]+(?:-\d+)?) +(\d+) +\d+ s ", said, re.MULTILINE))

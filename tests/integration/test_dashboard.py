"""What k8s/components/monitoring asks for is there: every expression of the dashboard and of the
alerts, held against a running system, and against what a Prometheus makes of it.
"""

import json
import math
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.samples import Sample

from actors.devices.device_twin import Report
from actors.event import Event
from actors.examples.device_twin import SetSilenceLimit, WatchedTwin
from runtime.system import ActorSystem
from streams.handler import Handler
from tests.e2e.place import free_port
from tests.integration.devices import Add, Claim, Counter, Dawdle, Fail
from tests.integration.systems import LIMIT_S, Launcher, eventually
from tests.integration.test_gateway import facts_of, send, send_until_there
from tests.integration.test_metrics import scrape
from tests.manifests.promql import labels_in, metrics_in
from tests.manifests.rendered import ROOT

pytestmark = pytest.mark.integration

COMPONENT = ROOT / "k8s" / "components" / "monitoring"
PANELS: dict[str, str] = {
    f"{panel['title']}-{number}": target["expr"]
    for panel in json.loads((COMPONENT / "thornback.json").read_text())["panels"]
    for number, target in enumerate(panel["targets"])
}
ALERTS: dict[str, str] = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load((COMPONENT / "alerts.yaml").read_text())["spec"]["groups"]
    for rule in group["rules"]
}


class Traffic:
    """Commands, refusals, requests and a stream, until it is closed."""

    def __init__(self, system: ActorSystem, address: str) -> None:
        self._system, self._address = system, address
        self._enough = threading.Event()
        self.trouble: list[Exception] = []
        self._threads = [threading.Thread(target=self._run, args=(run,), daemon=True)
                         for run in (self._write, self._ask, self._listen)]  # fmt: skip
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """No more of it."""
        self._enough.set()
        for thread in self._threads:
            thread.join(LIMIT_S)
            assert not thread.is_alive()

    def _run(self, run: Any) -> None:
        try:
            run()
        except Exception as error:
            self.trouble.append(error)

    def _write(self) -> None:
        owner = 0
        while not self._enough.is_set():
            refs = (self._system.actor(Counter, f"device-{number}") for number in range(40))
            assert self._system.tell_many((ref, Add()) for ref in refs).failed == 0
            owner += 1  # the first is granted
            self._system.actor(Counter, "device-0").tell(Claim(owner=f"owner-{owner}"))
            self._system.actor(Counter, "device-0").tell(Fail())
            if owner % 10 == 1:  # it keeps its host from all else
                self._system.actor(Counter, "device-0").tell(Dawdle())
            self._system.actor(WatchedTwin, f"twin-{owner}").tell(SetSilenceLimit(seconds=0.1))
            report = Report(event_id="1", event_type="metered", properties={})
            self._system.actor(WatchedTwin, f"twin-{owner}").tell(report)
            self._enough.wait(0.2)

    def _ask(self) -> None:
        while not self._enough.is_set():
            send(self._address, "/v1/actors/counter/device-1")
            self._enough.wait(0.2)

    def _listen(self) -> None:
        with urllib.request.urlopen(f"{self._address}/v1/events", timeout=LIMIT_S) as stream:
            while not self._enough.is_set():
                assert stream.readline()


class Spoilt(Handler):
    """Fails at everything, so that keys are parked."""

    event_types = ("*",)
    sources = ("counter/*",)
    tries = 1

    def handle(self, event: Event) -> None:
        """There is no way."""
        raise ValueError(event.source)


@pytest.fixture(scope="module")
def port(cluster: None, new_database: Any) -> Iterator[int]:
    """Where a system shows its metrics, while it is asked for something all the time."""
    launcher, found = Launcher(new_database), free_port()
    modules = ["tests.integration.devices", "actors.examples.device_twin"]
    system = launcher(
        gateway={"enabled": True, "port": 0, "heartbeat_ms": 1_000}, metrics={"port": found},
        actor_system={"actor_modules": modules},
    )  # fmt: skip
    send_until_there(system, "/readyz")
    with system.subscribe():
        traffic = Traffic(system, facts_of(system).address)
        system.run(Spoilt, workers=1).result(LIMIT_S)
        yield found
        traffic.close()
    launcher.drain_all()
    assert traffic.trouble == []


@pytest.fixture(scope="module")
def samples(port: int) -> list[Sample]:
    """A scrape, once everything has been counted that can be."""
    asked = set().union(*map(metrics_in, [*PANELS.values(), *ALERTS.values()]))
    eventually(lambda: asked <= {sample.name for sample in scrape(port)})
    return scrape(port)


@pytest.mark.parametrize("expression", [*PANELS.values(), *ALERTS.values()], ids=[*PANELS, *ALERTS])
def test_its_metrics_are_exported_with_the_labels_that_it_names(
    samples: list[Sample], expression: str
) -> None:
    for name in metrics_in(expression):
        found = [sample for sample in samples if sample.name == name]
        assert found, name
        asked = labels_in(expression)
        # Of an expression with several metrics, each has at least the labels of one of them.
        if len(metrics_in(expression)) == 1:
            assert all(asked <= sample.labels.keys() for sample in found), name


@contextmanager
def prometheus(folder: Path, port: int) -> Iterator[str]:
    """One that scrapes the system every second; where it is asked."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("there is no prometheus (Debian: prometheus)")
    jobs = [{"job_name": "thornback", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump({"global": every, "scrape_configs": jobs}))
    own = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{own}",
             f"--storage.tsdb.path={folder / 'data'}"],
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{own}"
    finally:
        process.terminate()
        process.wait(LIMIT_S)


@pytest.fixture(scope="module")
def asked_at(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), port) as address:
        eventually(lambda: len(values(address, "log_position")) == 1)
        yield address


def values(address: str, expression: str) -> list[float]:
    """What Prometheus says of an expression now; nothing where it does not answer yet."""
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"{address}/api/v1/query?{query}", timeout=LIMIT_S) as answer:
            found = json.load(answer)["data"]["result"]
    except OSError:
        return []
    return [float(each["value"][1]) for each in found]


@pytest.mark.parametrize("expression", PANELS.values(), ids=PANELS)
def test_every_panel_shows_numbers(asked_at: str, expression: str) -> None:
    eventually(lambda: [each for each in values(asked_at, expression) if not math.isnan(each)])


# Whether answers are slow is for the machine to say.
@pytest.mark.parametrize("alert", [name for name in ALERTS if name != "ThornbackAnswersAreSlow"])
def test_no_alert_is_raised_by_a_system_that_is_well(asked_at: str, alert: str) -> None:
    eventually(lambda: values(asked_at, "rate(commands_total[5m])"))
    assert values(asked_at, ALERTS[alert]) == []


def test_a_panel_without_a_metric_would_be_found(asked_at: str) -> None:
    assert values(asked_at, "sum by (node) (rate(events_lost_total[5m]))") == []

"""k8s/components/monitoring: alerts and dashboard speak of metrics that there are."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.telemetry.metrics import HttpMetrics, Metrics
from runtime.telemetry.totals import TOTALS
from tests.manifests.promql import labels_in, metrics_in
from tests.manifests.rendered import ROOT, of_kind, overlay, workloads

COMPONENT = ROOT / "k8s" / "components" / "monitoring"
ALERTS = ROOT / "tests" / "manifests" / "alerts"

GROUPS: Any = yaml.safe_load((COMPONENT / "alerts.yaml").read_text())["spec"]
RULES: list[Any] = [rule for group in GROUPS["groups"] for rule in group["rules"]]
NAMES = [rule["alert"] for rule in RULES]
PANELS: list[Any] = json.loads((COMPONENT / "thornback.json").read_text())["panels"]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in PANELS for target in panel["targets"]
]


def exported() -> set[str]:
    """The names that the runtime exports, as Prometheus sees them."""
    names = set()
    metrics = Metrics("node", None)
    HttpMetrics(metrics)
    for family in metrics._registry.collect():
        parts = {
            "counter": ["_total"],
            "histogram": ["_bucket", "_count", "_sum"],
        }.get(family.type, [""])
        names |= {f"{family.name}{part}" for part in parts}
    return names | {f"{total.name}_total" for total in TOTALS}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_asks_for_metrics_that_the_runtime_exports(expression: str) -> None:
    assert metrics_in(expression)
    assert metrics_in(expression) <= exported()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_names_labels_that_its_metrics_have(expression: str) -> None:
    metrics = Metrics("node", None)
    instruments = {**vars(metrics), **vars(HttpMetrics(metrics))}
    known = {
        label
        for instrument in instruments.values()
        for label in getattr(instrument, "_labelnames", ())
    }
    known |= {total.label for total in TOTALS}
    assert labels_in(expression) <= known | {"le"}


def test_a_metric_that_there_is_not_would_be_found() -> None:
    assert metrics_in('sum by (node) (rate(commands{outcome="ok"}[5m])) > 0') - exported()


def test_all_that_is_exported_is_on_the_dashboard() -> None:
    shown = {
        metric for panel in PANELS for t in panel["targets"] for metric in metrics_in(t["expr"])
    }
    unshown = {name for name in exported() - shown if not name.endswith(("_sum", "_count"))}
    assert unshown == set()


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_alert_has_a_runbook_and_a_test(rule: Any) -> None:
    page = ROOT / rule["annotations"]["runbook_url"]
    assert page == ROOT / "docs" / "runbooks" / f"{rule['alert']}.md"
    assert page.read_text().startswith(f"# {rule['alert']}\n")
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert (ALERTS / f"{rule['alert']}.yaml").exists()


def test_no_runbook_and_no_test_is_left_over() -> None:
    for folder, suffix in ((ROOT / "docs" / "runbooks", "md"), (ALERTS, "yaml")):
        assert {file.stem for file in folder.glob(f"*.{suffix}")} == set(NAMES)


@pytest.mark.parametrize("alert", NAMES)
def test_the_alert_is_raised_by_what_it_is_for(alert: str, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool (Debian: prometheus)")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(GROUPS))
    test = shutil.copy(ALERTS / f"{alert}.yaml", tmp_path)
    done = subprocess.run(
        [promtool, "test", "rules", test], check=False, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_scrapes_ports_that_the_pods_have_and_may() -> None:
    [monitor] = of_kind(overlay("prod"), "PodMonitor")
    wanted = {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
    numbers = set()
    for name, template in workloads(overlay("prod")):
        if not name.startswith("RayCluster"):
            continue
        ports = {
            port["name"]: port["containerPort"]
            for container in template["spec"]["containers"]
            for port in container["ports"]
        }
        assert wanted <= set(ports), name
        numbers |= {ports[name] for name in wanted}
    [policy] = [
        p for p in of_kind(overlay("prod"), "NetworkPolicy") if p["metadata"]["name"] == "metrics"
    ]
    assert {port["port"] for port in policy["spec"]["ingress"][0]["ports"]} == numbers

"""k8s/: every overlay is whole, is what its images are, and is as closed as it says."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ray.scripts.scripts import start

from runtime.settings.settings import Settings
from tests.manifests.rendered import (
    OVERLAYS,
    ROOT,
    Manifest,
    Workload,
    of_kind,
    overlay,
    settings_file,
    workloads,
)
from tests.manifests.rules import wrong_with
from tests.manifests.schemas import problems_of_core, problems_of_kuberay

every_overlay = pytest.mark.parametrize("name", OVERLAYS)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
[RAY] = re.findall(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def cluster_of(name: str) -> Any:
    [found] = of_kind(overlay(name), "RayCluster")
    return found["spec"]


def groups_of(name: str) -> list[Any]:
    spec = cluster_of(name)
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def labels_of(workload: Workload) -> dict[str, str]:
    """Of its pods, with those that KubeRay adds."""
    own: dict[str, str] = workload.template["metadata"]["labels"]
    of_ray = {"ray.io/cluster": "thornback"} if workload.name.startswith("RayCluster") else {}
    return own | of_ray


def selected(manifest: Manifest, selector: dict[str, str]) -> bool:
    return selector.items() <= manifest.items()


def test_there_are_overlays_for_trying_out_and_for_production() -> None:
    assert {"dev", "prod"} <= set(OVERLAYS)


@every_overlay
def test_kubernetes_takes_every_field(name: str) -> None:
    assert problems_of_core(overlay(name)) == []


@every_overlay
def test_kuberay_takes_every_field(name: str) -> None:
    assert problems_of_kuberay(overlay(name)) == []


@every_overlay
def test_every_rule_holds(name: str) -> None:
    assert wrong_with(overlay(name)) == []


@every_overlay
def test_image_and_ray_version_are_those_of_the_project(name: str) -> None:
    assert cluster_of(name)["rayVersion"] == RAY
    images = {
        container["image"]
        for _, template in workloads(overlay(name))
        for container in template["spec"]["containers"]
        if container["image"].rpartition(":")[0].endswith("thornback")
    }
    assert {image.rpartition(":")[2] for image in images} == {f"{PROJECT['version']}-ray{RAY}"}


@every_overlay
def test_what_is_given_to_ray_start_are_options_of_it(name: str) -> None:
    known = {option.removeprefix("--") for param in start.params for option in param.opts}
    for group in groups_of(name):
        assert set(group["rayStartParams"]) <= known


@every_overlay
def test_rays_own_exporter_leaves_the_ports_of_api_and_metrics_free(name: str) -> None:
    for group in groups_of(name):
        container = group["template"]["spec"]["containers"][0]  # as KubeRay has it
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports["metrics"] == int(group["rayStartParams"]["metrics-export-port"])
        assert ports["metrics"] not in (8080, 9090)
        assert len(set(ports.values())) == len(ports)


@every_overlay
def test_the_settings_are_settings_and_mean_the_groups_there_are(name: str, tmp_path: Path) -> None:
    file = tmp_path / "thornback.toml"
    file.write_text(settings_file(overlay(name)))
    settings = Settings.load(file, environ={})
    labels = [group["labels"] for group in groups_of(name)]
    assert settings.actor_system.core_labels.items() <= labels[0].items()
    assert settings.actor_system.host_labels.items() <= labels[1].items()
    assert settings.gateway.labels.items() <= labels[1].items()
    assert all(settings.metrics.labels.items() <= each.items() for each in labels)
    assert settings.metrics.host == settings.gateway.host == "0.0.0.0"
    assert settings.event_store.connection_string.get_secret_value() == ""


@every_overlay
def test_node_and_database_come_from_the_pod_and_a_secret(name: str) -> None:
    container = groups_of(name)[0]["template"]["spec"]["containers"][0]
    variables = {variable["name"]: variable for variable in container["env"]}
    assert variables["NODE_ID"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    secret = variables["DATABASE_URL"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": "postgres-secret", "key": "connection-string"}


@every_overlay
def test_the_service_has_the_ports_of_api_and_metrics(name: str) -> None:
    [service] = of_kind(overlay(name), "Service")
    assert [port["port"] for port in service["spec"]["ports"]] == [8080, 9090]


@every_overlay
def test_every_policy_is_about_pods_that_there_are(name: str) -> None:
    pods = [labels_of(workload) for workload in workloads(overlay(name))]
    for policy in of_kind(overlay(name), "NetworkPolicy"):
        wanted = policy["spec"]["podSelector"].get("matchLabels", {})
        assert any(selected(labels, wanted) for labels in pods), policy["metadata"]["name"]


def test_in_production_three_pods_run_hosts_and_a_disruption_leaves_two() -> None:
    [_, hosts] = groups_of("prod")
    assert hosts["replicas"] == hosts["minReplicas"] == hosts["maxReplicas"] == 3
    [budget] = of_kind(overlay("prod"), "PodDisruptionBudget")
    assert budget["spec"]["minAvailable"] == 2
    spread = hosts["template"]["spec"]["topologySpreadConstraints"]
    assert {one["topologyKey"] for one in spread} == {
        "kubernetes.io/hostname", "topology.kubernetes.io/zone",
    }  # fmt: skip
    pods = hosts["template"]["metadata"]["labels"] | {"ray.io/cluster": "thornback"}
    for one in spread:
        assert selected(pods, one["labelSelector"]["matchLabels"])


@every_overlay
def test_jobs_run_modules_that_there_are(name: str) -> None:
    [job] = of_kind(overlay(name), "RayJob")
    commands = [job["spec"]["entrypoint"].split()]
    commands += [
        container["command"]
        for migration in of_kind(overlay(name), "Job")
        for container in migration["spec"]["template"]["spec"]["containers"]
    ]
    for command in commands:
        assert command[:2] == ["python", "-m"]
        assert (ROOT / f"{command[2].replace('.', '/')}.py").is_file()
    # Where other pods reach it, the gateway does not start without a token.
    assert "--wait-for-token" in job["spec"]["entrypoint"].split()
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": "thornback"}

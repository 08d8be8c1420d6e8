"""k8s/components: each can be added to production, and everything still holds."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests.placement import groups
from tests.manifests.probes import is_ready
from tests.manifests.rendered import ROOT, Manifest, of_kind, rendered, workloads
from tests.manifests.rules import wrong_with
from tests.manifests.schemas import problems_of_core, problems_of_kuberay
from tests.unit.certificates import write_certificate

K8S = ROOT / "k8s"
NAMES = sorted(path.name for path in (K8S / "components").iterdir())
IN_PROD = yaml.safe_load((K8S / "overlays" / "prod" / "kustomization.yaml").read_text())


def with_component(name: str, folder: Path) -> tuple[Manifest, ...]:
    """Production, and this component, as an overlay of a user's own has it."""
    chosen = dict.fromkeys([*IN_PROD["components"], f"../../components/{name}"])
    own = {
        "namespace": IN_PROD["namespace"],
        "resources": [_from(folder, K8S / "base")],
        "components": [
            _from(folder, (K8S / "overlays" / "prod" / one).resolve()) for one in chosen
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(own))
    return rendered(folder)


def _from(folder: Path, path: Path) -> str:
    return os.path.relpath(path, folder.resolve())


@pytest.mark.parametrize("name", NAMES)
def test_everything_holds_with_it(name: str, tmp_path: Path) -> None:
    manifests = with_component(name, tmp_path)
    assert problems_of_core(manifests) == []
    assert wrong_with(manifests) == []


@pytest.mark.parametrize("name", NAMES)
def test_kuberay_takes_every_field_with_it(name: str, tmp_path: Path) -> None:
    assert problems_of_kuberay(with_component(name, tmp_path)) == []


def test_with_a_redis_the_end_of_a_head_is_not_the_end_of_the_system(tmp_path: Path) -> None:
    manifests = with_component("gcs-redis", tmp_path)
    [cluster] = of_kind(manifests, "RayCluster")
    [redis] = [s for s in of_kind(manifests, "Service") if s["metadata"]["name"] != "thornback"]
    options = cluster["spec"]["gcsFaultToleranceOptions"]
    port = redis["spec"]["ports"][0]["port"]
    assert options["redisAddress"] == f"{redis['metadata']['name']}:{port}"
    assert options["redisPassword"]["valueFrom"]["secretKeyRef"]["name"] == "thornback-redis"
    assert "lifecycle" not in cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]


def test_with_cloudnativepg_everybody_has_the_url_that_its_operator_makes(tmp_path: Path) -> None:
    manifests = with_component("postgres-cnpg", tmp_path)
    [cluster] = of_kind(manifests, "Cluster")
    made = {"name": f"{cluster['metadata']['name']}-app", "key": "uri"}
    urls: list[Any] = [
        variable["valueFrom"]["secretKeyRef"]
        for _, template in workloads(manifests)
        for container in template["spec"]["containers"]
        for variable in container.get("env", [])
        if variable["name"] == "DATABASE_URL"
    ]
    assert len(urls) == 3
    assert urls == [made] * 3


def test_what_cloudnativepg_acknowledges_is_in_two_places_and_backed_up(tmp_path: Path) -> None:
    manifests = with_component("postgres-cnpg", tmp_path)
    [cluster] = of_kind(manifests, "Cluster")
    synchronous = cluster["spec"]["postgresql"]["synchronous"]
    assert synchronous["dataDurability"] == "required"
    assert 0 < synchronous["number"] < cluster["spec"]["instances"]
    [backup] = of_kind(manifests, "ScheduledBackup")
    [store] = of_kind(manifests, "ObjectStore")
    assert backup["spec"]["cluster"]["name"] == cluster["metadata"]["name"]
    [plugin] = cluster["spec"]["plugins"]
    assert plugin["parameters"]["barmanObjectName"] == store["metadata"]["name"]


def test_with_tls_of_the_gateways_launch_and_pods_mean_the_same_files(tmp_path: Path) -> None:
    manifests = with_component("gateway-tls", tmp_path)
    head, hosts = groups(manifests)
    variables = {each["name"]: each.get("value") for each in head.ray["env"]}
    files = [variables[f"THORNBACK_GATEWAY__TLS_{what}"] for what in ("CERTIFICATE", "KEY")]
    [certificate] = of_kind(manifests, "Certificate")
    [volume] = [v for v in hosts.template["spec"]["volumes"] if "secret" in v]
    assert volume["secret"]["secretName"] == certificate["spec"]["secretName"]
    [mount] = [m for m in hosts.ray["volumeMounts"] if m["name"] == volume["name"]]
    assert files == [f"{mount['mountPath']}/tls.crt", f"{mount['mountPath']}/tls.key"]
    [service] = [s for s in of_kind(manifests, "Service") if s["metadata"]["name"] == "thornback"]
    assert service["spec"]["ports"][0]["appProtocol"] == "https"


@pytest.mark.parametrize(
    ("ray", "gateway", "ready"),
    [(200, 200, True), (200, None, True), (200, 503, False), (503, 200, False), (None, 200, False)],
)
def test_the_probe_asks_gateways_with_tls_the_same(
    ray: int | None, gateway: int | None, ready: bool, tmp_path: Path
) -> None:
    command = groups(with_component("gateway-tls", tmp_path))[1].ray["readinessProbe"]
    files = write_certificate(tmp_path, "gateway")
    assert is_ready(command["exec"]["command"], ray, gateway, tls=files) is ready


def test_with_tls_rays_processes_speak_it(tmp_path: Path) -> None:
    [cluster] = of_kind(with_component("tls", tmp_path), "RayCluster")
    assert cluster["spec"]["tlsOptions"] == {"enabled": True}


def test_with_tls_of_calls_launch_and_pods_mean_the_same_files(tmp_path: Path) -> None:
    manifests = with_component("calls-tls", tmp_path)
    variables = {each["name"]: each.get("value") for each in groups(manifests)[0].ray["env"]}
    assert variables["THORNBACK_TRANSPORT__BETWEEN_MACHINES"] == "tls"
    files = [variables[f"THORNBACK_TRANSPORT__{what}"] for what in ("CERTIFICATE", "KEY", "CA")]
    [certificate] = of_kind(manifests, "Certificate")
    assert {"server auth", "client auth"} <= set(certificate["spec"]["usages"])
    for group in groups(manifests):
        [volume] = [
            v
            for v in group.template["spec"]["volumes"]
            if v.get("secret", {}).get("secretName") == certificate["spec"]["secretName"]
        ]
        [mount] = [m for m in group.ray["volumeMounts"] if m["name"] == volume["name"]]
        assert files == [
            f"{mount['mountPath']}/{name}" for name in ("tls.crt", "tls.key", "ca.crt")
        ]

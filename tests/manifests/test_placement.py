"""The rules of which pod does what can fail: each mistake is found by the rule that is for it."""

import signal
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.manifests import placement
from tests.manifests.placement import Group, groups
from tests.manifests.probes import is_ready
from tests.manifests.rendered import ROOT, overlay
from tests.manifests.rules import Rule

Manifests = list[Any]
LIMIT_S = 30.0


def named(manifests: Manifests, kind: str, name: str) -> Any:
    [found] = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name)]
    return found


def cluster(manifests: Manifests) -> Any:
    return named(manifests, "RayCluster", "thornback")["spec"]


def head(manifests: Manifests) -> Any:
    return cluster(manifests)["headGroupSpec"]


def hosts(manifests: Manifests) -> Any:
    return cluster(manifests)["workerGroupSpecs"][0]


def settings(manifests: Manifests, old: str, new: str) -> None:
    data = named(manifests, "ConfigMap", "thornback-settings")["data"]
    assert old in data["thornback.toml"]
    data["thornback.toml"] = data["thornback.toml"].replace(old, new)


def gateways_where_ray_likes(manifests: Manifests) -> None:
    settings(manifests, 'labels = { "thornback.dev/gateway" = "true" }', "")


def a_label_that_no_group_has(manifests: Manifests) -> None:
    settings(manifests, '"thornback.dev/role" = "host"', '"thornback.dev/role" = "hosts"')


def hosts_on_the_head(manifests: Manifests) -> None:
    settings(manifests, 'host_labels = { "thornback.dev/role" = "host" }', "host_labels = {}")


def the_core_on_pods_of_hosts(manifests: Manifests) -> None:
    settings(manifests, '"thornback.dev/role" = "core"', '"thornback.dev/role" = "host"')


def a_label_of_ray_alone(manifests: Manifests) -> None:
    del hosts(manifests)["template"]["metadata"]["labels"]["thornback.dev/gateway"]


def a_head_without_an_exporter(manifests: Manifests) -> None:
    del head(manifests)["labels"]["thornback.dev/metrics"]


def a_service_of_the_core(manifests: Manifests) -> None:
    service = named(manifests, "Service", "thornback")["spec"]
    service["selector"] = {"ray.io/cluster": "thornback", "thornback.dev/role": "core"}


def a_service_of_everybody(manifests: Manifests) -> None:
    named(manifests, "Service", "thornback")["spec"]["selector"] = {"ray.io/cluster": "thornback"}


def a_service_at_a_port_that_pods_have_not(manifests: Manifests) -> None:
    del hosts(manifests)["template"]["spec"]["containers"][0]["ports"][0]


def clients_at_the_core(manifests: Manifests) -> None:
    policy = named(manifests, "NetworkPolicy", "api")["spec"]
    policy["podSelector"]["matchLabels"] = {"thornback.dev/role": "core"}


def clients_at_every_port(manifests: Manifests) -> None:
    del named(manifests, "NetworkPolicy", "api")["spec"]["ingress"][0]["ports"]


def clients_at_rays_head(manifests: Manifests) -> None:
    rule = named(manifests, "NetworkPolicy", "submission-in")["spec"]["ingress"][0]
    rule["ports"].append({"port": 6379, "protocol": "TCP"})


def a_command_of_the_operator(manifests: Manifests) -> None:
    del hosts(manifests)["template"]["metadata"]["annotations"]


def a_shell_between(manifests: Manifests) -> None:
    container = hosts(manifests)["template"]["spec"]["containers"][0]
    container["command"][-1] = container["command"][-1].replace("exec ", "")


def no_time_to_leave(manifests: Manifests) -> None:
    hosts(manifests)["template"]["spec"]["terminationGracePeriodSeconds"] = 35


def kubernetes_own_grace(manifests: Manifests) -> None:
    del head(manifests)["template"]["spec"]["terminationGracePeriodSeconds"]


def requests_before_the_gateway_is_ready(manifests: Manifests) -> None:
    del hosts(manifests)["template"]["spec"]["containers"][0]["readinessProbe"]


def a_budget_for_the_core(manifests: Manifests) -> None:
    selector = named(manifests, "PodDisruptionBudget", "thornback-hosts")["spec"]["selector"]
    selector["matchLabels"]["thornback.dev/role"] = "core"


def a_budget_that_lets_none_go(manifests: Manifests) -> None:
    named(manifests, "PodDisruptionBudget", "thornback-hosts")["spec"]["minAvailable"] = 3


def a_budget_that_holds_up_everybody(manifests: Manifests) -> None:
    spec = named(manifests, "PodDisruptionBudget", "thornback-hosts")["spec"]
    del spec["unhealthyPodEvictionPolicy"]


def a_monitor_of_the_core(manifests: Manifests) -> None:
    spec = named(manifests, "PodMonitor", "thornback")["spec"]
    spec["selector"]["matchLabels"]["thornback.dev/role"] = "core"


def a_monitor_of_ray_alone(manifests: Manifests) -> None:
    del named(manifests, "PodMonitor", "thornback")["spec"]["podMetricsEndpoints"][0]


MISTAKES: list[tuple[Rule, Callable[[Manifests], None]]] = [
    (placement.placed, gateways_where_ray_likes),
    (placement.placed, a_label_that_no_group_has),
    (placement.placed, hosts_on_the_head),
    (placement.placed, the_core_on_pods_of_hosts),
    (placement.placed, a_label_of_ray_alone),
    (placement.placed, a_head_without_an_exporter),
    (placement.served, a_service_of_the_core),
    (placement.served, a_service_of_everybody),
    (placement.served, a_service_at_a_port_that_pods_have_not),
    (placement.let_in, clients_at_the_core),
    (placement.let_in, clients_at_every_port),
    (placement.let_in, clients_at_rays_head),
    (placement.ended_in_order, a_command_of_the_operator),
    (placement.ended_in_order, a_shell_between),
    (placement.ended_in_order, no_time_to_leave),
    (placement.ended_in_order, kubernetes_own_grace),
    (placement.probed, requests_before_the_gateway_is_ready),
    (placement.spared, a_budget_for_the_core),
    (placement.spared, a_budget_that_lets_none_go),
    (placement.spared, a_budget_that_holds_up_everybody),
    (placement.scraped, a_monitor_of_the_core),
    (placement.scraped, a_monitor_of_ray_alone),
]


@pytest.mark.parametrize(("rule", "mistake"), MISTAKES, ids=lambda each: each.__name__)
def test_a_mistake_is_found_by_its_rule(rule: Rule, mistake: Callable[[Manifests], None]) -> None:
    manifests = deepcopy([*overlay("prod")])
    assert list(rule(tuple(manifests))) == []
    mistake(manifests)
    assert list(rule(tuple(manifests)))


@pytest.mark.parametrize("group", groups(overlay("prod")), ids=lambda group: group.name)
def test_sigterm_of_a_pod_reaches_ray_and_it_ends_with_0(group: Group, tmp_path: Path) -> None:
    """The pod's command, with the operator's in its environment, and a Ray that ends with 1."""
    ray = tmp_path / "ray"
    ray.write_text(
        '#!/bin/bash\ntrap "exit 1" TERM\necho "$@"\nwhile :; do read -r -t 9 <> <(:); done\n'
    )
    ray.chmod(0o755)
    labels = ",".join(f"{key}={value}" for key, value in group.of_ray.items())
    pod = subprocess.Popen(
        group.ray["command"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env={
            "PATH": f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "KUBERAY_GEN_RAY_START_CMD": f"ray start  --block  --labels={labels}  --num-cpus=0 ",
        },
    )  # fmt: skip
    with pod:
        assert pod.stdout is not None
        assert pod.stdout.readline().split() == [
            "start", "--block", f"--labels={labels}", "--num-cpus=0",
        ]  # fmt: skip
        pod.send_signal(signal.SIGTERM)
        assert pod.wait(LIMIT_S) == 0


@pytest.mark.parametrize(
    ("ray", "gateway", "ready"),
    [
        (200, 200, True),
        (200, None, True),  # before the launch, which waits for it
        (200, 503, False),
        (503, 200, False),
        (503, None, False),
        (None, None, False),
    ],
)
def test_a_pod_of_hosts_is_ready_when_ray_and_its_gateway_are(
    ray: int | None, gateway: int | None, ready: bool
) -> None:
    command = groups(overlay("prod"))[1].ray["readinessProbe"]["exec"]["command"]
    assert is_ready(command, ray, gateway) is ready

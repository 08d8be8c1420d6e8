"""Rules of which pod does what: Ray's labels, the settings that choose by them, and all that
selects pods say the same. A rule tells what is wrong, and nothing where all is well."""

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.manifests.rendered import (
    Manifest,
    containers,
    of_kind,
    settings_file,
    workloads,
)

Manifests = tuple[Manifest, ...]
Labels = Mapping[str, str]

#: What the operator's command takes the place of, in a pod that keeps its own.
KEPT = "ray.io/overwrite-container-cmd"
#: How a pod's own command runs the one that the operator would have run.
_ATTENDED = re.compile(
    r'eval "exec python -m jobs\.node --within (\d+) \$KUBERAY_GEN_RAY_START_CMD"$'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Pods of a kind in a RayCluster."""

    name: str
    of_ray: Labels  #: as `ray start` is told them
    of_pods: Labels  #: as Kubernetes sees them, with that of the operator
    params: Mapping[str, str]  #: of `ray start`
    template: Manifest
    replicas: int

    @property
    def ports(self) -> dict[str, int]:
        """Of all containers, by name."""
        return {
            port["name"]: port["containerPort"]
            for container in containers(self.template)
            for port in container.get("ports", [])
        }

    @property
    def ray(self) -> Manifest:
        """The container that the operator takes for Ray's."""
        found: Manifest = self.template["spec"]["containers"][0]
        return found


def groups(manifests: Manifests) -> list[Group]:
    """Of the one cluster; the head's is first."""
    [cluster] = of_kind(manifests, "RayCluster")
    spec = cluster["spec"]
    found = [("head", 1, spec["headGroupSpec"])]
    found += [(each["groupName"], each["replicas"], each) for each in spec["workerGroupSpecs"]]
    of_operator = {"ray.io/cluster": cluster["metadata"]["name"]}
    return [
        Group(
            name=name, replicas=replicas, template=group["template"],
            of_ray=group.get("labels", {}), params=group["rayStartParams"],
            of_pods={**group["template"]["metadata"]["labels"], **of_operator},
        )
        for name, replicas, group in found
    ]  # fmt: skip


def chosen(manifests: Manifests) -> dict[str, Labels]:
    """By what it is for: the labels that the settings ask a machine for."""
    settings: Any = tomllib.loads(settings_file(manifests))
    return {
        "hosts": settings["actor_system"].get("host_labels", {}),
        "core": settings["actor_system"].get("core_labels", {}),
        "gateways": settings["gateway"].get("labels", {}),
        "exporters": settings["metrics"].get("labels", {}),
    }


def meant(manifests: Manifests, what: str) -> list[str]:
    """The groups whose machines the settings choose for it."""
    labels = chosen(manifests)[what]
    return [group.name for group in groups(manifests) if labels.items() <= group.of_ray.items()]


def picked(manifests: Manifests, selector: Manifest) -> list[str]:
    """The pods that a selector picks: groups by name, others as their kind has it."""
    cluster = {group.name: group.of_pods for group in groups(manifests)}
    others = {
        name: template["metadata"]["labels"]
        for name, template in workloads(manifests)
        if not name.startswith("RayCluster")
    }
    return [name for name, labels in (cluster | others).items() if matches(labels, selector)]


def matches(labels: Labels, selector: Manifest) -> bool:
    """Does a selector pick what has these labels?"""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for each in selector.get("matchExpressions", []):
        if each["operator"] != "In":
            raise ValueError(f"a selector with {each['operator']} is not understood here")
        if labels.get(each["key"]) not in each["values"]:
            return False
    return True


def placed(manifests: Manifests) -> Iterator[str]:
    """Hosts, core, gateways and exporters have machines, by labels; the core has one alone."""
    for what, labels in chosen(manifests).items():
        if not labels:
            yield f"{what}: the settings choose no machine, so Ray does"
        elif not meant(manifests, what):
            yield f"{what}: no group has {dict(labels)}"
    if meant(manifests, "core") not in ([], ["head"]):
        yield "core: not on the head alone, whose preStop drains the system"
    if "head" in meant(manifests, "hosts"):
        yield "hosts: on the head, which has the core to run"
    for group in groups(manifests):
        if not group.of_ray.items() <= group.of_pods.items():
            yield f"{group.name}: Ray has labels of it that its pods have not"
        if group.name not in meant(manifests, "exporters"):
            yield f"{group.name}: what is counted there is shown nowhere"


def served(manifests: Manifests) -> Iterator[str]:
    """The Service has the pods with gateways, those alone, at ports that they have."""
    for service in of_kind(manifests, "Service"):
        if service["metadata"]["name"] != "thornback":
            continue
        found = picked(manifests, {"matchLabels": service["spec"]["selector"]})
        if found != meant(manifests, "gateways"):
            yield f"Service thornback: has {found}, and gateways are in others"
        for group in groups(manifests):
            for port in service["spec"]["ports"] if group.name in found else ():
                if group.ports.get(port["targetPort"]) != port["port"]:
                    yield f"{group.name}: has no port {port['targetPort']} as {port['port']}"


def let_in(manifests: Manifests) -> Iterator[str]:
    """The policies let others to ports of the pods that have something there, and to no more."""
    wanted = {
        8080: meant(manifests, "gateways"),
        9090: meant(manifests, "exporters"),
        8265: ["head"],
        6379: [],
        10001: [],
        52365: [],
    }
    if not any(policy["metadata"]["name"] == "metrics" for policy in _policies(manifests)):
        del wanted[9090]  # nobody scrapes
    for port, expected in wanted.items():
        found = {
            name for policy in _policies(manifests) if _from_outside(policy, port)
            for name in picked(manifests, policy["spec"]["podSelector"])
        }  # fmt: skip
        if found != set(expected):
            yield f"port {port}: let in at {sorted(found)}, meant for {expected}"


def _policies(manifests: Manifests) -> list[Manifest]:
    return of_kind(manifests, "NetworkPolicy")


def _from_outside(policy: Manifest, port: int) -> bool:
    """Does it let anybody to this port who is no pod of the cluster?"""
    return any(
        port in [each["port"] for each in rule.get("ports", [{"port": port}])]
        and any(
            peer.get("podSelector") != {"matchLabels": {"ray.io/cluster": "thornback"}}
            or "namespaceSelector" in peer
            for peer in rule.get("from", [])
        )
        for rule in policy["spec"].get("ingress", [])
    )


def ended_in_order(manifests: Manifests) -> Iterator[str]:
    """SIGTERM comes to jobs/node.py, and it has the time that it may take."""
    for group in groups(manifests):
        annotations = group.template["metadata"].get("annotations", {})
        if annotations.get(KEPT) != "true":
            yield f"{group.name}: the operator puts its own command in place of ours"
        attended = _ATTENDED.search(group.ray.get("command", [""])[-1])
        if attended is None:
            yield f"{group.name}: SIGTERM does not come to jobs.node"
            continue
        needed = before_the_end_s(group) + int(attended[1])
        if group.template["spec"].get("terminationGracePeriodSeconds", 30) <= needed:
            yield f"{group.name}: ends before the {needed} s are over that it may take"


def before_the_end_s(group: Group) -> int:
    """Seconds that a pod's preStop may take."""
    stop = group.ray.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
    limits = re.findall(r"(?:exec timeout|^sleep) (\d+)", shlex.join(stop))
    if stop and len(limits) != 1:
        raise ValueError(f"{group.name}: nothing says how long {stop} may take")
    return int(limits[0]) if stop else 0


def probed(manifests: Manifests) -> Iterator[str]:
    """Where there is a gateway, a pod is ready when Ray and the gateway are."""
    for group in groups(manifests):
        command = group.ray.get("readinessProbe", {}).get("exec", {}).get("command", [""])[-1]
        asks = {"/readyz", "/api/healthz"} <= set(re.findall(r"(?<![^\s\"])/[a-z/]+", command))
        if group.name in meant(manifests, "gateways") and not asks:
            yield f"{group.name}: requests are sent there before its gateway is ready"


def spared(manifests: Manifests) -> Iterator[str]:
    """A budget is for pods of hosts, leaves some, and holds up nobody where all are away."""
    for budget in of_kind(manifests, "PodDisruptionBudget"):
        found = picked(manifests, budget["spec"]["selector"])
        if found != meant(manifests, "hosts"):
            yield f"PodDisruptionBudget: is for {found}"
        replicas = sum(group.replicas for group in groups(manifests) if group.name in found)
        # A number of those that may go needs a scale subresource: a RayCluster has none.
        if not 0 < budget["spec"].get("minAvailable", 0) < replicas:
            yield f"PodDisruptionBudget: of {replicas} pods, not a part stays"
        if budget["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield "PodDisruptionBudget: an outage of the database keeps machines from maintenance"


def scraped(manifests: Manifests) -> Iterator[str]:
    """Prometheus finds every pod that counts, at a port that it has."""
    for monitor in of_kind(manifests, "PodMonitor"):
        found = picked(manifests, monitor["spec"]["selector"])
        if found != meant(manifests, "exporters"):
            yield f"PodMonitor: scrapes {found}"
        for group in groups(manifests):
            for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                if endpoint["port"] not in group.ports:
                    yield f"{group.name}: has no port {endpoint['port']} to scrape"
        ports = [each["port"] for each in monitor["spec"]["podMetricsEndpoints"]]
        if "app-metrics" not in ports:
            yield "PodMonitor: leaves our own metrics out"


RULES = [placed, served, let_in, ended_in_order, probed, spared, scraped]

"""The manifests of k8s/ as a cluster would get them: built by kustomize, and taken apart."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OVERLAYS = sorted(path.parent.name for path in ROOT.glob("k8s/overlays/*/kustomization.yaml"))

Manifest = Mapping[str, Any]


class Workload(NamedTuple):
    """A pod that somebody starts, by who that is."""

    name: str
    template: Manifest


@cache
def rendered(folder: Path) -> tuple[Manifest, ...]:
    """What `kubectl apply -k` would send; it is built without a cluster and without a network."""
    ours = Path(sys.executable).parent / "kubectl"
    kubectl = ours if ours.exists() else shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl")
    built = subprocess.run(
        [kubectl, "kustomize", folder],
        check=True, text=True, capture_output=True, env={"HOME": "/nonexistent"},
    )  # fmt: skip
    return tuple(yaml.safe_load_all(built.stdout))


def overlay(name: str) -> tuple[Manifest, ...]:
    """One of k8s/overlays."""
    return rendered(ROOT / "k8s" / "overlays" / name)


def of_kind(manifests: tuple[Manifest, ...], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def workloads(manifests: tuple[Manifest, ...]) -> list[Workload]:
    """Every pod template there is, whatever kind it stands in."""
    found = []
    for manifest in manifests:
        name, spec = f"{manifest['kind']} {manifest['metadata']['name']}", manifest.get("spec", {})
        if "headGroupSpec" in spec:
            found.append(Workload(f"{name} head", spec["headGroupSpec"]["template"]))
            found += [
                Workload(f"{name} {group['groupName']}", group["template"])
                for group in spec["workerGroupSpecs"]
            ]
        if "submitterPodTemplate" in spec:
            found.append(Workload(f"{name} submitter", spec["submitterPodTemplate"]))
        if "template" in spec:
            found.append(Workload(name, spec["template"]))
    return found


def containers(template: Manifest) -> list[Manifest]:
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def settings_file(manifests: tuple[Manifest, ...]) -> str:
    """The TOML that the system is launched with."""
    [found] = [m for m in of_kind(manifests, "ConfigMap") if "thornback.toml" in m["data"]]
    text: str = found["data"]["thornback.toml"]
    return text


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every single value below, with the way to it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from leaves(item, (*path, str(number)))
    else:
        yield path, value

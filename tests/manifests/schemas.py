"""What manifests are held against: Kubernetes' schemas, and KubeRay's where they lie ready."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.manifests.rendered import Manifest, workloads

#: A folder with KubeRay's CRDs, ray.io_rayclusters.yaml and so on, as its release has them. They
#: are not copied into this project.
CRDS = "KUBERAY_CRDS"

#: Of resources that are not Kubernetes' own, with the plural of their names.
KUBERAY = {"RayCluster": "rayclusters", "RayJob": "rayjobs"}
_CORE = ("v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1")


def problems_of_core(manifests: tuple[Manifest, ...]) -> list[str]:
    """What Kubernetes would refuse or drop: in its own kinds, and in every pod template."""
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": template["spec"]}
        for _, template in workloads(manifests)
    ]
    own = [manifest for manifest in manifests if manifest["apiVersion"] in _CORE]
    return [problem for manifest in [*own, *pods] for problem in _problem(manifest)]


def _problem(manifest: Manifest) -> list[str]:
    try:
        kubernetes_validate.validate(manifest, "1.37", strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{manifest['kind']} {manifest['metadata']['name']}: {error.message}"]
    return []


def problems_of_kuberay(manifests: tuple[Manifest, ...]) -> list[str]:
    """What KubeRay's CRDs refuse or drop. Skips the test where they are not at hand. Rules of
    theirs that are written in CEL are not looked at."""
    if CRDS not in os.environ:
        pytest.skip(f"{CRDS} names no folder with KubeRay's CRDs")
    return [
        f"{manifest['kind']} {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for manifest in manifests
        if manifest["kind"] in KUBERAY
        for error in jsonschema.Draft7Validator(_schema(manifest["kind"])).iter_errors(manifest)
    ]


@cache
def _schema(kind: str) -> Any:
    crd = yaml.safe_load((Path(os.environ[CRDS]) / f"ray.io_{KUBERAY[kind]}.yaml").read_text())
    [version] = [v for v in crd["spec"]["versions"] if v["name"] == "v1"]
    schema = _strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def _strict(schema: Any) -> Any:
    """The same, but unknown fields are refused and not dropped."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {key: _strict(value) for key, value in schema.items() if key != "format"}
    open_ended = "additionalProperties" in schema or schema.get(
        "x-kubernetes-preserve-unknown-fields"
    )
    if (
        schema.get("type") == "object"
        and isinstance(schema.get("properties"), dict)
        and not open_ended
    ):
        made["additionalProperties"] = False
    return made

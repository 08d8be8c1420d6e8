"""What must hold of every manifest. A rule tells what is wrong, and nothing where all is well."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.manifests import placement
from tests.manifests.rendered import Manifest, containers, leaves, of_kind, workloads

Manifests = tuple[Manifest, ...]
Rule = Callable[[Manifests], Iterator[str]]

#: Volumes that the Pod Security standard "restricted" lets in.
_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip
_SECRET_NAME = re.compile(r"(?i)(password|passwd|secret|token|credential|api_?key|database_url)")
_URL_WITH_PASSWORD = re.compile(r"\w+://[^/\s:@]*:[^/\s@]+@")
#: Names of things, modes and switches: they are about secrets and are none.
_NO_SECRETS = {"RAY_AUTH_MODE"}


def restricted(manifests: Manifests) -> Iterator[str]:
    """Pod Security "restricted", on every pod and container."""
    for name, template in workloads(manifests):
        spec = template["spec"]
        pod = spec.get("securityContext", {})
        if pod.get("runAsNonRoot") is not True or not pod.get("runAsUser"):
            yield f"{name}: may run as root"
        if pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name}: no seccomp profile"
        for shared in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(shared):
                yield f"{name}: {shared}"
        for volume in spec.get("volumes", []):
            if not set(volume) - {"name"} <= _VOLUMES:
                yield f"{name}: volume {volume['name']} is of a kind that is not let in"
        for container in containers(template):
            where = f"{name}, container {container['name']}"
            context = container.get("securityContext", {})
            if context.get("allowPrivilegeEscalation") is not False:
                yield f"{where}: may gain privileges"
            if context.get("capabilities", {}).get("drop") != ["ALL"]:
                yield f"{where}: keeps capabilities"
            if context.get("privileged") or context.get("capabilities", {}).get("add"):
                yield f"{where}: is privileged"


def read_only(manifests: Manifests) -> Iterator[str]:
    """The root file system is read-only, and what is written has a bound."""
    for name, template in workloads(manifests):
        for container in containers(template):
            if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
                yield f"{name}, container {container['name']}: its root can be written"
        for volume in template["spec"].get("volumes", []):
            if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit"):
                yield f"{name}: volume {volume['name']} has no bound"


def bounded(manifests: Manifests) -> Iterator[str]:
    """Requests and limits of processor and memory."""
    for name, template in workloads(manifests):
        for container in containers(template):
            for bound in ("requests", "limits"):
                given = container.get("resources", {}).get(bound, {})
                if not {"cpu", "memory"} <= set(given):
                    yield f"{name}, container {container['name']}: {bound} lack cpu or memory"


def without_tokens(manifests: Manifests) -> Iterator[str]:
    """Nobody has a token of the API server, and everybody an account of his own."""
    for account in of_kind(manifests, "ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount {account['metadata']['name']}: its token is mounted"
    accounts = {a["metadata"]["name"] for a in of_kind(manifests, "ServiceAccount")}
    for name, template in workloads(manifests):
        if template["spec"].get("automountServiceAccountToken") is not False:
            yield f"{name}: a token is mounted"
        if template["spec"].get("serviceAccountName") not in accounts:
            yield f"{name}: has no account of its own"
        if template["spec"].get("enableServiceLinks") is not False:
            yield f"{name}: Services' names come into its environment"


def no_secrets(manifests: Manifests) -> Iterator[str]:
    """Secrets come by reference: none is made here, and no value looks like one."""
    for manifest in manifests:
        where = f"{manifest['kind']} {manifest['metadata']['name']}"
        if manifest["kind"] == "Secret":
            yield f"{where}: a secret is written down"
        for path, value in leaves(manifest):
            if isinstance(value, str) and _URL_WITH_PASSWORD.search(value):
                yield f"{where}: {'.'.join(path)} has a URL with a password"
    for name, template in workloads(manifests):
        for container in containers(template):
            for variable in container.get("env", []):
                written = "value" in variable and variable["name"] not in _NO_SECRETS
                if written and _SECRET_NAME.search(variable["name"]):
                    yield f"{name}: {variable['name']} is written down"


def pinned(manifests: Manifests) -> Iterator[str]:
    """Every image has a tag that says which it is."""
    for name, template in workloads(manifests):
        for container in containers(template):
            _, colon, tag = container["image"].rpartition(":")
            if not colon or "/" in tag or tag == "latest":
                yield f"{name}, container {container['name']}: {container['image']} may be any"


def authenticated(manifests: Manifests) -> Iterator[str]:
    """Ray asks for a token, which a secret has, and every container says so."""
    for cluster in of_kind(manifests, "RayCluster"):
        options: dict[str, Any] = cluster["spec"].get("authOptions", {})
        if options.get("mode") != "token" or not options.get("secretName"):
            yield f"RayCluster {cluster['metadata']['name']}: lets in who has no token"
    for name, template in workloads(manifests):
        for container in containers(template):
            if "/thornback:" not in container["image"]:
                continue
            modes = [
                v.get("value") for v in container.get("env", []) if v["name"] == "RAY_AUTH_MODE"
            ]
            if modes != ["token"]:
                yield f"{name}, container {container['name']}: RAY_AUTH_MODE is not token"


def denied_by_default(manifests: Manifests) -> Iterator[str]:
    """Every pod is under a policy that lets nothing in and nothing out."""
    denying = [
        policy for policy in of_kind(manifests, "NetworkPolicy")
        if policy["spec"]["podSelector"] == {}
        and sorted(policy["spec"]["policyTypes"]) == ["Egress", "Ingress"]
        and not {"ingress", "egress"} & set(policy["spec"])
    ]  # fmt: skip
    if not denying:
        yield "no policy denies by default"
    for policy in of_kind(manifests, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            if not rule.get("from"):
                yield f"NetworkPolicy {policy['metadata']['name']}: lets anybody in"
            if {} in rule.get("from", []):
                yield f"NetworkPolicy {policy['metadata']['name']}: lets anybody in"


RULES: list[Rule] = [
    restricted, read_only, bounded, without_tokens, no_secrets, pinned, authenticated,
    denied_by_default, *placement.RULES,
]  # fmt: skip


def wrong_with(manifests: Manifests) -> list[str]:
    """All that is wrong, by all rules."""
    return [problem for rule in RULES for problem in rule(manifests)]

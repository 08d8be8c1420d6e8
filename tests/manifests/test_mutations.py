"""The tests of the manifests can fail: each mistake below is found."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.manifests.rendered import Manifest, overlay
from tests.manifests.rules import wrong_with
from tests.manifests.schemas import problems_of_core

Manifests = list[Any]


def one(manifests: Manifests, kind: str) -> Any:
    return next(m for m in manifests if m["kind"] == kind)


def head(manifests: Manifests) -> Any:
    return one(manifests, "RayCluster")["spec"]["headGroupSpec"]["template"]["spec"]


def misspelt_field(manifests: Manifests) -> None:
    service = one(manifests, "Service")["spec"]
    service["selectors"] = service.pop("selector")


def misspelt_field_of_a_pod(manifests: Manifests) -> None:
    head(manifests)["terminationGracePeriod"] = 120


def value_of_another_type(manifests: Manifests) -> None:
    head(manifests)["containers"][0]["ports"][0]["containerPort"] = "api"


def no_security_context(manifests: Manifests) -> None:
    del head(manifests)["containers"][0]["securityContext"]


def no_security_context_of_a_pod(manifests: Manifests) -> None:
    del one(manifests, "RayJob")["spec"]["submitterPodTemplate"]["spec"]["securityContext"]


def a_root_that_can_be_written(manifests: Manifests) -> None:
    head(manifests)["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = False


def a_folder_of_the_machine(manifests: Manifests) -> None:
    head(manifests)["volumes"].append({"name": "machine", "hostPath": {"path": "/"}})


def a_literal_secret(manifests: Manifests) -> None:
    variables = head(manifests)["containers"][0]["env"]
    [database] = [v for v in variables if v["name"] == "DATABASE_URL"]
    del database["valueFrom"]
    database["value"] = "see below"


def a_password_in_the_settings(manifests: Manifests) -> None:
    [settings] = [m for m in manifests if m["metadata"]["name"] == "thornback-settings"]
    settings["data"]["thornback.toml"] += 'url = "postgres://me:word@host/db"\n'


def a_token_that_is_written_down(manifests: Manifests) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "thornback-ray-token"}}
    manifests.append(secret)


def no_limits(manifests: Manifests) -> None:
    del one(manifests, "Job")["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]


def the_latest_image(manifests: Manifests) -> None:
    head(manifests)["containers"][0]["image"] = "registry.example.com:5000/thornback"


def a_ray_without_a_token(manifests: Manifests) -> None:
    del one(manifests, "RayCluster")["spec"]["authOptions"]


def an_account_with_its_token(manifests: Manifests) -> None:
    del one(manifests, "ServiceAccount")["automountServiceAccountToken"]


def a_policy_for_anybody(manifests: Manifests) -> None:
    [api] = [m for m in manifests if m["metadata"]["name"] == "api"]
    del api["spec"]["ingress"][0]["from"]


def nothing_denied(manifests: Manifests) -> None:
    manifests[:] = [m for m in manifests if m["metadata"]["name"] != "deny-by-default"]


BY_SCHEMA = [misspelt_field, misspelt_field_of_a_pod, value_of_another_type]
BY_RULE = [
    no_security_context, no_security_context_of_a_pod, a_root_that_can_be_written,
    a_folder_of_the_machine, a_literal_secret, a_password_in_the_settings,
    a_token_that_is_written_down, no_limits, the_latest_image, a_ray_without_a_token,
    an_account_with_its_token, a_policy_for_anybody, nothing_denied,
]  # fmt: skip


def mutated(mutate: Callable[[Manifests], None]) -> tuple[Manifest, ...]:
    manifests = deepcopy([*overlay("prod")])
    mutate(manifests)
    return tuple(manifests)


@pytest.mark.parametrize("mutate", BY_SCHEMA, ids=lambda mutate: mutate.__name__)
def test_a_mistake_is_found_by_the_schema(mutate: Callable[[Manifests], None]) -> None:
    assert problems_of_core(mutated(mutate))


@pytest.mark.parametrize("mutate", BY_RULE, ids=lambda mutate: mutate.__name__)
def test_a_mistake_is_found_by_a_rule(mutate: Callable[[Manifests], None]) -> None:
    assert wrong_with(mutated(mutate))

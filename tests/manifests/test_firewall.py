"""NetworkPolicies become the rules that they mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.manifests.firewall import table


@dataclass(frozen=True)
class Pod:
    address: str
    namespace: str = "ours"
    labels: Mapping[str, str] = field(default_factory=dict)
    labels_of_namespace: Mapping[str, str] = field(default_factory=dict)


DOOR = Pod("10.0.0.1", labels={"role": "door"})
FRIEND = Pod("10.0.0.2", labels={"role": "friend"})
GUEST = Pod("10.0.0.3", "theirs", {"role": "friend"}, {"guests": "yes"})
PODS = [DOOR, FRIEND, GUEST]


def policy(types: list[str], selector: Any = None, **rules: Any) -> dict[str, Any]:
    spec = {"podSelector": selector or {}, "policyTypes": types, **rules}
    return {"metadata": {"name": "p", "namespace": "ours"}, "spec": spec}


def rules_of(pod: Pod, *policies: Any) -> tuple[dict[str, str], list[str]]:
    """What happens by default, and what is let through by addresses."""
    lines = table(pod, PODS, policies).splitlines()
    heads = [line[1:].split() for line in lines if line.startswith(":")]
    always = ("-i lo", "-o lo", "ESTABLISHED")
    own = [line for line in lines if line[:2] == "-A" and not any(a in line for a in always)]
    return {head[0]: head[1] for head in heads}, own


def friends(**more: Any) -> dict[str, Any]:
    peer = {"podSelector": {"matchLabels": {"role": "friend"}}, **more}
    return {"from": [peer], "ports": [{"port": 80, "protocol": "TCP"}]}


def test_without_a_policy_everything_is_open() -> None:
    heads, own = rules_of(DOOR)
    assert (heads["INPUT"], heads["OUTPUT"], own) == ("ACCEPT", "ACCEPT", [])


def test_a_policy_closes_what_it_is_about_and_no_more() -> None:
    heads, own = rules_of(DOOR, policy(["Ingress"]))
    assert (heads["INPUT"], heads["OUTPUT"], own) == ("DROP", "ACCEPT", [])


def test_a_policy_is_for_its_namespace_and_the_pods_that_it_selects() -> None:
    closed = policy(["Ingress"], {"matchLabels": {"role": "friend"}})
    assert rules_of(DOOR, closed)[0]["INPUT"] == "ACCEPT"
    assert rules_of(GUEST, closed)[0]["INPUT"] == "ACCEPT"
    assert rules_of(FRIEND, closed)[0]["INPUT"] == "DROP"


def test_peers_without_a_namespace_are_of_the_policys_own() -> None:
    own = rules_of(DOOR, policy(["Ingress"], ingress=[friends()]))[1]
    assert own == ["-A INPUT -s 10.0.0.2 -p tcp --dport 80 -j ACCEPT"]


def test_peers_of_a_namespace_have_to_fit_both() -> None:
    guests = {"matchLabels": {"guests": "yes"}}
    own = rules_of(DOOR, policy(["Ingress"], ingress=[friends(namespaceSelector=guests)]))[1]
    assert own == ["-A INPUT -s 10.0.0.3 -p tcp --dport 80 -j ACCEPT"]


def test_a_rule_whose_peers_are_nobody_lets_nobody_in() -> None:
    nobody = {"from": [{"podSelector": {"matchLabels": {"role": "ghost"}}}]}
    assert rules_of(DOOR, policy(["Ingress"], ingress=[nobody]))[1] == []


def test_without_ports_all_are_meant_and_without_peers_everybody() -> None:
    egress = [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}, {"ports": [{"port": 443}]}]
    own = rules_of(DOOR, policy(["Egress"], egress=egress))[1]
    assert own == ["-A OUTPUT -d 10.0.0.0/8 -j ACCEPT", "-A OUTPUT -p tcp --dport 443 -j ACCEPT"]


def test_policies_add_up() -> None:
    both = [policy(["Ingress"]), policy(["Ingress"], ingress=[friends()])]
    heads, own = rules_of(DOOR, *both)
    assert heads["INPUT"] == "DROP"
    assert len(own) == 1


@pytest.mark.parametrize(
    "rule",
    [
        {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.1/32"]}}]},
        {"from": [{}]},
        {"from": [{"podSelector": {}}], "ports": [{"port": "api"}]},
        {"from": [{"podSelector": {}}], "ports": [{"port": 1, "endPort": 9}]},
        {"to": [{"podSelector": {}}]},
    ],
    ids=["except", "empty", "named-port", "range", "wrong-way"],
)  # fmt: skip
def test_what_is_not_understood_is_refused(rule: Any) -> None:
    with pytest.raises(ValueError, match="not understood"):
        table(DOOR, PODS, [policy(["Ingress"], ingress=[rule])])

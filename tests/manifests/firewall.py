"""NetworkPolicies as rules for iptables: what a network plugin would make of them, for few pods.

Per pod one table for `iptables-restore`. As Kubernetes has it: policies add up, one that selects a
pod closes what it does not let through, and answers to what was let through come back.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from tests.manifests.placement import matches
from tests.manifests.rendered import Manifest


class Selectable(Protocol):
    """A pod as policies see it."""

    @property
    def address(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def labels_of_namespace(self) -> Mapping[str, str]: ...


OPEN = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"


def table(pod: Selectable, pods: Sequence[Selectable], policies: Sequence[Manifest]) -> str:
    """The rules of one pod among others. Raises ValueError for what is not understood here."""
    over = [policy for policy in policies if _over(policy, pod)]
    rules: list[str] = []
    chains: dict[str, str] = {}
    for chain, kind, rule, peers, flag in (
        ("INPUT", "Ingress", "ingress", "from", "-s"),
        ("OUTPUT", "Egress", "egress", "to", "-d"),
    ):
        closing = [each for each in over if kind in each["spec"]["policyTypes"]]
        chains[chain] = "DROP" if closing else "ACCEPT"
        for policy in closing:
            for allowed in policy["spec"].get(rule, []):
                found = _matches(policy, allowed, peers, pods, flag)
                rules += [f"-A {chain} {match}-j ACCEPT" for match in found]
    always = [
        f"-A {chain} {match} -j ACCEPT"
        for chain, loopback in (("INPUT", "-i lo"), ("OUTPUT", "-o lo"))
        for match in (loopback, "-m conntrack --ctstate ESTABLISHED,RELATED")
    ]
    heads = [f":{chain} {policy} [0:0]" for chain, policy in chains.items()]
    return "\n".join(["*filter", *heads, ":FORWARD DROP [0:0]", *always, *rules, "COMMIT", ""])


def _over(policy: Manifest, pod: Selectable) -> bool:
    return policy["metadata"]["namespace"] == pod.namespace and matches(
        pod.labels, policy["spec"]["podSelector"]
    )


def _matches(
    policy: Manifest, allowed: Any, peers: str, pods: Sequence[Selectable], flag: str
) -> Iterator[str]:
    """What iptables matches a rule of a policy by: one for each address and port."""
    known = {peers, "ports"}
    if not allowed.keys() <= known:
        raise ValueError(f"not understood: {allowed.keys() - known}")
    wheres = [f"{flag} {address} " for address in _addresses(policy, allowed, peers, pods)]
    for where in wheres if allowed.get(peers) else [""]:
        for port in allowed.get("ports") or [None]:
            yield where + ("" if port is None else _port(port))


def _port(port: Any) -> str:
    if not isinstance(port.get("port"), int) or port.keys() - {"port", "protocol"}:
        raise ValueError(f"not understood: {port}")
    return f"-p {port.get('protocol', 'TCP').lower()} --dport {port['port']} "


def _addresses(
    policy: Manifest, allowed: Any, peers: str, pods: Sequence[Selectable]
) -> Iterator[str]:
    for peer in allowed.get(peers, []):
        if peer.keys() == {"ipBlock"} and peer["ipBlock"].keys() == {"cidr"}:
            yield peer["ipBlock"]["cidr"]
        elif peer and peer.keys() <= {"podSelector", "namespaceSelector"}:
            yield from (pod.address for pod in pods if _is_peer(policy, peer, pod))
        else:
            raise ValueError(f"not understood: {peer}")


def _is_peer(policy: Manifest, peer: Any, pod: Selectable) -> bool:
    if "namespaceSelector" in peer:
        there = matches(pod.labels_of_namespace, peer["namespaceSelector"])
    else:
        there = pod.namespace == policy["metadata"]["namespace"]
    return there and matches(pod.labels, peer.get("podSelector", {}))

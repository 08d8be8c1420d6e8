"""Pods as machines of this one, and as what policies see them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.machines.namespaces import Machine, done, machines

#: What their rules are put in force by.
TOOL = "iptables-restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """Where a pod is, and as what policies see it."""

    name: str
    address: str
    namespace: str  #: of Kubernetes
    labels: Mapping[str, str]
    labels_of_namespace: Mapping[str, str]


class Network:
    """Machines that reach one another, until rules say otherwise."""

    def __init__(self, pods: Sequence[Pod], there: Sequence[Machine]) -> None:
        self.pods = {pod.name: pod for pod in pods}
        self._inside = {each.name: each.inside for each in there}

    def inside(self, name: str, *command: str) -> list[str]:
        """A command line that runs a command on a machine."""
        return [*self._inside[name], *command]

    def restore(self, name: str, rules: str) -> None:
        """Put rules in the place of those that a machine has."""
        done(*self.inside(name, TOOL), told=rules)


@contextmanager
def network(pods: Sequence[Pod]) -> Iterator[Network]:
    """Machines for as long as this lasts."""
    with machines({pod.name: pod.address for pod in pods}) as there:
        yield Network(pods, there)

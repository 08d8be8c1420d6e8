"""The nodes of the suite's Ray beside the head's. One that is lost is replaced by another one."""

from collections.abc import Iterable

from runtime.cluster.local_nodes import LocalNode
from runtime.cluster.node_network import NodeNetwork
from runtime.cluster.ray_session import add_node


class Nodes:
    """Of a whole run, seed after seed. For the main thread: nodes end with who has started them."""

    def __init__(self, first: Iterable[LocalNode], network: NodeNetwork | None = None) -> None:
        self._nodes = list(first)
        #: By which this program is reached from all of them.
        self.address = "127.0.0.1" if network is None else network.address

    def one(self, choice: float) -> LocalNode | None:
        """One of those that live, if any does."""
        alive = [node for node in self._nodes if not node.ended]
        return alive[int(choice * len(alive))] if alive else None

    def replace(self) -> None:
        """Have a new one for each that has ended: killed, or because Ray took it for dead."""
        for place, node in enumerate(self._nodes):
            if node.ended:
                node.end()  # of what it had beside its raylet, nothing is to stay
                self._nodes[place] = add_node()

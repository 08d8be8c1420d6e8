"""Three nodes of Ray on this machine, one for the core and two for hosts, and two systems on them.

Prints, as JSON, for each system on which node each process runs, and the roles of the nodes. A
program of its own: a test session has one node.
"""

import json
from typing import Any

import ray
from ray.cluster_utils import Cluster

from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.status import ProcessStatus

ROLE = "thornback.dev/role"

LABELLED = Settings.load(
    event_store={"type": "memory"},
    gateway={"port": 0},
    metrics={"labels": {ROLE: "core"}},
    actor_system={
        "hosts": 4,
        "host_labels": {ROLE: "host"},
        "core_labels": {ROLE: "core"},
    },
)


#: As it is without a word: with an embedded database.
PLAIN = Settings.load(
    gateway={"port": 0}, metrics={"port": 0}, actor_system={"hosts": 4, "namespace": "plain"}
)


def node(role: str) -> dict[str, Any]:
    return {"num_cpus": 0, "labels": {ROLE: role}, "object_store_memory": 100_000_000}


def nodes(settings: Settings) -> dict[str, str]:
    """By the name of each process of a system: its node."""
    system = ActorSystem.launch(settings, timeout_s=90)
    statuses = system.status().result()
    system.drain().result()
    return {each.name: each.machine for each in statuses if isinstance(each, ProcessStatus)}


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args=node("core"))
    for _ in range(2):
        cluster.add_node(**node("host"))
    ray.init(address=cluster.address, log_to_driver=False)
    roles = {each["NodeID"]: each["Labels"][ROLE] for each in ray.nodes()}
    print(json.dumps({"roles": roles, "labelled": nodes(LABELLED), "plain": nodes(PLAIN)}))
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()

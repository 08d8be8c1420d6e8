"""Three nodes of Ray on this machine, one for the core and two for hosts, and a system on them.

Prints, as JSON, the role of the node that each process runs on. A program of its own: a test
session has one node.
"""

import json
from typing import Any

import ray
from ray._private.state import actors
from ray.cluster_utils import Cluster

from runtime.settings.settings import Settings
from runtime.system import ActorSystem

ROLE = "thornback.dev/role"

SETTINGS = Settings.load(
    event_store={"type": "memory"},
    gateway={"port": 0},
    metrics={"labels": {ROLE: "core"}},
    actor_system={
        "hosts": 4,
        "host_labels": {ROLE: "host"},
        "core_labels": {ROLE: "core"},
    },
)


def node(role: str) -> dict[str, Any]:
    return {"num_cpus": 0, "labels": {ROLE: role}, "object_store_memory": 100_000_000}


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args=node("core"))
    for _ in range(2):
        cluster.add_node(**node("host"))
    ray.init(address=cluster.address, log_to_driver=False)
    system = ActorSystem.launch(SETTINGS, timeout_s=90)
    roles = {each["NodeID"]: each["Labels"][ROLE] for each in ray.nodes()}
    print(
        json.dumps({each["Name"]: roles[each["Address"]["NodeID"]] for each in actors().values()})
    )
    system.drain().result()
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()

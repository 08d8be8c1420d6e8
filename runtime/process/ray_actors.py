"""The processes of a system as Ray actors: how they are started, found again, and ended."""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import ray

from runtime.settings.settings import Settings
from runtime.topology.names import HOSTS, ProcessKind, kind_of, processes_among
from runtime.transport.ray_stay import of_ray

logger = logging.getLogger("thornback.directory")

#: Who runs where hosts do: code of users, or what sends to them.
_BESIDE_HOSTS = (ProcessKind.WORKER, ProcessKind.DELIVERER, ProcessKind.TIMEKEEPER)
#: The label that Ray itself gives to each machine: its id.
_MACHINE = "ray.io/node-id"
#: What each machine is, as Ray has it: all but the one of an id that none has.
_ANY = {_MACHINE: "!none"}


def actor_options(
    settings: Settings, name: str, machine: str = "", prefers: str = ""
) -> dict[str, Any]:
    """How every process of the system is started: named, detached, restarted for ever, and on a
    machine that is for its kind, the one that it prefers if that is there; or on that one alone."""
    options = {
        "name": name,
        "namespace": settings.actor_system.namespace,
        "lifetime": "detached",
        "get_if_exists": True,
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": 0,
        "max_concurrency": 10_000,
        "enable_task_events": False,
    }
    labels = {_MACHINE: machine} if machine else labels_of_machine(settings, name)
    # By label: Ray spreads what asks for no CPU over all machines, the head's too.
    if prefers:
        others = [{"label_selector": labels or _ANY}]
        return {
            **options,
            "label_selector": {**labels, _MACHINE: prefers},
            "fallback_strategy": others,
        }
    return {**options, "label_selector": labels} if labels else options


def labels_of_machine(settings: Settings, name: str) -> dict[str, str]:
    """Those that a machine must have for the process of this name, which no machine is named for;
    without any, each will do."""
    chosen = settings.actor_system
    on_host = kind_of(name, chosen.placement) in (*HOSTS, *_BESIDE_HOSTS)
    return dict(chosen.host_labels if on_host else chosen.core_labels)


class RayActors:
    """Those of one namespace. Nothing is remembered: each question is a call to Ray's head."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def spawn(
        self,
        kind: type[Any],
        settings: Settings,
        name: str,
        *arguments: Any,
        machine: str = "",
        prefers: str = "",
    ) -> Any:
        """The handle of a process, which is started if there is none of its name; on one `machine`
        alone, for which it waits for ever once that is gone, or on the one that it `prefers` and
        else on any that is for its kind."""
        options = actor_options(settings, name, machine, prefers)
        remote = _remote(kind)  # type: ignore[arg-type]  # a class is hashable
        return remote.options(**options).remote(name, settings.model_dump_json(), *arguments)

    def hold(self, kind: type[Any], settings: Settings, name: str) -> Any:
        """The handle of an actor that has a name as long as this program does not end it, nor ends.
        Raises ValueError where another one has it. Whether it is ever started does not matter."""
        options = {"name": name, "namespace": self._namespace, "num_cpus": 0}
        return _remote(kind).options(**options).remote(settings.model_dump_json())  # type: ignore[arg-type]

    def find(self, name: str) -> Any:
        """The handle of a process. Raises ValueError where there is none of its name."""
        return ray.get_actor(name, namespace=self._namespace)

    def processes(self, placement: Mapping[str, str]) -> dict[str, ProcessKind]:
        """The processes of the system that there are now. Other actors of the namespace are
        somebody else's and not among them."""
        named = ray.util.list_named_actors(all_namespaces=True)
        names = (one["name"] for one in named if one["namespace"] == self._namespace)
        return processes_among(names, placement)

    def end(self, name: str) -> None:
        """Kill a process for good; none of that name is fine."""
        try:
            self.kill(self.find(name))
        except ValueError:
            logger.info("%s: was gone already", name)

    def kill(self, handle: Any) -> None:
        """Kill the process of a handle for good, and no other one that has its name by now."""
        ray.kill(of_ray(handle), no_restart=True)


@cache
def _remote(kind: type[Any]) -> Any:
    """The class as Ray knows it; making one ships the class."""
    return ray.remote(kind)

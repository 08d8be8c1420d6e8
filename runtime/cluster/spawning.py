"""How the processes of a system are started as Ray actors."""

from typing import Any

from runtime.settings.settings import Settings


def actor_options(settings: Settings, name: str) -> dict[str, Any]:
    """How every process of the system is started: named, detached, restarted for ever."""
    return {
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

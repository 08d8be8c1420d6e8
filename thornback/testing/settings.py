"""Settings of systems that tests make."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from runtime.settings.settings import Settings


def small_settings(sections: Mapping[str, Mapping[str, Any]], **event_store: Any) -> Settings:
    """Settings of a small system in a namespace of its own, where `sections` do not say
    otherwise. The settings file counts, the environment does not: it may name a database that
    is none of the tests'. Raises ConfigurationError."""
    smaller = {
        "namespace": f"test-{uuid4().hex[:12]}",
        "hosts": 1,
        "spare_processes": 0,  # each takes a second of a processor, and nobody waits for it
        # On a machine that runs several tests at a time, a process may take seconds to start.
        "actor_timeout_ms": 30_000,
    }
    mine: dict[str, Mapping[str, Any]] = {
        "actor_system": smaller,
        "metrics": {"port": 0},
        "gateway": {"enabled": False, "port": 0},
        "event_store": {"type": "postgres", **event_store},
    }
    merged = {name: {**mine.get(name, {}), **section} for name, section in sections.items()}
    return Settings.load(None, environ={}, **{**mine, **merged})

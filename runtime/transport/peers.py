"""Handles of the system's other processes, looked up once.

Looking one up is a blocking call to Ray's head, 0.5 ms and more. A handle stays good
when its actor is restarted.
"""

from typing import Any

import ray


class Peers:
    """The named actors of one namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._handles: dict[str, Any] = {}

    def handle(self, name: str) -> Any:
        """The handle of an actor. Raises ValueError when there is none of that name."""
        found = self._handles.get(name)
        if found is None:
            found = self._handles[name] = ray.get_actor(name, namespace=self._namespace)
        return found

    def forget(self, name: str) -> None:
        """The actor of this name has ended for good: another may have the name by now."""
        self._handles.pop(name, None)


async def awaited(reference: Any) -> Any:
    """A coroutine of what Ray gives to await: some of asyncio takes nothing else."""
    return await reference

"""Handles of the system's other processes, looked up once.

Looking one up is a blocking call to Ray's head, 0.5 ms and more. A handle stays good
when its actor is restarted.
"""

from typing import Any

import ray

from runtime.transport.ray_stay import InNoRay, stay_now


class Peers:
    """The named actors of one namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._handles: dict[str, Any] = {}

    def handle(self, name: str) -> Any:
        """The handle of an actor. Raises ValueError when there is none of that name, and InNoRay,
        which is one, where the Ray that this program was in has ended."""
        found = self._handles.get(name)
        if found is None:
            found = self._handles[name] = self._looked_up(name)
        return found

    def forget(self, name: str) -> None:
        """The actor of this name has ended for good: another may have the name by now."""
        self._handles.pop(name, None)

    def _looked_up(self, name: str) -> Any:
        stay = stay_now()
        if stay is None:
            return ray.get_actor(name, namespace=self._namespace)
        stay.check()
        try:
            return stay.handle(ray.get_actor(name, namespace=self._namespace))
        except InNoRay:
            raise
        except Exception:
            stay.check()  # it may have ended meanwhile, and Ray says that in several ways
            raise


async def awaited(reference: Any) -> Any:
    """A coroutine of what Ray gives to await: some of asyncio takes nothing else."""
    return await reference

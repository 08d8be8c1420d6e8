"""Handles of the system's other processes, looked up once.

Looking one up is a blocking call to Ray's head: 0.5 ms, and as long as the head may take to
answer where it is away. A handle stays good when its actor is restarted.
"""

import threading
from typing import Any

import ray

from runtime.transport.ray_stay import asking_ray


class Peers:
    """The named actors of one namespace. May be asked from any thread."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace  # immutable
        self._lock = threading.Lock()  # guards what follows, and is not held over a question
        self._handles: dict[str, Any] = {}
        self._forgotten = 0  #: how often

    def known(self, name: str) -> Any:
        """The handle of an actor that was looked up before; None where none was."""
        return self._handles.get(name)

    def handle(self, name: str) -> Any:
        """The handle of an actor. Blocks while Ray's head is asked for one that is not known.
        Raises ValueError when there is none of that name, and InNoRay, which is one, where the Ray
        that this program was in has ended."""
        with self._lock:
            found, forgotten = self._handles.get(name), self._forgotten
        if found is None:
            found = self._looked_up(name)
            with self._lock:
                if forgotten == self._forgotten:  # or it may be the one that has ended
                    self._handles[name] = found
        return found

    def forget(self, name: str) -> None:
        """The actor of this name has ended for good: another may have the name by now."""
        with self._lock:
            self._handles.pop(name, None)
            self._forgotten += 1

    def _looked_up(self, name: str) -> Any:
        with asking_ray() as stay:
            found = ray.get_actor(name, namespace=self._namespace)
            return found if stay is None else stay.handle(found)


async def awaited(reference: Any) -> Any:
    """A coroutine of what Ray gives to await: some of asyncio takes nothing else."""
    return await reference

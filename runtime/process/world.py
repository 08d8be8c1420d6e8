"""What a process touches outside itself: its peers, the event store, time, chance, its end.

Everything else in a process is plain asyncio. The simulation runs the very same processes
with a world of its own, in which messages are delayed and lost, time jumps, and a process
that ends is started again.
"""

import os
import threading
from collections.abc import Callable
from typing import Any, Protocol

import ray

from runtime.clocks import now_us
from runtime.process.store_access import open_store
from runtime.settings.settings import Settings
from runtime.transport.caller import Caller
from runtime.transport.loopback import this_machine
from runtime.transport.peers import Peers
from store.event_store import EventStore


class Calls(Protocol):
    """The way to one process: calls of bytes to bytes. What Caller is."""

    async def call(self, method: str, request: bytes) -> bytes:
        """The answer. Raises RayError or ConnectionError while the process is away."""

    def look_again(self) -> None:
        """Find the process anew at the next call."""

    def close(self) -> None:
        """End the connection; calls under way fail."""


class World:
    """The real one: Ray, PostgreSQL, the machine's clock and its randomness."""

    def __init__(self, namespace: str) -> None:
        self._peers = Peers(namespace)

    def restarted(self) -> bool:
        """Has this process had a life before? Ray alone has made this one then, and nobody
        need call it."""
        return bool(self.ray_actor() and ray.get_runtime_context().was_current_actor_reconstructed)

    def ray_actor(self) -> str:
        """What all incarnations of this process have in common, and no other process has;
        empty outside of Ray."""
        # To ask for the context begins a Ray where there is none.
        return (ray.is_initialized() and ray.get_runtime_context().get_actor_id()) or ""

    def handle(self, name: str) -> Any:
        """The Ray handle of a process. Raises ValueError when there is none."""
        return self._peers.handle(name)

    def forget(self, name: str) -> None:
        """The process of this name has ended for good: it is looked for anew."""
        self._peers.forget(name)

    def caller(self, name: str) -> Calls:
        """A way to a process. Raises ValueError when there is none."""
        return Caller(self.handle(name), self.machine)

    def machine(self) -> str:
        """Where this process runs: processes of one machine reach one another past Ray."""
        return this_machine()

    async def open_store(self, settings: Settings) -> EventStore:
        """The event store that the settings name. Raises StoreUnavailable."""
        return await open_store(settings, self.handle, self.system(settings))

    def system(self, settings: Settings) -> str | None:
        """What the claim on a database knows a system by: this Ray cluster, for as long as it
        lives, and the namespace. None outside of Ray, where nothing is claimed."""
        if not ray.is_initialized():
            return None
        session: str = ray.get_runtime_context().get_session_name()
        return f"{session}/{settings.actor_system.namespace}"

    def now_us(self) -> int:
        """Unix microseconds: the time of day."""
        return now_us()

    def random(self, size: int) -> bytes:
        """So many random bytes."""
        return os.urandom(size)

    def beside(self, work: Callable[[], None]) -> None:
        """Run something in a thread of its own, which ends with the process at the latest."""
        threading.Thread(target=work, daemon=True).start()

    def end(self) -> None:
        """End this process at once: Ray is to start it anew."""
        os._exit(1)

"""What every Ray actor of a system shares: its name, its settings, a lazy start.

Ray reruns the constructor of a restarted actor, and nothing else, so an actor comes to
life with its first call: `start` runs once, and again after it failed, because a store
that is away at start is back later.
"""

import asyncio
import gc
import logging
import os
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import psutil

from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.telemetry.metrics import Metrics
from runtime.transport.loopback import Address, Server


class Process(ABC):
    """One named Ray actor process of the system."""

    def __init__(
        self,
        name: str,
        settings_json: str,
        metrics_folder: str | None,
        *,
        world: World | None = None,
    ) -> None:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
        self.name = name
        self.settings = Settings.model_validate_json(settings_json)
        self.world = world or World(self.settings.actor_system.namespace)
        self.node = f"{self.settings.event_bus.node_id}.{name}"
        self.metrics = Metrics(self.node, Path(metrics_folder) if metrics_folder else None)
        # What lives long here is many and acyclic: actors, rows, tables. Looking through it
        # all for cycles as often as Python does by default is work that finds nothing.
        gc.set_threshold(50_000, 20, 100)
        self._server = Server({name: getattr(self, name) for name in self.SERVES})
        self._starting = asyncio.Lock()
        self._started = False
        self._since_s = time.time()

    #: The methods that others call over loopback; all are of bytes to bytes.
    SERVES: tuple[str, ...] = ()

    @abstractmethod
    async def start(self) -> None:
        """Open what the process needs. Raises what a caller should hear."""

    async def started(self) -> None:
        """Start if that has not happened yet."""
        if not self._started:
            async with self._starting:
                if not self._started:
                    await self.start()
                    self._started = True

    async def ready(self) -> str:
        """The node's name, once it has started."""
        await self.started()
        return self.node

    async def address(self) -> Address:
        """Where processes of the same machine reach what it SERVES."""
        return await self._server.address()

    async def flushed(self) -> None:
        """Wait until every call over loopback is answered."""
        await self._server.flushed()

    async def status(self) -> dict[str, Any]:
        """What `jobs/status.py` shows of this process."""
        process = psutil.Process()
        memory = process.memory_full_info()
        return {
            "name": self.name,
            "node": self.node,
            "pid": os.getpid(),
            "up_s": time.time() - self._since_s,
            "rss": memory.rss,
            "private": memory.uss,
            **await self.facts(),
        }

    async def facts(self) -> dict[str, Any]:
        """What else there is to say of this kind of process."""
        return {}

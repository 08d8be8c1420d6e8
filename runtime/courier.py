"""A driver's post: one thread with one event loop that owns its channels."""

import asyncio
import os
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from random import Random
from typing import Any, TypeVar

import ray

from actors.actor import Actor
from actors.ids import FreshIds
from runtime.channel import Channel, DriverClock
from runtime.errors import HostUnavailable
from runtime.settings import Settings
from runtime.shipping import pickled_class

T = TypeVar("T")


class Courier:
    """Opens a channel to each host that is written to, and runs what they need."""

    def __init__(self, settings: Settings, directory: Any) -> None:
        self.settings = settings
        self.clock = DriverClock()
        self._directory = directory
        self._driver = os.urandom(8)
        self._ids = FreshIds(Random(os.urandom(16)).getrandbits)
        self._channels: dict[str, Channel] = {}
        self._lock = threading.Lock()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="thornback-courier", daemon=True)
        self._thread.start()

    def new_id(self) -> bytes:
        """A fresh command id."""
        return self._ids.new(time.time_ns() // 1_000_000)

    def channel(
        self, host: str, *, dedicated: bool = False, actor: type[Actor[Any]] | None = None
    ) -> Channel:
        """The channel to a host. `dedicated`: the host runs one actor, of the class given,
        and is named after it; the directory starts it when it is not there."""
        channel = self._channels.get(host)
        if channel is None:
            with self._lock:
                channel = self._channels.get(host)
                if channel is None:
                    channel = self._channels[host] = self._opened(host, dedicated, actor)
        return channel

    def channels(self) -> list[Channel]:
        """All that are open."""
        return list(self._channels.values())

    def run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine in the courier's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def close(self) -> None:
        """Stop the thread. What is unanswered fails with HostUnavailable."""
        if self._thread.is_alive():
            for channel in self.channels():
                self.loop.call_soon_threadsafe(channel.close)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()

    def pickled(self, actor: type[Actor[Any]]) -> bytes | None:
        """A class for hosts that cannot import it; None for those that have it anyway."""
        module = actor.__module__
        known = ("actors.devices", *self.settings.actor_system.actor_modules)
        if any(module == name or module.startswith(f"{name}.") for name in known):
            return None
        return pickled_class(actor)

    def _opened(self, host: str, dedicated: bool, actor: type[Actor[Any]] | None) -> Channel:
        async def find() -> Any:
            if dedicated:
                await self._directory.locate.remote(host, self.pickled(actor) if actor else None)
            try:
                return ray.get_actor(host, namespace=self.settings.actor_system.namespace)
            except ValueError as error:
                raise HostUnavailable(host, "there is no such process") from error

        return Channel(
            host,
            self._driver,
            find,
            self.loop,
            self.clock,
            pickled=self.pickled,
            timeout_s=self.settings.actor_system.actor_timeout_ms / 1000,
        )

    def _work(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

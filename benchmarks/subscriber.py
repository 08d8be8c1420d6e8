"""The one subscriber of a durable run: a process of its own that has every event decoded, and
reads its data. Of its ids, moment and clock it asks for none, so none is made (actors/event.py)."""

import os
import time
from typing import Any, NamedTuple

import ray

from benchmarks.sizes import require
from runtime.system import ActorSystem


class Seen(NamedTuple):
    """What a subscriber has decoded so far."""

    events: int
    numbers: int  #: the sum of the events' numbers
    last_position: int


class Watcher:
    """A Ray actor that subscribes to readings, live, and reads the data of each Event."""

    def __init__(self, namespace: str) -> None:
        self._system = ActorSystem.connect(namespace)
        self._subscription = self._system.subscribe("reading-taken")
        self._pages = self._subscription.pages()
        self._seen = Seen(0, 0, 0)

    def ready(self) -> None:
        """Returns when the subscription stands."""

    def pid(self) -> int:
        """Of its process."""
        return os.getpid()

    def until(self, events: int) -> Seen:
        """Decode until so many events were seen in all."""
        seen, numbers, position = self._seen
        while seen < events:
            page = next(self._pages)
            seen += len(page)
            numbers += sum(event.data["number"] for event in page)
            position = page[-1].position or position if page else position
        self._seen = Seen(seen, numbers, position)
        return self._seen

    def arrivals(self, events: int) -> list[float]:
        """When each of so many further events was here, by the clock that all processes of this
        machine have in common (time.monotonic)."""
        found: list[float] = []
        for event in self._subscription:
            require(event.data["number"] == len(found), "an event came out of turn, or not at all")
            found.append(time.monotonic())
            if len(found) == events:
                break
        return found

    def close(self) -> None:
        """End the subscription."""
        self._subscription.close()
        self._system.close()


def start_watcher(namespace: str) -> Any:
    """The handle of a watcher that is subscribed."""
    watcher = ray.remote(num_cpus=0)(Watcher).remote(namespace)
    ray.get(watcher.ready.remote(), timeout=60)
    return watcher


def stop_watcher(watcher: Any) -> None:
    """Unsubscribe, then end the process."""
    try:
        ray.get(watcher.close.remote(), timeout=10)
    finally:
        ray.kill(watcher)

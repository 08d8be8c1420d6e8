"""Many live subscriptions in one process, each for the events of one source."""

import asyncio
from typing import Any

import ray

from runtime.driver.subscription import Subscription
from runtime.system import ActorSystem

START_S = 120.0  #: a thousand subscriptions ask the bus where it stands


class Listeners:
    """A Ray actor that listens to some sources, with a subscription for each."""

    def __init__(self, namespace: str, sources: list[str]) -> None:
        self._system = ActorSystem.connect(namespace)
        self._subscriptions = [
            self._system.subscribe("reading-taken", sources=source) for source in sources
        ]

    def ready(self) -> None:
        """Returns when every subscription stands."""

    def until(self, events: int, busy: int) -> int:
        """Listen with the first ones until each has seen so many events; how many all of these have
        seen by then. The others stand, and hear nothing."""
        return asyncio.run(_listen_to_all(self._subscriptions[:busy], events))

    def close(self) -> None:
        """End the subscriptions."""
        for subscription in self._subscriptions:
            subscription.close()
        self._system.close()


async def _listen_to_all(subscriptions: list[Subscription], events: int) -> int:
    return sum(await asyncio.gather(*(_listen(each, events) for each in subscriptions)))


async def _listen(subscription: Subscription, events: int) -> int:
    seen = 0
    async for _ in subscription:
        seen += 1
        if seen == events:
            break
    return seen


def start_listeners(namespace: str, sources: list[str]) -> Any:
    """The handle of listeners that are subscribed."""
    listeners = ray.remote(num_cpus=0)(Listeners).remote(namespace, sources)
    ray.get(listeners.ready.remote(), timeout=START_S)
    return listeners


def stop_listeners(listeners: Any) -> None:
    """Unsubscribe, then end the process."""
    try:
        ray.get(listeners.close.remote(), timeout=30)
    finally:
        ray.kill(listeners)

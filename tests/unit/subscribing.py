"""A driver's connection, with a courier of its own, to a partition that a test plays."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from runtime.driver.connection import Connection
from runtime.driver.subscription import Subscription
from runtime.topology.status import Topology
from store.selection import EVERYTHING
from tests.unit.feeding import Partition

T = TypeVar("T")

LIMIT_S = 20.0  #: only a test that fails waits so long


class Driving:
    """The connection, and its partition."""

    def __init__(self) -> None:
        self.partition = Partition()
        topology = Topology(settings_json=self.partition.settings.model_dump_json(), hosts=())
        self.connection = Connection(topology, self.partition.world)

    def commit(self, *sources: str) -> None:
        """Commit an event of each of these sources."""
        self.run(self.partition.commit(*sources))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it where the partition lives."""
        return self.connection.courier.run(work).result(LIMIT_S)

    def subscribe(self, after: int | None = 0, *, catch_up: bool = True) -> Subscription:
        """To everything."""
        subscription = Subscription(self.connection, EVERYTHING, after, catch_up=catch_up)
        if after is None:
            subscription.wait_begun(LIMIT_S)
        return subscription


def taken(subscription: Subscription, count: int) -> list[int | None]:
    """The positions of the next events, read in this thread."""
    stream = iter(subscription)
    return [next(stream).position for _ in range(count)]

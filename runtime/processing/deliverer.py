"""The deliverer: a Ray actor that delivers messages between actors. There is one where there are
such messages, and none otherwise."""

from runtime.process.process import Process
from runtime.process.world import World
from runtime.processing.delivery import Delivery
from runtime.processing.own_connection import connecting, connecting_elsewhere
from runtime.topology.status import DelivererFacts
from store.errors import StaleEpoch


class Deliverer(Process):
    """Named `deliverer`."""

    def __init__(
        self,
        name: str,
        settings_json: str,
        metrics_folder: str | None,
        *,
        world: World | None = None,
    ) -> None:
        super().__init__(name, settings_json, metrics_folder, world=world)
        # From `start` on:
        self._delivery: Delivery | None = None
        # It has work whether or not anybody ever calls it: whoever has it started may end in the
        # middle of that.
        self._reviving = self._reviving or self.must_live(self._revive())

    async def start(self) -> None:
        self._store = await self.world.open_store(self.settings)
        self._delivery = Delivery(
            self.world,
            self.settings,
            self._store,
            connecting(self.settings, self.world),
            connecting_elsewhere(self.settings),
        )
        self.must_live(self._deliver(self._delivery))

    async def drain(self) -> int:
        """Have all answered that is under way by now; up to which position all is finished."""
        await self.ensure_started()
        assert self._delivery is not None
        return await self._delivery.flush()

    async def facts(self) -> DelivererFacts | None:
        return None if self._delivery is None else self._delivery.facts

    def close(self) -> None:
        """Listen no more, and deliver nothing any more: where Ray does not end the process."""
        super().close()
        for task in self._living:
            task.cancel()
        if self._delivery is not None:
            self._delivery.close()

    @property
    def trouble(self) -> str | None:
        """Why its last try to start failed, or what it waits for."""
        waits = None if self._delivery is None else self._delivery.facts.trouble
        return super().trouble or waits

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            await delivery.run()
        except StaleEpoch as stale:
            await self.outlive_fence(self._store, stale)

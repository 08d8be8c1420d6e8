"""The timekeeper: a Ray actor that sends timers to their hosts when they are due. There is one
where there are timers, or have been, and none otherwise."""

from runtime.process.process import Process
from runtime.process.world import World
from runtime.processing.own_connection import connecting
from runtime.processing.timekeeping import Timekeeping
from runtime.telemetry.metrics import TimerMetrics
from runtime.topology.status import TimekeeperFacts


class Timekeeper(Process):
    """Named `timekeeper`."""

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
        self._timekeeping: Timekeeping | None = None
        # It has work whether or not anybody ever calls it: whoever has it started may end in the
        # middle of that.
        self._reviving = self._reviving or self.must_live(self._revive())

    async def start(self) -> None:
        store = await self.world.open_store(self.settings)
        self._timekeeping = Timekeeping(
            self.world,
            self.settings,
            store,
            connecting(self.settings, self.world),
            TimerMetrics(self.metrics),
        )
        # Fenced off by an incarnation of its own, it ends, and Ray knows which of them is to be.
        self.must_live(self._timekeeping.run())

    async def wake(self, names: list[str]) -> None:
        """Actors, by source, were started, or the class of actor types has come to a host: the
        timers of those that were put off are looked at now."""
        await self.ensure_started()
        assert self._timekeeping is not None
        self._timekeeping.wake(names)

    async def drain(self) -> int:
        """Have all answered that is under way by now; up to which position timers are filed."""
        await self.ensure_started()
        assert self._timekeeping is not None
        return await self._timekeeping.flush()

    async def facts(self) -> TimekeeperFacts | None:
        return None if self._timekeeping is None else self._timekeeping.facts

    def close(self) -> None:
        """Listen no more, and fire nothing any more: where Ray does not end the process."""
        super().close()
        for task in self._living:
            task.cancel()
        if self._timekeeping is not None:
            self._timekeeping.close()

    @property
    def trouble(self) -> str | None:
        """Why its last try to start failed, or what it waits for."""
        waits = None if self._timekeeping is None else self._timekeeping.facts.trouble
        return super().trouble or waits

"""The timekeeper's place in the log: it moves with what is filed, and with nothing else."""

import asyncio
from types import SimpleNamespace
from typing import Any

from runtime.processing.mailing import Mailing
from runtime.processing.timekeeping import SELECTION, Timekeeping
from runtime.telemetry.metrics import TimerMetrics
from store.appends import CheckpointMove
from store.memory import MemoryEventStore
from store.timers import TimerChanges
from tests.unit.test_timers_in_a_host import begun, wound
from tests.unit.test_timers_in_a_system import settings_of


class Metrics(TimerMetrics):
    """Shown to nobody."""

    def __init__(self) -> None:
        pass

    def pending(self, count: int) -> None:
        pass

    def fired(self, late_us: Any) -> None:
        pass


class SlowStore(MemoryEventStore):
    """Files timers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.goes_on = asyncio.Event(), asyncio.Event()

    async def file_timers(self, checkpoint: CheckpointMove, changes: TimerChanges) -> int:
        self.asked.set()
        await self.goes_on.wait()
        return await super().file_timers(checkpoint, changes)


async def test_a_drain_moves_no_checkpoint_past_what_is_being_filed() -> None:
    host = await begun()
    await wound(host)
    page = await host.store.read(0, 100, selection=SELECTION)
    store = SlowStore()
    timekeeping = Timekeeping(
        SimpleNamespace(),
        settings_of(),
        store,
        SimpleNamespace(),
        Metrics(),  # type: ignore[arg-type]
    )
    clock = SimpleNamespace(observe_events=lambda clocks: None)
    timekeeping._connection = SimpleNamespace(clock=clock)  # type: ignore[assignment]
    timekeeping._mailing = Mailing(0)
    await store.open_subscription(timekeeping.name, SELECTION, 0, timekeeping._epoch)
    timekeeping._mailing.position = 1  # a page without any event of timers came before
    taking = asyncio.ensure_future(timekeeping._take(page))
    await store.asked.wait()
    draining = asyncio.ensure_future(timekeeping.flush())
    for _ in range(10):
        await asyncio.sleep(0)
    [record] = await store.subscriptions()
    assert (record.position, record.receipt.count) == (0, 0)
    store.goes_on.set()
    await taking
    assert await draining == page.through
    [record] = await store.subscriptions()
    assert (record.position, record.receipt.count) == (page.through, 1)

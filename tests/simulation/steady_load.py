"""Steady load around a drain: some drivers always have something unanswered, while commits take
so long that the writer has no moment without an append."""

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from tests.simulation.plan import Fault, Step
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.drivers import Driver
    from tests.simulation.simulation import Simulation

#: Seconds of load before the drain, and after the launch that follows it.
BEFORE_S, AFTER_S = 0.2, 0.2
#: Commands of one driver to one ledger that are unanswered at once.
UNANSWERED = 4
#: Drivers that do so, and ledgers of each.
DRIVERS, LEDGERS = 2, 2
#: How much longer a commit takes than it would: longer than an answer and the next command are
#: under way. Where a commit has few events they are quicker, so that what is unanswered is
#: committed before its callers give up.
COMMITS_TAKE_S, SMALL_COMMITS_TAKE_S = 0.06, 0.02
SMALL_COMMIT = 20
#: Bytes of that many events of this load, about.
SMALL_COMMIT_BYTES = 6_000
#: The numbers of steps that no plan has begin here.
FIRST_STEP = 1_000_000


class SteadyLoad:
    """Goes on until it is said to be over."""

    def __init__(self, simulation: "Simulation", fault: Fault) -> None:
        self._trouble = simulation.database.trouble
        self._over = False
        draw = stream(simulation.loop.seed, "load", fault.number)
        numbers = count(FIRST_STEP)
        small = (
            simulation.settings.event_store.batch_size < SMALL_COMMIT
            or simulation.plan.setup.knobs["commit_bytes"] < SMALL_COMMIT_BYTES
        )
        self._trouble.commits_take_s = SMALL_COMMITS_TAKE_S if small else COMMITS_TAKE_S
        drivers = [driver for driver in simulation.drivers.values() if not driver.dead]
        for driver in drivers[:DRIVERS]:
            for ledger in draw.sample(range(8), LEDGERS):
                driver.start(self._asks(driver, f"ledger/{ledger}", numbers))

    def commits_are_quick(self) -> None:
        """From now on; the load stays."""
        self._trouble.commits_take_s = 0.0

    def end(self) -> None:
        """No new command from now on."""
        self._over = True

    async def _asks(self, driver: "Driver", source: str, numbers: Iterator[int]) -> None:
        room = asyncio.Semaphore(UNANSWERED)
        while not self._over:
            await room.acquire()
            number = next(numbers)
            note = Step(number, 0.0, "ask", source, "Note", {"token": number, "times": 1})
            driver.start(_asked(driver, note, room))


async def _asked(driver: "Driver", step: Step, room: asyncio.Semaphore) -> None:
    await driver.ask(step)
    room.release()

"""The worker: a Ray actor that runs some slots of one stream program."""

import asyncio
import logging
from typing import Any

from ray.exceptions import RayError

from actors.columns import TableSchema
from actors.errors import ThornbackError
from runtime.errors import NotPossible
from runtime.host.class_loading import loaded_class
from runtime.partition.log_access import LogAccess
from runtime.process.deliverer_call import DelivererCall
from runtime.process.process import Process
from runtime.process.world import World
from runtime.processing.dead_letters import Replayed
from runtime.processing.hearing import Hearing
from runtime.processing.own_connection import connecting
from runtime.processing.program_code import loaded_program
from runtime.processing.program_run import ProgramRun
from runtime.processing.projected_rows import tabled
from runtime.telemetry.metrics import ProgramMetrics
from runtime.topology.names import DIRECTORY_ACTOR, program_of_worker
from runtime.topology.status import WorkerFacts
from store.dead_letters import Parked
from store.errors import StaleCheckpoint, StaleEpoch
from streams.program import Program
from streams.projection import REBUILD, Rebuilt

logger = logging.getLogger("thornback.processing")


class Worker(Process):
    """Named `worker-INDEX-of-PROGRAM`. The program comes with its constructor, which Ray keeps: one
    that is started anew has it by itself."""

    #: How long the directory may take to end it, and between two tries.
    END_S, PAUSE_S = 30.0, 1.0

    def __init__(
        self,
        name: str,
        settings_json: str,
        metrics_folder: str | None,
        code: bytes,
        index: int,
        workers: int,
        after: int,
        *,
        world: World | None = None,
    ) -> None:
        super().__init__(name, settings_json, metrics_folder, world=world)
        self._code, self._index, self._workers, self._after = code, index, workers, after
        self._fingerprint = ""
        self._program: Program | None = None
        self._dropped = False  #: somebody has dropped its program while it ran
        # From `start` on:
        self._run: ProgramRun | Hearing | None = None
        # It has work whether or not anybody ever calls it: the directory may end in the middle of
        # starting it.
        self._reviving = self._reviving or self.must_live(self._revive())

    async def start(self) -> None:
        program: Any
        program, self._fingerprint = loaded_program(self._code)
        if program_of_worker(self.name).endswith(REBUILD):
            program = Rebuilt(program)
        self._store = await self.world.open_store(self.settings)
        deliverer = DelivererCall(self.world, self.must_live)
        try:
            await deliverer.say_if_any(self._store)
        except BaseException:
            await self._store.close()
            raise
        if isinstance(program, type):  # actors that listen
            self._run = Hearing(
                loaded_class(self._code),
                self._code,
                self._after,
                fingerprint=self._fingerprint,
                world=self.world,
                settings=self.settings,
                store=self._store,
                connect=connecting(self.settings, self.world),
            )
            self.must_live(self._run_program(self._run))
            return
        self._program = program
        self._run = ProgramRun(
            program,
            self._index,
            self._workers,
            self._after,
            fingerprint=self._fingerprint,
            world=self.world,
            settings=self.settings,
            store=self._store,
            log=LogAccess(self.world, self.settings),
            metrics=ProgramMetrics(self.metrics, program.name),
            on_message=deliverer.say,
        )
        self.must_live(self._run_program(self._run))

    async def runs(self) -> tuple[str, int]:
        """The fingerprint of its program's code, and among how many workers it is."""
        await self.ensure_started()
        return self._fingerprint, self._workers

    async def code(self) -> tuple[bytes, TableSchema] | None:
        """Its program's code, as it was sent, and the table of that; None for one without any."""
        await self.ensure_started()
        found = None if self._program is None else tabled(self._program)
        return None if found is None else (self._code, found.table)

    async def resume(self, *, skip: bool) -> bool:
        """Go on where the program has failed: with that event again, or with the next one. Was it
        paused?"""
        await self.ensure_started()
        assert self._run is not None
        paused = self._run.facts.paused
        if paused:
            self._run.resume(skip=skip)
        return paused

    async def replay(self, parked: Parked | None) -> Replayed:
        """Replay the dead letters of something that is parked, or all of its slots
        (ProgramRun.replay)."""
        await self.ensure_started()
        assert self._run is not None
        if isinstance(self._run, Hearing):
            raise NotPossible(f"{self._run.name} listens, and parks nothing: send it a command")
        return await self._run.replay(parked)

    async def drain(self) -> int:
        """Have all committed that is evaluated by now; up to which position."""
        await self.ensure_started()
        assert self._run is not None
        return 0 if self._dropped else await self._run.flush()

    async def facts(self) -> WorkerFacts | None:
        return None if self._run is None else self._run.facts

    def close(self) -> None:
        """Listen no more, and run nothing any more: where Ray does not end the process."""
        super().close()
        for task in self._living:
            task.cancel()
        if isinstance(self._run, Hearing):
            self._run.close()

    @property
    def trouble(self) -> str | None:
        """Why its last try to start failed, or what its program cannot get past."""
        if self._dropped:
            return "its program was dropped, and is to end"
        return super().trouble or (self._run.facts.trouble if self._run is not None else None)

    async def _run_program(self, run: ProgramRun | Hearing) -> None:
        try:
            await run.run()
        except StaleEpoch as stale:
            await self.outlive_fence(self._store, stale)
        except StaleCheckpoint:
            program = program_of_worker(self.name)
            records = await self._store.subscriptions()
            if any(record.name.partition("/")[0] == program for record in records):
                raise
            # Nobody has it now. Begun anew, it would bring back what somebody wanted gone.
            self._dropped = True
            logger.warning("%s was dropped while it ran: its workers end", program)
            await self._have_ended(program)

    async def _have_ended(self, program: str) -> None:
        """Have the directory end all workers of this program, this one with them."""
        while True:
            try:
                async with asyncio.timeout(self.END_S):
                    directory = await self.world.handle(DIRECTORY_ACTOR)
                    await directory.stop_program.remote(program)
            except (RayError, ThornbackError, ConnectionError, ValueError, TimeoutError) as error:
                logger.debug("the directory does not end %s: %s", program, error)
                self.world.forget(DIRECTORY_ACTOR)
            await asyncio.sleep(self.PAUSE_S)

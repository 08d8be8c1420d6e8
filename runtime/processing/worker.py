"""The worker: a Ray actor that runs some slots of one stream program."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
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
from runtime.processing.companion import Companion
from runtime.processing.company import Company
from runtime.processing.dead_letters import Replayed
from runtime.processing.hearing import Hearing
from runtime.processing.logs_of_partitions import LogsOfPartitions
from runtime.processing.merged_reading import MergedReading
from runtime.processing.own_connection import connecting, connecting_elsewhere
from runtime.processing.partitioned_programs import is_merged, merge_name
from runtime.processing.program_code import loaded_program
from runtime.processing.program_run import ProgramRun
from runtime.processing.projected_rows import tabled
from runtime.telemetry.metrics import ProgramMetrics
from runtime.topology.names import DIRECTORY_ACTOR, program_of_worker
from runtime.topology.status import WorkerFacts
from store.dead_letters import Parked
from store.errors import NoProjection, StaleCheckpoint, StaleEpoch, StoreUnavailable
from store.event_store import EventStore
from streams.handler import Handler
from streams.handlers import Handlers
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
                elsewhere=connecting_elsewhere(self.settings),
            )
            self.must_live(self._run_program(self._run))
            return
        self._program = program
        place = (self._index, self._workers, self._after)
        means: dict[str, Any] = {
            "fingerprint": self._fingerprint,
            "world": self.world,
            "settings": self.settings,
            "store": self._store,
            "log": LogAccess(self.world, self.settings),
            "on_message": deliverer.say,
        }
        if isinstance(program, Handlers):
            self._run = Company(
                program,
                *place,
                metrics_of=partial(ProgramMetrics, self.metrics),
                spawn=lambda companion: self.must_live(self._run_program(companion)),
                **means,
            )
        else:
            metrics = ProgramMetrics(self.metrics, program.name)
            reading = self._merged(program, self._store, means["log"])
            self._run = ProgramRun(program, *place, metrics=metrics, reading=reading, **means)
        self._count_handlers(program)
        self.must_live(self._run_program(self._run))

    def _merged(self, program: Program, store: EventStore, log: LogAccess) -> MergedReading | None:
        """What reads all logs of the system, for a program whose keys may be in several."""
        if not is_merged(program, self.settings.event_store.partitions):
            return None
        logs = LogsOfPartitions(self.settings, log)
        return MergedReading(merge_name(program.name), store, logs, self.world.now_us)

    def _count_handlers(self, program: Program) -> None:
        """The first worker of a handler counts it for all of them."""
        parts = program.handlers if isinstance(program, Handlers) else (program,)
        handlers = sum(isinstance(part, Handler) for part in parts)
        self.metrics.handlers.set(handlers if self._index == 0 else 0)

    async def runs(self) -> tuple[str, int, tuple[str, ...]]:
        """The fingerprint of its program's code, among how many workers it is, and the handlers
        that run together in it, where it has several. No fingerprint: what it runs was dropped, and
        whoever wants that program has to have it begun anew."""
        await self.ensure_started()
        handlers = tuple(each.program.name for each in self._companions)
        dropped = self._dropped or await self._is_dropped()
        return "" if dropped else self._fingerprint, self._workers, handlers

    async def _is_dropped(self) -> bool:
        """Is one of its slots gone? Or in nobody's hands though it has worked: then somebody wants
        it to run again, from the beginning."""
        if self._run is None:
            return False
        try:
            records = await self._store.subscriptions()
        except StoreUnavailable:
            return False  # it hears of it when it wants to commit
        epochs = {record.name: record.epoch for record in records}
        worked = self._run.all_facts().position > 0
        return any(
            name not in epochs or (worked and epochs[name] < 0) for name in self._run.slot_names
        )

    async def code(self) -> tuple[bytes, TableSchema] | None:
        """Its program's code, as it was sent, and the table of that; None for one without any."""
        await self.ensure_started()
        found = None if self._program is None else tabled(self._program)
        return None if found is None else (self._code, found.table)

    async def resume(self, program: str, *, skip: bool) -> bool:
        """Go on where the program has failed, or a handler of that name among those that run
        together here: with that event again, or with the next one. Was it paused?"""
        await self.ensure_started()
        assert self._run is not None
        named = [companion for companion in self._companions if companion.program.name == program]
        runs: Sequence[ProgramRun | Hearing] = named or self._companions or (self._run,)
        paused = [run for run in runs if run.facts.paused]
        for run in paused:
            run.resume(skip=skip)
        return bool(paused)

    async def replay(self, program: str, parked: Parked | None) -> Replayed:
        """Replay the dead letters of something that is parked, or all of its slots
        (ProgramRun.replay); of the handler of that name where several run together here."""
        await self.ensure_started()
        assert self._run is not None
        if isinstance(self._run, Hearing):
            raise NotPossible(f"{self._run.name} listens, and parks nothing: send it a command")
        for companion in self._companions:
            if companion.program.name == program:
                return await companion.replay(parked)
        if self._companions:
            names = ", ".join(sorted(companion.program.name for companion in self._companions))
            raise NotPossible(f"{program} is several handlers: name one of {names}")
        return await self._run.replay(parked)

    async def drain(self) -> int:
        """Have all committed that is evaluated by now; up to which position."""
        await self.ensure_started()
        assert self._run is not None
        return 0 if self._dropped else await self._run.flush()

    async def facts(self) -> WorkerFacts | None:
        return None if self._run is None else self._run.all_facts()

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
        return super().trouble or (self._run.all_facts().trouble if self._run is not None else None)

    @property
    def _companions(self) -> tuple[Companion, ...]:
        return self._run.companions if isinstance(self._run, Company) else ()

    async def _run_program(self, run: ProgramRun | Hearing) -> None:
        try:
            await run.run()
        except StaleEpoch as stale:
            await self.outlive_fence(self._store, stale)
        except StaleCheckpoint as stale:
            if any(record.name == stale.name for record in await self._store.subscriptions()):
                raise
            # Of handlers that run together it may be one.
            await self._was_dropped(stale.name.partition("/")[0])
        except NoProjection as gone:
            await self._was_dropped(gone.name)

    async def _was_dropped(self, dropped: str) -> None:
        """Nobody has it now. Begun anew, it would bring back what somebody wanted gone."""
        self._dropped = True
        if isinstance(self._run, ProgramRun):
            self._run.give_up()
        program = program_of_worker(self.name)
        logger.warning("%s was dropped while it ran: the workers of %s end", dropped, program)
        await self._have_ended(program)

    async def _have_ended(self, program: str) -> None:
        """Have the directory end all workers of this program, this one with them; but not those
        that somebody has had start since."""
        while True:
            try:
                async with asyncio.timeout(self.END_S):
                    directory = await self.world.handle(DIRECTORY_ACTOR)
                    await directory.stop_program.remote(program, dropped=True)
            except (RayError, ThornbackError, ConnectionError, ValueError, TimeoutError) as error:
                logger.debug("the directory does not end %s: %s", program, error)
                self.world.forget(DIRECTORY_ACTOR)
            await asyncio.sleep(self.PAUSE_S)

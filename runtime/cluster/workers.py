"""The workers of stream programs, in the hands of the directory: started, replaced, ended.

Which there are, Ray alone knows, and it keeps the code with which each of them begins anew. So
nothing of that is remembered here, and none of it ends with the directory.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from ray.exceptions import ActorDiedError, RayError, RayTaskError

from actors.errors import ThornbackError
from runtime.cluster.spawning import reason_of
from runtime.cluster.system_processes import ready
from runtime.errors import NotPossible, StartFailed, UnknownProgram
from runtime.process.world import World
from runtime.processing.dead_letters import Replayed, added_up
from runtime.topology.names import ProcessKind, program_of_worker, worker_name
from runtime.transport.peers import awaited
from runtime.wire.actor_code import ActorCode
from store.dead_letters import Parked
from store.errors import StoreUnavailable
from streams.errors import InvalidProgram

logger = logging.getLogger("thornback.directory")


class WorkerProcesses(Protocol):
    """What is needed of the processes of a system. What SystemProcesses is."""

    def others(self) -> Mapping[str, ProcessKind]:
        """Those that there are now."""

    def find(self, name: str) -> Any:
        """The handle of one. Raises ValueError where there is none."""

    def start_worker(self, name: str, code: bytes, index: int, workers: int, after: int) -> Any:
        """The handle of a worker, which is started if it is not there."""

    def drained(self, name: str) -> Awaitable[int]:
        """What it says when it is flushed. Raises ValueError where there is none."""

    def end(self, name: str) -> None:
        """End one for good; none of that name is fine."""


class Workers:
    """Those of all programs of a system. One request is worked on at a time."""

    #: How long a worker may take to finish what it has begun, before it is ended all the same: the
    #: next one begins where it stood.
    FLUSH_S = 10.0
    #: How long one may take to say what it runs, and to start.
    ASK_S, START_S = 5.0, 60.0
    #: How long those of other programs are asked again that do not say what they run: Ray may be
    #: starting them anew.
    SAY_S = 20.0
    #: Between two tries: Ray does not say when a name is free again.
    PAUSE_S = 0.1

    def __init__(self, processes: WorkerProcesses, world: World) -> None:
        self._processes, self._world = processes, world
        self._turn = asyncio.Lock()
        self._starting: set[asyncio.Task[None]] = set()
        self._over = False  #: the system ends

    async def ensure_running(
        self,
        program: str,
        code: bytes,
        workers: int,
        after: int,
        handlers: tuple[str, ...] = (),
        *,
        keep: bool = False,
    ) -> None:
        """Have a program run in so many workers. Those that run other code of that name, or among
        another number, finish what they have begun, and make way; `workers` 0 is as many as there
        are, and one where there are none. `handlers` are those that run together in it, where it
        has several. With `keep` those that there are stay, whatever they run and whether or not
        they answer now, unless one is missing or says that it was dropped: for whoever needs the
        program, and is not to end what somebody else had started. Raises InvalidProgram where it
        does not start; nothing of it runs then; and where one of these handlers runs already, by
        itself or with others. Raises NotPossible where that cannot be said, because no worker of
        another program answers, StoreUnavailable, and StartFailed where the system ends."""
        async with self._turn:
            self._check_not_over(program)
            await self._check_free(program, handlers)
            there = await self._of(program)
            running = [
                runs and runs[:2]
                for runs in await asyncio.gather(*(self._runs(name) for name in there))
            ]
            numbers = (runs[1] for runs in running if runs is not None)
            workers = workers or max(numbers, default=len(there) or 1)
            wanted = (ActorCode.unpack(code).fingerprint, workers)
            names = [worker_name(program, index) for index in range(workers)]
            dropped = any(runs is not None and not runs[0] for runs in running)
            if keep and set(there) == set(names) and not dropped:
                return  # who is away begins anew by itself
            if set(there) != set(names) or any(runs != wanted for runs in running):
                await self._end(there)
                self._check_not_over(program)  # that takes a while
            try:
                async with asyncio.TaskGroup() as starting:  # none is started when one has failed
                    for index, name in enumerate(names):
                        start = self._start(name, code, index, workers, after)
                        self._starting.add(task := starting.create_task(start))
                        task.add_done_callback(self._starting.discard)
            except* (RayError, ThornbackError, TimeoutError) as errors:
                failed = errors.exceptions[0]
            else:
                failed = None
            self._check_not_over(program)
            if failed is not None:
                await self._end(await self._of(program), flush=False)
                cause = failed.cause if isinstance(failed, RayTaskError) else failed
                if isinstance(cause, StoreUnavailable):  # which says nothing of the program
                    raise cause from failed
                reason = reason_of(failed) or f"not ready within {self.START_S:g} s"
                raise InvalidProgram(program, reason) from failed

    async def cancel(self) -> None:
        """Start no more, and wait until no start is under way: the system ends. Whoever waits for
        one is told StartFailed."""
        self._over = True
        under_way = list(self._starting)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def stop(self, program: str, *, dropped: bool = False) -> None:
        """End its workers, when they have finished what they have begun. Its checkpoints stay.
        `dropped` says that one of them has found them gone: where none of those that there are by
        now says so, it was run again since, and they stay. Raises UnknownProgram, and NotPossible
        for a handler that runs together with others."""
        async with self._turn:
            names, company = await self._known(program)
            if company != program:
                raise NotPossible(
                    f"{program} runs together with others, in {company!r}: stop that, or run "
                    f"{company!r} without it"
                )
            if dropped:
                say = await asyncio.gather(*map(self._runs, names))
                if not any(runs is not None and not runs[0] for runs in say):
                    return
            await self._end(names)

    async def resume(self, program: str, *, skip: bool) -> int:
        """Have those of its workers go on that stand at an event at which it fails; how many did.
        Raises UnknownProgram, and what Ray raises where none answers within ASK_S: one that is
        away stands nowhere, and begins with its event again."""
        async with self._turn:
            names, _ = await self._known(program)
            asked = [self._resumed(name, program, skip) for name in names]
            answers = await asyncio.gather(*asked, return_exceptions=True)
        resumed = [answer for answer in answers if not isinstance(answer, BaseException)]
        for answer in answers:
            if isinstance(answer, BaseException) and (not resumed or not _is_away(answer)):
                raise answer
        return sum(resumed)

    async def replay(self, program: str, parked: Parked | None) -> Replayed:
        """Have its workers replay their dead letters; what has become of all of them. Raises
        UnknownProgram, NotPossible for one that stands at an event, and what Ray raises for one
        that ends meanwhile: what it had replayed by then has happened."""
        names, _ = await self._known(program)
        asked = [self._processes.find(name).replay.remote(program, parked) for name in names]
        return added_up(await asyncio.gather(*map(awaited, asked)))

    async def running(self) -> list[str]:
        """The programs that have workers."""
        return sorted({program_of_worker(name) for name in await self._all()})

    def _check_not_over(self, program: str) -> None:
        if self._over:
            raise StartFailed(program, "the system is being stopped")

    async def _all(self) -> list[str]:
        others = await self._world.aside(self._processes.others)
        return [name for name, kind in others.items() if kind is ProcessKind.WORKER]

    async def _of(self, program: str) -> list[str]:
        return [name for name in await self._all() if program_of_worker(name) == program]

    async def _known(self, program: str) -> tuple[list[str], str]:
        """Its workers, and what they run: this program, or the handlers that it is one of."""
        if found := await self._of(program):
            return found, program
        for company, handlers in (await self._handlers_running()).items():
            if handlers is not None and program in handlers:
                return await self._of(company), company
        raise UnknownProgram(program, ", ".join(await self.running()) or "none")

    async def _handlers_running(self) -> dict[str, tuple[str, ...] | None]:
        """Of each program that has workers, the handlers that run together in it; None: no worker
        of it answers."""
        names = await self._all()
        running = await asyncio.gather(*(self._runs(name) for name in names))
        found: dict[str, tuple[str, ...] | None] = dict.fromkeys(map(program_of_worker, names))
        for name, runs in zip(names, running, strict=True):
            if runs is not None:
                found[program_of_worker(name)] = runs[2]
        return found

    async def _check_free(self, program: str, handlers: tuple[str, ...]) -> None:
        """Does nobody else run any of it? Who does not answer is asked again: if he ran it, too,
        the log would let only one of the two have effects, and they would end one another for ever.
        """
        silent: list[str] = []
        try:
            async with asyncio.timeout(self.SAY_S):
                while True:
                    running = await self._handlers_running()
                    self._check_taken(program, handlers, running)
                    theirs = {other for other, parts in running.items() if parts is None}
                    if not (silent := sorted(theirs - {program})):
                        return  # of its own workers those make way that do not answer
                    await asyncio.sleep(self.PAUSE_S)
        except TimeoutError as error:
            raise NotPossible(
                f"cannot say whether {program} runs already: no worker of "
                f"{', '.join(silent) or 'another program'} says what it runs. Run it again when "
                "they answer, or stop those"
            ) from error

    def _check_taken(
        self,
        program: str,
        handlers: tuple[str, ...],
        running: Mapping[str, tuple[str, ...] | None],
    ) -> None:
        for other, theirs in running.items():
            if theirs is None:
                continue
            if other == program and bool(theirs) != bool(handlers):
                what = "several handlers run together" if theirs else "a program runs"
                raise InvalidProgram(program, f"{what} under this name: take another one")
            taken = sorted({program, *handlers} & {other, *theirs})
            if other != program and taken:
                where = f"together with others, in {other!r}" if taken[0] != other else "by itself"
                raise InvalidProgram(program, f"{taken[0]} runs already, {where}: stop that first")

    async def _runs(self, name: str) -> tuple[str, int, tuple[str, ...]] | None:
        """Which code, among how many, and which handlers together; None where it does not say."""
        try:
            asked = self._processes.find(name).runs.remote()
            runs: tuple[str, int, tuple[str, ...]] = await asyncio.wait_for(
                awaited(asked), self.ASK_S
            )
        except (RayError, ThornbackError, ValueError, TimeoutError):
            return None
        return runs

    async def _resumed(self, name: str, program: str, skip: bool) -> int:
        asked = self._processes.find(name).resume.remote(program, skip=skip)
        return int(await asyncio.wait_for(awaited(asked), self.ASK_S))

    async def _start(self, name: str, code: bytes, index: int, workers: int, after: int) -> None:
        async with asyncio.timeout(self.START_S):
            while True:
                handle = self._processes.start_worker(name, code, index, workers, after)
                try:
                    await ready(handle)
                    return
                except ActorDiedError as error:
                    if error.actor_init_failed:
                        raise
                    # One of this name was just ended, and Ray has not let go of the name yet.
                    await asyncio.sleep(self.PAUSE_S)

    async def _end(self, names: list[str], *, flush: bool = True) -> None:
        if flush:
            await asyncio.gather(*(self._flushed(name) for name in names))
        for name in names:
            await self._world.aside(lambda name=name: self._processes.end(name))  # type: ignore[misc]

    async def _flushed(self, name: str) -> None:
        flushed: Callable[[str], Awaitable[int]] = self._processes.drained
        try:
            await asyncio.wait_for(awaited(flushed(name)), self.FLUSH_S)
        except (RayError, ThornbackError, ValueError, TimeoutError) as error:
            logger.info("%s ends as it is: %s", name, type(error).__name__)


def _is_away(error: BaseException) -> bool:
    return isinstance(error, RayError | ValueError | TimeoutError)

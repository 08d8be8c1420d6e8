"""The end of a system: flush its processes in their order, then end them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ray.exceptions import ActorUnavailableError, RayError

from runtime.topology.names import ProcessKind, drain_stages
from runtime.topology.status import Drained, Progress

#: Who holds accepted work, and so has a `drain` method.
_FLUSHED = (
    ProcessKind.GATEWAY,
    ProcessKind.POOLED_HOST,
    ProcessKind.DEDICATED_HOST,
    ProcessKind.WRITER,
)


class Drain:
    """Flushes the processes of a system in drain order.

    What a process answers after `timeout_s` is not waited for; its entry says so then.
    """

    #: Between two tries: Ray does not say when a process that restarts is back.
    PAUSE_S = 0.1

    def __init__(
        self,
        processes: Mapping[str, ProcessKind],
        handle: Callable[[str], Any],
        timeout_s: float,
    ) -> None:
        self._processes = {name: kind for name, kind in processes.items() if kind in _FLUSHED}
        self._handle, self._timeout_s = handle, timeout_s
        self._waiting: set[str] = set()
        self._done: list[Drained] = []

    async def run(self) -> tuple[Drained, ...]:
        """Flush all of them, a stage after the other."""
        for stage in drain_stages(self._processes):
            self._waiting = set(stage)
            self._done += await asyncio.gather(*map(self._flushed, stage))
        return tuple(self._done)

    @property
    def progress(self) -> Progress:
        """How far this has come."""
        first = sorted(self._waiting)[:3]
        more = f" and {len(self._waiting) - 3} more" if len(self._waiting) > 3 else ""
        total = len(self._processes)
        before = sum(name not in self._waiting for stage in self._begun() for name in stage)
        return Progress(doing=f"flushing {', '.join(first)}{more}", done=before, processes=total)

    def _begun(self) -> list[list[str]]:
        stages = drain_stages(self._processes)
        done = {each.name for each in self._done}
        return [stage for stage in stages if done.issuperset(stage) or self._waiting & set(stage)]

    async def _flushed(self, name: str) -> Drained:
        kind = self._processes[name]
        try:
            settled = await asyncio.wait_for(self._answer(name), self._timeout_s)
            return Drained(name=name, kind=kind, settled=settled)
        except TimeoutError:
            problem = f"not flushed within {self._timeout_s:g} s"
        except (RayError, ValueError) as error:
            problem = f"not flushed: {type(error).__name__}"
        finally:
            self._waiting.discard(name)
        return Drained(name=name, kind=kind, settled=None, problem=problem)

    async def _answer(self, name: str) -> int:
        while True:
            try:
                return int(await self._handle(name).drain.remote())
            except ActorUnavailableError:
                # It is being restarted, or is back and this process does not know yet.
                await asyncio.sleep(self.PAUSE_S)

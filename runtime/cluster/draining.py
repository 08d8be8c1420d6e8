"""The end of a system: flush its processes in their order, then end them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from ray.exceptions import ActorUnavailableError, RayError

from runtime.topology.names import HOSTS, ProcessKind, drain_stages
from runtime.topology.status import Drained, Progress

#: Who holds accepted work, and so has a `drain` method.
_FLUSHED = (
    ProcessKind.GATEWAY,
    ProcessKind.WORKER,
    ProcessKind.DELIVERER,
    *HOSTS,
    ProcessKind.WRITER,
)


class Drain:
    """Flushes the processes of a system in drain order.

    What a process answers after `timeout_s` is not waited for; its entry says so then. Where
    `in_all`, the whole of it takes no longer: each stage has its share of what is left by then, so
    that one which takes long leaves the same to those after it.
    """

    #: Between two tries: Ray does not say when a process that restarts is back.
    PAUSE_S = 0.1

    def __init__(
        self,
        processes: Mapping[str, ProcessKind],
        drained: Callable[[str], Awaitable[int]],
        timeout_s: float,
        *,
        in_all: bool = False,
    ) -> None:
        """`drained` asks the process of a name to flush, and comes to what it says."""
        self._processes = {name: kind for name, kind in processes.items() if kind in _FLUSHED}
        self._drained, self._timeout_s, self._in_all = drained, timeout_s, in_all
        self._waiting: set[str] = set()
        self._done: list[Drained] = []

    async def run(self) -> tuple[Drained, ...]:
        """Flush all of them, a stage after the other."""
        stages = drain_stages(self._processes)
        now_s = asyncio.get_running_loop().time
        until_s = now_s() + self._timeout_s
        for after, stage in zip(range(len(stages), 0, -1), stages, strict=True):
            limit_s = (until_s - now_s()) / after if self._in_all else self._timeout_s
            self._waiting = set(stage)
            self._done += await asyncio.gather(*(self._flushed(name, limit_s) for name in stage))
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

    async def _flushed(self, name: str, limit_s: float) -> Drained:
        kind = self._processes[name]
        try:
            settled = await asyncio.wait_for(self._answer(name), limit_s)
            return Drained(name=name, kind=kind, settled=settled)
        except TimeoutError:
            problem = f"not flushed within {limit_s:.3g} s"
        except (RayError, ValueError) as error:
            problem = f"not flushed: {type(error).__name__}"
        finally:
            self._waiting.discard(name)
        return Drained(name=name, kind=kind, settled=None, problem=problem)

    async def _answer(self, name: str) -> int:
        while True:
            try:
                return int(await self._drained(name))
            except ActorUnavailableError:
                # It is being restarted, or is back and this process does not know yet.
                await asyncio.sleep(self.PAUSE_S)

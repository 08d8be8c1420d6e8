"""How long it takes until everybody answers again: after a kill of a host or of the writer, and
after PostgreSQL is back."""

import asyncio
import itertools
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.bed import BUILD, Bed, one_value
from benchmarks.devices import Meter, MeterState
from benchmarks.figures import Figure, Measure, at_least
from benchmarks.measures.commands import READINGS, check_own, meters, reading
from benchmarks.sizes import require
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from runtime.topology.names import WRITER_ACTOR, host_name
from runtime.topology.status import ProcessStatus
from store.embedded.server import EmbeddedPostgres

HOST, WRITER = "host_kill_recovery_s", "writer_kill_recovery_s"
POSTGRES = "postgres_restart_recovery_s"
KILLED = host_name(0)
CALLERS = 8  #: each with one ask under way at a time, all the while
AWAY_S = 1.0  #: PostgreSQL, from its end to its start
APART_S = 4.0  #: from one recovery to the next strike: by then everything is as it was before

Refs = list[ActorRef[MeterState]]
#: Strikes, and returns the moment from which the recovery counts.
Strike = Callable[[], float]


def run_kills(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """See the figures below."""
    measured = {}
    for key, name in ((HOST, KILLED), (WRITER, WRITER_ACTOR)):
        if key not in wanted:
            continue
        with bed.database() as url, bed.system(url, spares=1) as system:
            took_s = _measured(system, bed, url, lambda: _kill(system, name))  # noqa: B023
            measured[key] = statistics.median(took_s)
    return measured


def run_restarts(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """See the figure below."""
    with _own_server() as server, bed.system(server.url, spares=1) as system:

        def restart() -> float:
            server.stop()
            time.sleep(AWAY_S)
            server.start()
            return time.perf_counter()

        took_s = _measured(system, bed, server.url, restart)
    return {POSTGRES: statistics.median(took_s)}


def _measured(system: ActorSystem, bed: Bed, url: str, strike: Strike) -> list[float]:
    """How long each recovery took. What was asked is in the log, each once."""
    # Those of the host that is killed, of two.
    names = meters(bed.sizes.recovering, lambda shard: shard % 2 == 0)
    refs = [system.actor(Meter, name) for name in names]
    took_s, asked = asyncio.run(_recoveries(system, refs, bed.sizes.strikes, strike))
    stored = one_value(url, READINGS)
    require(stored == asked, f"{stored:,} events for {asked:,} asks")
    return took_s


async def _recoveries(
    system: ActorSystem, refs: Refs, times: int, strike: Strike
) -> tuple[list[float], int]:
    numbers = itertools.count()
    await asyncio.to_thread(_all_asked, system, refs, numbers)  # all are resident
    over = asyncio.Event()
    calling = [asyncio.ensure_future(_call(refs[at:], numbers, over)) for at in range(CALLERS)]
    took_s = []
    for _ in range(times):
        await asyncio.sleep(APART_S)
        began_s = await asyncio.to_thread(strike)
        await asyncio.to_thread(_all_asked, system, refs, numbers)
        took_s.append(time.perf_counter() - began_s)
    over.set()
    await asyncio.gather(*calling)
    return took_s, next(numbers)


def _all_asked(system: ActorSystem, refs: Refs, numbers: Iterator[int]) -> None:
    """Every one has answered."""
    asked = [(ref, reading(next(numbers))) for ref in refs]
    for (_, each), reply in zip(asked, system.ask_many(asked), strict=True):
        check_own(reply.result(), each.number)


async def _call(refs: Refs, numbers: Iterator[int], over: asyncio.Event) -> None:
    """One caller: an actor after the other, each when the one before has answered."""
    for ref in itertools.cycle(refs[::CALLERS]):
        if over.is_set():
            return
        await _ask(ref, next(numbers))


async def _ask(ref: ActorRef[MeterState], number: int) -> None:
    check_own(await ref.ask(reading(number)), number)


def _kill(system: ActorSystem, name: str) -> float:
    statuses = (each for each in system.status().result() if isinstance(each, ProcessStatus))
    (pid,) = [each.pid for each in statuses if each.name == name]
    killed_s = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    return killed_s


@contextmanager
def _own_server() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that nobody minds being restarted, with fsync on like the other one."""
    server = EmbeddedPostgres(BUILD / "bench-restarted-postgres")
    server.destroy()  # of a bench that was killed
    try:
        server.start()
        yield server
    finally:
        server.destroy()


MEASURES = (
    Measure(
        run_kills,
        (
            Figure(
                key=HOST,
                input="kill -9 of a host with {recovering:,} resident actors, under load, until "
                "every one has answered again: median of {strikes}",
                target=at_least(0.8),
                at_most=True,
            ),
            Figure(
                key=WRITER,
                input="kill -9 of the writer, likewise, until {recovering:,} actors of one host "
                "have answered again: median of {strikes}",
                target=at_least(0.8),
                at_most=True,
            ),
        ),
    ),
    Measure(
        run_restarts,
        (
            Figure(
                key=POSTGRES,
                input="PostgreSQL is stopped under load, and started a second later: from its "
                "return until {recovering:,} actors have answered again: median of {strikes}",
                target=at_least(1.0),
                at_most=True,
            ),
        ),
    ),
)

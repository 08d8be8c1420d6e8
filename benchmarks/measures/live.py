"""What live subscriptions cost publishers and the bus: one, some, many of them."""

import time
from typing import NamedTuple

import psutil
import ray

from benchmarks.bed import Bed, one_value, settle
from benchmarks.devices import Meter
from benchmarks.figures import Figure, Measure, times
from benchmarks.listeners import start_listeners, stop_listeners
from benchmarks.measures.commands import LIMIT_S, all_told, readings
from benchmarks.sizes import require
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from runtime.topology.names import BUS_ACTOR
from runtime.topology.status import ProcessStatus

ONE, SOME, MANY = "live_1_commands_per_s", "live_50_commands_per_s", "live_500_commands_per_s"
BUS = {ONE: "live_1_bus_us", SOME: "live_50_bus_us", MANY: "live_500_bus_us"}
#: Each commit has one time, and no two have the same.
COMMITS = "SELECT count(DISTINCT recorded_at) FROM events"


class Ran(NamedTuple):
    """One run of commands past so many subscriptions."""

    commands_per_s: float
    bus_us: float  #: of processor time that the bus spent on a commit


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """Every subscription wants the events of one meter, each of another. All of them have
    them when the bus's time is read."""
    measured: dict[str, float] = {}
    numbers = {ONE: 1, SOME: bed.sizes.some_live, MANY: bed.sizes.many_live}
    with bed.database() as url, bed.system(url) as system:
        refs: list[ActorRef[object]] = [
            system.actor(Meter.actor_type, f"{number:04}") for number in range(bed.sizes.actors)
        ]
        warm_up = bed.sizes.live_commands // 10
        all_told(system.tell_many(readings(refs, warm_up)), warm_up)
        for key, number in numbers.items():
            if {key, BUS[key]} & wanted:
                ran = _past(system, url, refs, number, bed.sizes.live_commands)
                measured |= {key: ran.commands_per_s, BUS[key]: ran.bus_us}
    return {key: measured[key] for key in wanted}


def _past(
    system: ActorSystem, url: str, refs: list[ActorRef[object]], number: int, count: int
) -> Ran:
    listeners = start_listeners(system.namespace, [ref.source for ref in refs[:number]])
    try:
        settle(url)
        commits, bus_s = one_value(url, COMMITS), _bus_s(system)
        heard = listeners.until.remote(count // len(refs))
        started_s = time.perf_counter()
        told = system.tell_many(readings(refs, count))
        elapsed_s = time.perf_counter() - started_s
        seen = ray.get(heard, timeout=LIMIT_S)
        bus_s = _bus_s(system) - bus_s
    finally:
        stop_listeners(listeners)
    all_told(told, count)
    require(seen == number * (count // len(refs)), f"{number} subscriptions saw {seen:,} events")
    return Ran(count / elapsed_s, bus_s / (one_value(url, COMMITS) - commits) * 1e6)


def _bus_s(system: ActorSystem) -> float:
    (bus,) = (each for each in system.status().result() if each.name == BUS_ACTOR)
    assert isinstance(bus, ProcessStatus)
    used = psutil.Process(bus.pid).cpu_times()
    return float(used.user + used.system)


_PAST = "{live_commands:,} commands by tell_many to {actors:,} actors, past "
_SPENT = "processor time that the bus spent on a commit of it, in microseconds"

MEASURE = Measure(
    run,
    (
        Figure(key=ONE, input=_PAST + "one live subscription to the events of one actor"),
        Figure(
            key=SOME,
            input=_PAST + "{some_live} of them, each to another actor's",
            target=times(0.9, ONE),
        ),
        Figure(key=MANY, input=_PAST + "{many_live} of them"),
        Figure(key=BUS[ONE], input=_SPENT + ", with one", at_most=True),
        Figure(key=BUS[SOME], input=_SPENT + ", with {some_live}", at_most=True),
        Figure(key=BUS[MANY], input=_SPENT + ", with {many_live}", at_most=True),
    ),
)

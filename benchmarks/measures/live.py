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
from benchmarks.subscriber import start_watcher, stop_watcher
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from runtime.topology.names import BUS_ACTOR
from runtime.topology.status import ProcessStatus

ONE, SOME, MANY, MOST = (
    "live_1_commands_per_s", "live_50_commands_per_s",
    "live_100_commands_per_s", "live_1000_commands_per_s",
)  # fmt: skip
BUS = {
    ONE: "live_1_bus_us", SOME: "live_50_bus_us", MANY: "live_100_bus_us", MOST: "live_1000_bus_us"
}  # fmt: skip
BEHIND = "bus_behind_bytes"
#: Each commit has one time, and no two have the same.
COMMITS = "SELECT count(DISTINCT recorded_at) FROM events"


class Ran(NamedTuple):
    """One run of commands past so many subscriptions."""

    commands_per_s: float
    bus_us: float  #: of processor time that the bus spent on a commit


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """Every subscription wants the events of one meter, each of another, and a quiet one those of a
    meter that has none. All of them have them when the bus's time is read."""
    measured: dict[str, float] = {}
    sizes = bed.sizes
    numbers = {
        ONE: (1, 0), SOME: (sizes.some_live, sizes.quiet_live),
        MANY: (sizes.many_live, 0), MOST: (sizes.most_live, 0),
    }  # fmt: skip
    with bed.database() as url, bed.system(url) as system:
        refs: list[ActorRef[object]] = [
            system.actor(Meter.actor_type, f"{number:04}") for number in range(bed.sizes.actors)
        ]
        warm_up = bed.sizes.live_commands // 10
        all_told(system.tell_many(readings(refs, warm_up)), warm_up)
        for key, (busy, quiet) in numbers.items():
            if {key, BUS[key]} & wanted:
                ran = _past(system, url, refs, busy, quiet, sizes.live_commands)
                measured |= {key: ran.commands_per_s, BUS[key]: ran.bus_us}
    return {key: measured[key] for key in wanted}


def behind(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """What the bus keeps for a subscriber that stands still while events pass, in private memory;
    and when it goes on it has them all."""
    count = bed.sizes.behind
    with bed.database() as url, bed.system(url) as system:
        refs: list[ActorRef[object]] = [
            system.actor(Meter.actor_type, f"{number:04}") for number in range(bed.sizes.actors)
        ]
        warm_up = bed.sizes.live_commands
        all_told(system.tell_many(readings(refs, warm_up)), warm_up)  # its buffer is full by then
        watcher = start_watcher(system.namespace)
        try:
            process = psutil.Process(ray.get(watcher.pid.remote(), timeout=LIMIT_S))
            settle(url)
            before = _bus(system).private_bytes
            process.suspend()
            try:
                all_told(system.tell_many(readings(refs, count)), count)
                grown = _bus(system).private_bytes - before
            finally:
                process.resume()
            seen = ray.get(watcher.until.remote(count), timeout=LIMIT_S)
            require(seen.numbers == sum(range(count)), "a subscriber saw other events")
        finally:
            stop_watcher(watcher)
    return {BEHIND: float(max(grown, 0))}


def _past(
    system: ActorSystem, url: str, refs: list[ActorRef[object]], number: int, quiet: int, count: int
) -> Ran:
    sources = [ref.source for ref in refs[:number]]
    sources += [f"{Meter.actor_type}/quiet-{each}" for each in range(quiet)]
    listeners = start_listeners(system.namespace, sources)
    try:
        settle(url)
        commits, bus_s = one_value(url, COMMITS), _bus_s(system)
        heard = listeners.until.remote(count // len(refs), number)
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


def _bus(system: ActorSystem) -> ProcessStatus:
    (bus,) = (each for each in system.status().result() if each.name == BUS_ACTOR)
    assert isinstance(bus, ProcessStatus)
    return bus


def _bus_s(system: ActorSystem) -> float:
    used = psutil.Process(_bus(system).pid).cpu_times()
    return float(used.user + used.system)


_PAST = "{live_commands:,} commands by tell_many to {actors:,} actors, past "
_SPENT = "processor time that the bus spent on a commit of it, in microseconds"

_RUN = Measure(
    run,
    (
        Figure(key=ONE, input=_PAST + "one live subscription to the events of one actor"),
        Figure(
            key=SOME,
            input=_PAST + "{some_live} of them, each to another actor's, and {quiet_live:,} that "
            "hear nothing",
            target=times(0.9, ONE),
        ),
        Figure(key=MANY, input=_PAST + "{many_live} of them"),
        Figure(key=MOST, input=_PAST + "{most_live:,} of them"),
        Figure(key=BUS[ONE], input=_SPENT + ", with one", at_most=True),
        Figure(
            key=BUS[SOME],
            input=_SPENT + ", with {some_live} and {quiet_live:,} that hear nothing",
            at_most=True,
        ),
        Figure(key=BUS[MANY], input=_SPENT + ", with {many_live}", at_most=True),
        Figure(key=BUS[MOST], input=_SPENT + ", with {most_live:,}", at_most=True),
    ),
)
_BEHIND = Measure(
    behind,
    (
        Figure(
            key=BEHIND,
            input="private memory that the bus grew by while {behind:,} events passed a subscriber "
            "that stood still, and had all of them when it went on",
            at_most=True,
        ),
    ),
    once=True,
)
MEASURES = (_RUN, _BEHIND)

"""What more hosts bring, and what they cost: on two cores the aim is that they cost nothing."""

import time

import ray

from benchmarks.bed import Bed, one_value, settle, urls_of
from benchmarks.cpu_account import busy_us
from benchmarks.devices import Meter
from benchmarks.figures import Figure, Measure
from benchmarks.measures.commands import LIMIT_S, READINGS, all_told, readings
from benchmarks.sizes import require
from benchmarks.subscriber import start_watcher, stop_watcher
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem

HOSTS = (1, 2, 4)


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """The same commands, a system after the other."""
    measured: dict[str, float] = {}
    for hosts in HOSTS:
        rate, cpu = _keys(hosts)
        if {rate, cpu} & wanted:
            measured[rate], measured[cpu] = durable_with_cpu(bed, hosts=hosts)
    return {key: measured[key] for key in wanted}


def _keys(hosts: int) -> tuple[str, str]:
    return f"hosts_{hosts}_commands_per_s", f"hosts_{hosts}_cpu_us"


def durable_with_cpu(bed: Bed, *, hosts: int, partitions: int = 1) -> tuple[float, float]:
    """Commands a second of one driver to a system of its own, and microseconds of processor time
    for one, of the whole machine."""
    with bed.database(partitions) as url:
        with bed.system(url, hosts=hosts, partitions=partitions) as system:
            found = _durable(bed, url, system)
        logs = [one_value(each, READINGS) for each in urls_of(url, partitions)]
    told = bed.sizes.commands + bed.sizes.commands // 10
    require(sum(logs) == told, f"the logs have {sum(logs):,} readings of {told:,}")
    require(all(logs), "the log of a partition has no reading")
    return found


def _durable(bed: Bed, url: str, system: ActorSystem) -> tuple[float, float]:
    count, warm_up = bed.sizes.commands, bed.sizes.commands // 10
    refs: list[ActorRef[object]] = [
        system.actor(Meter.actor_type, f"{number:04}") for number in range(bed.sizes.actors)
    ]
    watcher = start_watcher(system.namespace)
    try:
        all_told(system.tell_many(readings(refs, warm_up)), warm_up)
        ray.get(watcher.until.remote(warm_up), timeout=LIMIT_S)
        settle(url)
        busy, began_s = busy_us(), time.perf_counter()
        seen = watcher.until.remote(warm_up + count)
        all_told(system.tell_many(readings(refs, count)), count)
        ray.get(seen, timeout=LIMIT_S)
        took_s, busy = time.perf_counter() - began_s, busy_us() - busy
    finally:
        stop_watcher(watcher)
    return count / took_s, busy / count


MEASURE = Measure(
    run,
    tuple(
        figure
        for hosts in HOSTS
        for figure in (
            Figure(
                key=_keys(hosts)[0],
                input=f"as durable_commands_per_s, with {hosts} pooled host"
                + ("s" if hosts > 1 else ""),
            ),
            Figure(
                key=_keys(hosts)[1],
                input="the same run: microseconds of processor time of the whole machine a command",
                at_most=True,
            ),
        )
    ),
)

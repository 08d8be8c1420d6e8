"""Where the processor time of a durable command goes: by process, and all of it.

    python -m benchmarks.cpu_account [RUNS]

The run of `durable_commands_per_s`, again and again on one system. Processor time is read from
/proc, before and after, of every process of the machine, kernel threads included, and divided by
the commands. What is nobody's (interrupts, say) is the difference to what the machine counts as
busy. Comparable on a machine where others work, as wall time is not: but for what other programs
do, which is in the machine's line, and in those of the processes of their names.
"""

import re
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import ray

from benchmarks.bed import Bed, one_value, opened, settle
from benchmarks.devices import Meter
from benchmarks.measures.commands import all_told, readings
from benchmarks.sizes import FULL
from benchmarks.subscriber import start_watcher, stop_watcher
from runtime.driver.ref import ActorRef

#: Of a Ray actor's class, the process's name in the account; of anything else its command.
_RAY_ACTOR = re.compile(r"ray::(\w+)")


def spent_us() -> Counter[tuple[str, str]]:
    """Processor time so far, of each kind of process, in user and in kernel mode."""
    spent: Counter[tuple[str, str]] = Counter()
    for process in psutil.process_iter():
        try:
            times, name = process.cpu_times(), _name(process)
        except psutil.NoSuchProcess:
            continue
        spent[name, "user"] += int(times.user * 1e6)
        spent[name, "kernel"] += int(times.system * 1e6)
    return spent


def _name(process: psutil.Process) -> str:
    command = " ".join(process.cmdline()) or f"kernel: {process.name()}"
    if process.pid == psutil.Process().pid:
        return "driver"
    if ray_actor := _RAY_ACTOR.match(command):
        return ray_actor[1]
    if command.startswith("postgres: "):
        return " ".join(command.split()[:3]) if "127.0.0.1" not in command else "postgres backends"
    return Path(command.split()[0]).name if command[0] == "/" else command[:40]


def busy_us() -> float:
    """Processor time of the machine so far, whoever's it is."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice) * 1e6


def measure(bed: Bed, runs: int) -> None:
    """Print an account a run, and the medians."""
    count = bed.sizes.commands
    found: list[dict[tuple[str, str], float]] = []
    with bed.database() as url, bed.system(url) as system:
        refs: list[ActorRef[object]] = [
            system.actor(Meter.actor_type, f"{number:04}") for number in range(bed.sizes.actors)
        ]
        watcher = start_watcher(system.namespace)
        try:
            warm_up = count // 10
            all_told(system.tell_many(readings(refs, warm_up)), warm_up)
            seen = warm_up
            ray.get(watcher.until.remote(seen), timeout=120)
            for _ in range(runs):
                settle(url)
                before, busy, began_s = spent_us(), busy_us(), time.perf_counter()
                all_told(system.tell_many(readings(refs, count)), count)
                seen += count
                ray.get(watcher.until.remote(seen), timeout=120)
                took_s = time.perf_counter() - began_s
                busy, after = busy_us() - busy, spent_us()
                account = {key: (after[key] - before[key]) / count for key in after}
                account["the machine", ""] = busy / count
                account["commands/s", ""] = count / took_s
                found.append(account)
        finally:
            stop_watcher(watcher)
        assert one_value(url, "SELECT count(*) FROM events") >= seen
    _print(found)


def _print(found: list[dict[tuple[str, str], float]]) -> None:
    keys = sorted({key for account in found for key in account})
    for name, mode in keys:
        values = [account.get((name, mode), 0.0) for account in found]
        middle = statistics.median(values)
        if middle >= 0.05:
            each = " ".join(f"{value:8.2f}" for value in values)
            print(f"{name[:36]:<37}{mode:<7}{middle:10.2f}   {each}")


if __name__ == "__main__":
    with opened(FULL) as bed:
        measure(bed, int(sys.argv[1]) if len(sys.argv) > 1 else 3)

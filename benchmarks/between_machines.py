"""Calls between two machines: through Ray, and past it in TLS.

    sudo python -m benchmarks.between_machines [ROUNDS]

The machines are network namespaces of this one, joined by a virtual cable, so what they share is
the processors, and what the cable takes is nothing. First bare calls: an answer of as many bytes as
were sent, from one machine to the other and back. Then a system, with its hosts on one machine and
driver and writer on the other, and with its writer apart from driver and hosts.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from itertools import cycle, islice
from typing import Any

import ray
from rich.console import Console
from rich.table import Table

from benchmarks.devices import Meter, TakeReading
from benchmarks.measures.asks import Refs, timed_ms
from benchmarks.sizes import require
from runtime.process.world import address_here
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.transport.caller import Caller
from runtime.transport.certificates import Certificates
from runtime.transport.loopback import Address, Server
from runtime.transport.network import Network
from tests.machines.namespaces import Machine, impossible, machines
from tests.machines.pair import ADDRESSES, ROLE, Pair, pair

WAYS = ("ray", "tls")
#: Bytes of a bare call, with how many are made; the largest is what a full batch of commands has.
BARE = {100: 2_000, 65_536: 500, 1_048_576: 100}
ASKS, COMMANDS, ACTORS = 500, 50_000, 1_000
#: Where hosts and core are; the driver is near, as the database is.
PLACES = {"hosts far": ("far", "near"), "writer far": ("near", "far")}

Taken = dict[str, list[float]]


def main() -> int:
    """Outside: make the machines, and have the rest run on the first one."""
    if why := impossible():
        print(why, file=sys.stderr)
        return 2
    with machines(ADDRESSES) as there:
        described = json.dumps([asdict(each) for each in there])
        program = [sys.executable, "-m", "benchmarks.between_machines", "--near", described]
        return subprocess.run([*there[0].inside, *program, *sys.argv[1:]], check=False).returncode


def near(described: str, rounds: int) -> None:
    """On the first machine: measure, round by round, each way in turn."""
    found: dict[str, Taken] = {way: defaultdict(list) for way in WAYS}
    with pair(*(Machine(**each) for each in json.loads(described))) as both:
        for _ in range(rounds):
            for way, taken in found.items():
                for what, figure in asyncio.run(_bare(way)).items():
                    taken[what].append(figure)
                for place, (hosts, core) in PLACES.items():
                    for what, figure in _system(both, way, hosts, core).items():
                        taken[f"{place}: {what}"].append(figure)
    _show(found, rounds)


class Echo:
    """A process that answers with what it is asked, in both ways."""

    def __init__(self) -> None:
        network = Network(Certificates(Settings().tls_files), address_here)
        self._server = Server({"echo": self.echo}, network=network)

    async def address(self) -> Address:
        return await self._server.address()

    async def echo(self, request: bytes) -> bytes:
        return request


async def _bare(way: str) -> dict[str, float]:
    """Milliseconds that a call takes, one at a time; megabytes a second of the largest ones, eight
    at a time, each way."""
    echo: Any = ray.remote(num_cpus=0)(Echo).options(label_selector={ROLE: "far"}).remote()
    network = Network(Certificates(Settings().tls_files), address_here)
    caller = Caller(echo, network=lambda: network if way == "tls" else None)
    found = {}
    for size, calls in BARE.items():
        request = bytes(size)
        for _ in range(calls // 10):
            await caller.call("echo", request)  # warms up
        took_ms = []
        for _ in range(calls):
            began_s = time.perf_counter()
            require(len(await caller.call("echo", request)) == size, "another answer")
            took_ms.append((time.perf_counter() - began_s) * 1_000)
        found[f"call of {size:,} bytes, p50 ms"] = statistics.median(took_ms)
    size, calls = max(BARE.items())
    began_s = time.perf_counter()
    for _ in range(calls // 8):
        await asyncio.gather(*(caller.call("echo", bytes(size)) for _ in range(8)))
    moved = calls // 8 * 8 * size / 1e6
    found["calls of 1 MiB, eight at a time, MB/s"] = moved / (time.perf_counter() - began_s)
    require((way == "tls") == (caller._near is not None), "it went the other way")
    caller.close()
    ray.kill(echo)
    return found


def _system(both: Pair, way: str, hosts: str, core: str) -> dict[str, float]:
    given: dict[str, Any] = both.settings(hosts=hosts, core=core)
    given["actor_system"] |= {
        "namespace": f"{way}-{hosts}", "actor_modules": ["benchmarks.devices"],
        "actor_timeout_ms": 60_000,
    }  # fmt: skip
    settings = Settings.load(transport={"between_machines": way}, **given)
    with ActorSystem.launch(settings, timeout_s=180.0, take_over=True) as system:
        refs = [system.actor(Meter, f"{way}-{hosts}-{number}") for number in range(ACTORS)]
        found = {
            "ask, p50 ms": _asks(refs),
            "durable commands/s": _commands(system, refs),
        }
        system.drain().result()
    return found


def _asks(refs: Refs) -> float:
    turns = cycle(refs)

    def ask() -> None:
        next(turns).ask(TakeReading(celsius=21.5, room="hall", number=1)).result()

    timed_ms(ask, ASKS // 10)  # warms up
    return statistics.median(timed_ms(ask, ASKS))


def _commands(system: ActorSystem, refs: Refs) -> float:
    message = TakeReading(celsius=21.5, room="hall", number=1)
    rates = []
    for count in (COMMANDS // 5, COMMANDS, COMMANDS):  # the first warms up
        began_s = time.perf_counter()
        told = system.tell_many((ref, message) for ref in islice(cycle(refs), count))
        require(told.failed == 0, "a command failed")
        rates.append(count / (time.perf_counter() - began_s))
    return statistics.mean(rates[1:])


def _show(found: dict[str, Taken], rounds: int) -> None:
    table = Table(title=f"between two machines, median of {rounds}", box=None)
    table.add_column("what")
    for way in WAYS:
        table.add_column(way, justify="right")
    for what in found[WAYS[0]]:
        medians = (statistics.median(found[way][what]) for way in WAYS)
        table.add_row(
            what, *(f"{each:,.3g}" if each < 1000 else f"{each:,.0f}" for each in medians)
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--near"]:
        near(sys.argv[2], int(sys.argv[3]) if sys.argv[3:] else 3)
    else:
        sys.exit(main())

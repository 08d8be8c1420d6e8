"""The face of several partitions: what it asks of which of them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.cluster import clearing
from runtime.driver.ref import ActorRef
from runtime.driver.scaling import ScalingStep
from runtime.errors import (
    AnotherSystem,
    ConnectionClosed,
    HostUnavailable,
    SystemNotFound,
)
from runtime.settings.settings import Settings
from runtime.system import PartitionedSystem
from runtime.topology.names import ProcessKind
from runtime.topology.partitions import partition_of
from runtime.topology.status import Drained, DrainReport, Progress
from store.dead_letters import Parked
from store.erasures import Erasure, ErasureReceipt, Forgotten


class Connected:
    """The connection of a part: runs what is asked of all at once."""

    closed = False

    def __init__(self) -> None:
        self.log = self
        self.queues: list[Parked] = []  #: dead letters wait for these
        self.dropped: list[Parked] = []
        self.programs: list[str] = []  #: those that read all logs

    async def ask(self, question: Callable[[Any], Awaitable[Any]]) -> Any:
        return await question(self)

    async def merges(self) -> list[str]:
        return self.programs

    async def parked_queues(self, _: Any) -> list[Any]:
        return [SimpleNamespace(first=SimpleNamespace(parked=each)) for each in self.queues]

    async def drop_dead_letters(self, _: str, parked: Parked, __: int) -> int:
        self.dropped.append(parked)
        return 1

    async def errand(self, _: str, work: Callable[[], Awaitable[Any]]) -> Any:
        return await work()

    async def last_errand(self, _: str, work: Callable[[], Awaitable[Any]]) -> Any:
        found = await work()
        self.closed = True
        return found


@dataclass
class Part:
    """A partition, and what was asked of it."""

    erased: list[str] = field(default_factory=list)
    now: Progress = field(default_factory=lambda: Progress(doing="all of it", done=2, processes=2))
    namespace: str = "fleet"
    connection: Connected = field(default_factory=Connected)
    ends: list[Exception | None] = field(default_factory=list)  #: of each drain; None: it ends
    drains: int = 0

    async def _drain(self, _: float) -> DrainReport:
        self.drains += 1
        if (error := self.ends.pop(0)) is not None:
            raise error
        return DrainReport(
            processes=(Drained(name="writer", kind=ProcessKind.WRITER, settled=7),),
            end_problems=(),
        )

    async def drain(self, *, timeout_s: float) -> DrainReport:
        if self.connection.closed:
            raise ConnectionClosed(self.namespace)
        found: DrainReport = await self.connection.last_errand("", lambda: self._drain(timeout_s))
        return found

    def close(self) -> None:
        self.connection.closed = True

    async def scale(self, hosts: int, *, tell: Callable[[ScalingStep], None]) -> dict[str, int]:
        tell(ScalingStep(what=f"host-{hosts - 1} runs"))
        return {f"host-{number}": 4096 // hosts for number in range(hosts)}

    async def progress(self) -> Progress:
        return self.now

    async def erase(self, ref: ActorRef[Any], *_: Any, **__: Any) -> ErasureReceipt:
        self.erased.append(ref.source)
        return ErasureReceipt(
            source=ref.source, reason="asked", keys=(ref.source,), version=2, position=9, events=1,
            digest="", snapshots=0, timers=0, states=0, rows=0, dead_letters=3, outputs=0,
        )  # fmt: skip


def of_partition(partition: int) -> str:
    names = (f"meter/{number}" for number in range(100))
    return next(each for each in names if partition_of(each, 2) == partition)


def system_of(*parts: Part) -> Any:
    return PartitionedSystem(parts)  # type: ignore[arg-type]


def ref_to(source: str) -> ActorRef[Any]:
    return ActorRef(None, None, source)  # type: ignore[arg-type]


def test_erasing_forgets_what_waits_for_the_actor_in_other_partitions() -> None:
    source = of_partition(1)
    first, second = Part(), Part()
    waits, other = Parked("messages", False, source), Parked("messages", False, of_partition(0))
    by_source = Parked("listening", True, source)
    first.connection.queues = [waits, other, by_source]
    second.connection.queues = [waits]
    receipt = asyncio.run(system_of(first, second).erase(ref_to(source), "asked"))
    assert (first.erased, second.erased) == ([], [source])
    assert first.connection.dropped == [waits, by_source]
    assert second.connection.dropped == []  # its own has done it
    assert receipt.dead_letters == 5


def test_keys_are_forgotten_wherever_programs_may_have_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[Connected, Connected, tuple[str, ...]]] = []

    async def forget(of: Connected, own: Connected, erasure: Erasure, _: float) -> Forgotten:
        asked.append((of, own, erasure.keys))
        return Forgotten(outputs=1, states=2, rows=3, dead_letters=4)

    monkeypatch.setattr("runtime.processing.erasing_everywhere.forget_elsewhere", forget)
    first, second = Part(), Part()
    system, source, key = system_of(first, second), of_partition(1), f"alerts/{of_partition(0)}"
    asyncio.run(system.erase(ref_to(source), "asked", keys=[f"alerts/{source}"]))
    assert (second.erased, asked) == ([source], [])
    receipt = asyncio.run(system.erase(ref_to(source), "asked", keys=[key]))
    assert asked == [(first.connection, second.connection, (source, key))]
    assert (receipt.outputs, receipt.states, receipt.rows, receipt.dead_letters) == (1, 2, 3, 7)
    first.connection.programs = ["kinds"]
    asyncio.run(system.erase(ref_to(source), "asked"))
    assert asked[1:] == [(first.connection, second.connection, (source,))]


def test_steps_of_scaling_say_of_which_partition_they_are() -> None:
    told: list[str] = []
    scaling = system_of(Part(), Part()).scale(3, tell=lambda step: told.append(step.what))
    assert asyncio.run(scaling) == {"host-0": 2048, "host-1": 2048, "host-0 of partition 1": 4096}
    assert told == ["partition 0: host-1 runs", "partition 1: host-0 runs"]


def test_progress_is_that_of_all() -> None:
    waits = Progress(doing="host-1", done=1, processes=3)
    found = asyncio.run(system_of(Part(), Part(now=waits)).progress())
    assert (found.doing, found.done, found.processes) == ("host-1", 3, 5)


def names_of(report: DrainReport) -> list[str]:
    return [each.name for each in report.processes]


@pytest.mark.parametrize("away", [HostUnavailable("directory", "away"), AnotherSystem("fleet")])
def test_a_drain_that_ended_half_is_gone_on_with(away: Exception) -> None:
    first, second, third = Part(ends=[away, None]), Part(ends=[None]), Part(ends=[None])
    system = system_of(first, second, third)
    with pytest.raises(type(away)):
        asyncio.run(system.drain())
    assert names_of(asyncio.run(system.drain())) == ["writer"]
    assert (first.drains, second.drains, third.drains) == (2, 1, 1)


def test_the_first_partition_which_finds_the_others_ends_after_they_have() -> None:
    away = HostUnavailable("directory", "away")
    first, second, third = Part(ends=[None]), Part(ends=[away, None]), Part(ends=[None])
    system = system_of(first, second, third)
    with pytest.raises(HostUnavailable):
        asyncio.run(system.drain())
    assert (first.drains, third.connection.closed) == (0, True)
    assert names_of(asyncio.run(system.drain())) == ["writer of partition 1", "writer"]


def test_a_partition_that_somebody_has_closed_is_not_passed_over() -> None:
    first, second = Part(ends=[None]), Part(ends=[None])
    second.close()
    report = asyncio.run(system_of(first, second).drain())
    assert names_of(report) == ["writer of partition 1", "writer"]
    assert second.drains == 1


def test_a_partition_that_is_gone_is_drained() -> None:
    first, second, third = Part(ends=[None]), Part(ends=[SystemNotFound("gone")]), Part(ends=[None])
    report = asyncio.run(system_of(first, second, third).drain())
    assert names_of(report) == ["writer of partition 2", "writer"]
    assert second.connection.closed
    none = [Part(ends=[SystemNotFound("gone")]) for _ in range(2)]
    with pytest.raises(SystemNotFound):
        asyncio.run(system_of(*none).drain())


def test_a_system_of_which_a_part_has_ended_says_what_to_do() -> None:
    settings = Settings.load(
        None, environ={}, actor_system={"namespace": "fleet", "hosts": 2},
        event_store={"partitions": 2, "type": "memory"},
    )  # fmt: skip
    first: Any = SimpleNamespace(settings_json=settings.model_dump_json())

    def join(namespace: str) -> Any:
        raise SystemNotFound(namespace, "nothing is there")

    with pytest.raises(SystemNotFound, match=r"'fleet\.partition-1'.*`thornback drain` ends"):
        PartitionedSystem.joined(first, join)


def test_what_is_drained_without_a_connection_is_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drained: list[tuple[str, str]] = []

    def drain(settings: Settings, *_: Any) -> DrainReport:
        namespace = settings.actor_system.namespace
        if namespace == "fleet.partition-2":
            raise SystemNotFound(namespace, "gone", "")
        url = settings.event_store.connection_string.get_secret_value()
        drained.append((namespace, url.rpartition("/")[2]))
        flushed = Drained(name="writer", kind=ProcessKind.WRITER, settled=7)
        return DrainReport(processes=(flushed,), end_problems=("the disk",))

    there = ["fleet", "fleet.partition-1", "fleet.partition-2", "other", "other.partition-1"]
    monkeypatch.setattr(clearing, "namespaces_of_processes", lambda: there)
    monkeypatch.setattr(clearing, "drain_namespace", drain)
    settings = Settings.load(
        None, environ={}, actor_system={"namespace": "fleet", "hosts": 4},
        event_store={"partitions": 4, "connection_string": "postgresql://db/fleet"},
    )  # fmt: skip
    report = clearing.drain_partitions(settings, 1.0, lambda _: None)
    assert drained == [("fleet.partition-1", "fleet_partition_1"), ("fleet", "fleet")]
    assert [each.name for each in report.processes] == ["writer in fleet.partition-1", "writer"]
    assert report.end_problems == ("fleet.partition-1: the disk", "the disk")

"""Dedicated hosts are started side by side, and one that hangs or fails is alone in that."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from runtime.cluster.spawning import DedicatedHosts
from runtime.errors import StartFailed
from store.errors import StoreUnavailable
from tests.virtual_time import now_s, virtual_time

Ready = Callable[[], Awaitable[str]]


class Handle:
    """What Ray would give for a host."""

    def __init__(self, ready: Ready) -> None:
        self.ready = self
        self._ready = ready

    def remote(self) -> Awaitable[str]:
        return self._ready()


class Machine:
    """Where hosts are started; each takes a second, unless it is told otherwise."""

    def __init__(self) -> None:
        self.handles: dict[str, Handle] = {}
        self.started: list[str] = []
        self.ended: list[str] = []
        self.starting = self.most = 0
        self.behaviour: dict[str, Ready] = {}
        self.hosts = DedicatedHosts(self.find, self.start, self.end)

    def find(self, source: str) -> Handle:
        if source not in self.handles:
            raise ValueError(source)
        return self.handles[source]

    def start(self, source: str, actor: bytes | None) -> Handle:
        self.started.append(source)
        return self.handles.setdefault(source, Handle(self.behaviour.get(source, self._second)))

    def end(self, source: str) -> None:
        self.ended.append(source)
        del self.handles[source]

    async def _second(self) -> str:
        self.starting += 1
        self.most = max(self.most, self.starting)
        await asyncio.sleep(1)
        self.starting -= 1
        return "ready"


async def _never() -> str:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")


@virtual_time
async def test_many_are_started_side_by_side_and_not_all_at_once() -> None:
    machine, room = Machine(), DedicatedHosts.AT_ONCE
    names = [f"beacon/{number}" for number in range(4 * room)]
    await asyncio.gather(*(machine.hosts.ensure_started(name, None) for name in names))
    assert machine.started == names
    assert (machine.most, now_s()) == (room, 4)


@virtual_time
async def test_one_that_hangs_keeps_nobody_waiting_and_is_given_up_in_the_end() -> None:
    machine = Machine()
    machine.behaviour["beacon/hangs"] = _never
    hung = asyncio.ensure_future(machine.hosts.ensure_started("beacon/hangs", None))
    await asyncio.gather(*(machine.hosts.ensure_started(f"beacon/{n}", None) for n in range(100)))
    assert now_s() < DedicatedHosts.START_S
    with pytest.raises(StartFailed, match=r"beacon/hangs.* not ready within 60 s"):
        await hung
    assert now_s() == DedicatedHosts.START_S
    # Its name is free for the next try, which may go better.
    assert machine.ended == ["beacon/hangs"]
    del machine.behaviour["beacon/hangs"]
    await machine.hosts.ensure_started("beacon/hangs", None)
    assert machine.started.count("beacon/hangs") == 2


@virtual_time
async def test_one_that_cannot_start_says_why_and_is_tried_again() -> None:
    machine, fails = Machine(), True

    async def ready() -> str:
        if fails:
            raise StoreUnavailable("127.0.0.1:5432", "refused")
        return "ready"

    machine.behaviour["beacon/north"] = ready
    with pytest.raises(StartFailed, match=r"127\.0\.0\.1:5432.*refused"):
        await machine.hosts.ensure_started("beacon/north", None)
    assert machine.ended == []  # it is there, and starts with its next call
    fails = False
    await machine.hosts.ensure_started("beacon/north", None)
    assert machine.started == ["beacon/north"]


@virtual_time
async def test_who_asks_for_the_same_host_shares_its_start() -> None:
    machine = Machine()
    asked = (machine.hosts.ensure_started("beacon/north", None) for _ in range(10))
    await asyncio.gather(*asked)
    await machine.hosts.ensure_started("beacon/north", None)
    assert machine.started == ["beacon/north"]


@virtual_time
async def test_who_gives_up_waiting_does_not_end_the_start_for_the_others() -> None:
    machine = Machine()
    patient = asyncio.ensure_future(machine.hosts.ensure_started("beacon/north", None))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(machine.hosts.ensure_started("beacon/north", None), 0.5)
    await patient
    assert (machine.started, now_s()) == (["beacon/north"], 1)


@virtual_time
async def test_one_that_was_there_before_is_not_ended_when_it_does_not_answer() -> None:
    machine = Machine()
    machine.handles["beacon/north"] = Handle(_never)
    with pytest.raises(StartFailed):
        await machine.hosts.ensure_started("beacon/north", None)
    assert (machine.started, machine.ended) == ([], [])


@virtual_time
async def test_when_starts_are_cancelled_none_is_left_under_way() -> None:
    machine = Machine()
    starts = [
        asyncio.ensure_future(machine.hosts.ensure_started(f"beacon/{number}", None))
        for number in range(3 * DedicatedHosts.AT_ONCE)
    ]
    await asyncio.sleep(0.5)
    await machine.hosts.cancel()
    assert now_s() == 0.5
    await asyncio.wait(starts)
    assert all(start.cancelled() for start in starts)
    assert len(machine.started) == DedicatedHosts.AT_ONCE

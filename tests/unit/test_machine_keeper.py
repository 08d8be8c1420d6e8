"""Machines that come have their services, and what runs on those that go is flushed and moves."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from ray.exceptions import ActorDiedError

from runtime.cluster.machine_keeper import MachineKeeper
from runtime.cluster.services import Service
from runtime.cluster.system_processes import SystemProcesses
from runtime.errors import StartFailed
from runtime.host.host import Host
from runtime.process.world import World
from runtime.topology.machines import Machine
from runtime.topology.names import ProcessKind, gateway_name, kind_of
from tests.virtual_time import virtual_time

A, B, C = (Machine(id=letter * 56, labels={"web": "yes"}) for letter in "abc")


class Called:
    """A method of a process, as Ray gives it."""

    def __init__(self, method: Callable[[], Any]) -> None:
        self.remote = method


class Played:
    """The processes of a system, on machines; and the Ray that starts them."""

    def __init__(self, *machines: Machine) -> None:
        self.there = list(machines)
        self.at: dict[str, str] = {}  #: by name: the machine
        self.said: list[str] = []
        self.refusing: set[str] = set()  #: gateways that do not start
        self.own = A.id  #: where the directory is
        self.away = False  #: Ray's head
        self.ours = True  #: no successor has the system
        self.bound = False  #: the log could move along
        processes = cast(SystemProcesses, self)
        self.keeper = MachineKeeper(
            processes, cast(World, self), has_system=self.has_system, bound=lambda: self.bound
        )

    # As the processes:

    def services(self, machines: Iterable[Machine]) -> Mapping[str, Service]:
        return {
            gateway_name(each.id): Service(Host, each.id) for each in machines if not each.leaving
        }

    def start_service(self, name: str, service: Service) -> Any:
        return type("Handle", (), {"ready": Called(lambda: self._ready(name, service.machine))})

    async def _ready(self, name: str, machine: str) -> str:
        if name in self.refusing:
            raise StartFailed(name, "its port is taken")
        self.at[name] = machine
        return name

    def others(self) -> dict[str, ProcessKind]:
        kinds = {name: kind_of(name, {}) for name in self.at}
        return {name: kind for name, kind in kinds.items() if kind is not None}

    async def on_machines(self, machines: Iterable[str]) -> dict[str, ProcessKind]:
        return {name: kind for name, kind in self.others().items() if self.at[name] in machines}

    def find(self, name: str) -> Any:
        drain, leave = Called(lambda: self._drain(name)), Called(lambda: self._move(name))
        return type("Handle", (), {"drain": drain, "move_away": leave})

    async def _drain(self, name: str) -> int:
        self.said.append(f"{name} is flushed")
        return 0

    async def _move(self, name: str) -> None:
        self.said.append(f"{name} leaves")
        self.at[name] = next(each.id for each in self.there if not each.leaving)
        raise ActorDiedError

    def end(self, name: str = "directory") -> None:
        self.said.append(f"{name} ends")
        self.at.pop(name, None)

    # As the world:

    async def machines(self) -> list[Machine]:
        if self.away:
            raise RuntimeError("Ray's head does not answer")
        return list(self.there)

    async def aside(self, work: Callable[[], Any]) -> Any:
        return work()

    def machine(self) -> str:
        return self.own

    async def has_system(self) -> bool:
        return self.ours

    # For the tests:

    @contextmanager
    def kept(self) -> Iterator[None]:
        """While the keeper looks."""
        keeping = asyncio.ensure_future(self.keeper.keep())
        try:
            yield
        finally:
            keeping.cancel()

    def leaves(self, machine: Machine) -> None:
        """Somebody says that a machine is about to go."""
        self.there[self.there.index(machine)] = replace(machine, leaving=True)


def gateways(*machines: Machine) -> dict[str, str]:
    return {gateway_name(each.id): each.id for each in machines}


@virtual_time
async def test_a_launch_waits_for_the_service_of_each_machine_and_fails_with_one() -> None:
    played = Played(A, B)
    await played.keeper.start()
    assert played.at == gateways(A, B)
    played.refusing.add(gateway_name(B.id))
    with pytest.raises(StartFailed, match="its port is taken"):
        await played.keeper.start()


@virtual_time
async def test_a_machine_that_comes_gets_one_and_that_of_one_which_has_gone_ends() -> None:
    played = Played(A)
    with played.kept():
        await asyncio.sleep(2)
        played.there = [A, B]
        await asyncio.sleep(2)
        assert played.at == gateways(A, B)
        played.there = [B]
        await asyncio.sleep(2)
    assert played.at == gateways(B)


@virtual_time
async def test_what_an_earlier_directory_has_started_for_a_machine_that_has_gone_ends() -> None:
    played = Played(A)
    played.at = gateways(A, C)
    with played.kept():
        await asyncio.sleep(2)
    assert played.at == gateways(A)


@virtual_time
async def test_one_that_does_not_start_is_tried_again() -> None:
    played = Played(A)
    played.refusing.add(gateway_name(A.id))
    with played.kept():
        await asyncio.sleep(3)
        played.refusing.clear()
        await asyncio.sleep(2)
    assert played.at == gateways(A)


@virtual_time
async def test_a_head_of_ray_that_does_not_answer_is_asked_again() -> None:
    played = Played(A)
    played.away = True
    with played.kept():
        await asyncio.sleep(3)
        played.away = False
        await asyncio.sleep(2)
    assert played.at == gateways(A)


@virtual_time
async def test_what_is_on_a_machine_that_is_to_go_is_flushed_first_and_moves_in_order() -> None:
    played = Played(A, B)
    played.at = {"writer": B.id, "bus": B.id, "host-0": B.id, "host-1": A.id, **gateways(A, B)}
    with played.kept():
        await asyncio.sleep(0.5)
        played.leaves(B)
        await asyncio.sleep(2)
    gateway = gateway_name(B.id)
    assert played.said == [
        f"{gateway} is flushed", "host-0 is flushed", "writer is flushed",
        f"{gateway} ends", "host-0 leaves", "writer leaves", "bus leaves",
    ]  # fmt: skip
    assert set(played.at.values()) == {A.id}


@virtual_time
async def test_the_directory_leaves_when_nothing_else_is_on_its_machine_any_more() -> None:
    played = Played(A, B)
    played.at = {"host-0": A.id, **gateways(A, B)}
    with played.kept():
        await asyncio.sleep(0.5)
        played.leaves(A)
        await asyncio.sleep(2)
    assert played.said[-1] == "directory ends"
    assert played.said.index("host-0 leaves") < played.said.index("directory ends")


@pytest.mark.parametrize("bound", [False, True])
@virtual_time
async def test_the_only_machine_is_not_left_nor_one_with_the_log_on_it(bound: bool) -> None:
    played = Played(A, B) if bound else Played(A)
    played.bound = bound
    played.at = {"host-0": A.id, **gateways(*played.there)}
    with played.kept():
        played.leaves(A)
        await asyncio.sleep(3)
    assert played.said == []


@virtual_time
async def test_a_directory_that_has_a_successor_starts_ends_and_moves_nothing() -> None:
    played = Played(A, B)
    played.at = {"host-0": B.id, **gateways(C)}
    played.ours = False
    with played.kept():
        played.leaves(B)
        await asyncio.sleep(3)
    assert played.said == []
    assert played.at == {"host-0": B.id, **gateways(C)}

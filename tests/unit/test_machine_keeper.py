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
from runtime.cluster.system_processes import Found, SystemProcesses
from runtime.errors import StartFailed
from runtime.host.host import Host
from runtime.process.world import World
from runtime.topology.machines import Machine
from runtime.topology.names import ProcessKind, exporter_name, gateway_name, kind_of
from tests.virtual_time import now_s, virtual_time

A, B, C = (Machine(id=letter * 56, labels={"web": "yes"}) for letter in "abc")


class Called:
    """A method of a process, as Ray gives it."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.remote = method


class PlayedProcess:
    """The handle of a process: of whichever incarnation Ray leads to by then."""

    def __init__(self, name: str, played: "Played") -> None:
        self.name, self._played = name, played
        self.ready, self.drain_on = Called(self._ready), Called(self._drain_on)
        self.rested = Called(self._rested)
        self.move_away = Called(self._move_away)

    async def _rested(self, wait: bool) -> bool:
        return False

    async def _ready(self) -> str:
        """It starts where it is to run, once there is such a machine."""
        played = self._played
        if self.name in played.refusing:
            raise StartFailed(self.name, "its port is taken")
        machine = played.at.get(self.name) or played.pinned[self.name]
        played.asked(self.name)
        if machine not in {each.id for each in played.there}:
            await asyncio.get_running_loop().create_future()  # Ray waits for it for ever
        played.at[self.name] = machine
        return self.name

    async def _drain_on(self, machine: str) -> int:
        played = self._played
        if played.at[self.name] != machine:
            return 0
        played.say(f"{self.name} is flushed")
        if self.name in played.never_flushed:
            await asyncio.get_running_loop().create_future()
        played.flushed(self.name)
        return 0

    async def _move_away(self, machine: str) -> None:
        played = self._played
        if self.name in played.hanging:
            await asyncio.get_running_loop().create_future()
        if played.at[self.name] == machine:
            played.say(f"{self.name} leaves")
            played.at[self.name] = played.elsewhere(self.name)
            raise ActorDiedError


class Played:
    """The processes of a system, on machines; and the Ray that starts them.

    More than fifteen fields: each is one thing that a test says of the world of one keeper.
    """

    def __init__(self, *machines: Machine) -> None:
        self.there = list(machines)
        self.at: dict[str, str] = {}  #: by name: the machine; "" while there is none for it
        self.pinned: dict[str, str] = {}  #: services that were started: where alone they run
        self.said: list[str] = []
        self.when: dict[str, float] = {}  #: of what was said
        self.refusing: set[str] = set()  #: gateways that do not start
        self.never_flushed: set[str] = set()
        self.hanging: set[str] = set()  #: processes that hear nothing
        self.needs: dict[str, dict[str, str]] = {}  #: by the name of a process: labels for it
        self.with_core = False  #: is there a gateway with the core?
        self.own = A.id  #: where the directory is
        self.away = False  #: Ray's head
        self.ours = True  #: no successor has the system
        self.bound = False  #: the log could move along
        self.asked: Callable[[str], None] = lambda name: None  #: hears who is to start
        self.flushed: Callable[[str], None] = lambda name: None  #: hears who was
        processes = cast(SystemProcesses, self)
        self.keeper = MachineKeeper(
            processes, cast(World, self), has_system=self.has_system, bound=lambda: self.bound
        )

    # As the processes:

    def services(self, machines: Iterable[Machine]) -> Mapping[str, Service]:
        stay = [each for each in machines if not each.leaving]
        found = {gateway_name(): Service(Host)} if self.with_core else {}
        for label, name in (("web", gateway_name), ("shown", exporter_name)):
            theirs = (each.id for each in stay if label in each.labels)
            found |= {name(each): Service(Host, each) for each in theirs}
        return found

    def start_service(self, name: str, service: Service) -> Any:
        self.pinned[name] = service.machine
        return PlayedProcess(name, self)

    def others(self) -> dict[str, ProcessKind]:
        kinds = {name: kind_of(name, {}) for name in self.at}
        return {name: kind for name, kind in kinds.items() if kind is not None}

    async def on_machine(self, machine: str, limit_s: float) -> dict[str, Found]:
        return {
            name: Found(kind, PlayedProcess(name, self))
            for name, kind in self.others().items()
            if self.at[name] == machine and name not in self.hanging
        }

    def labels(self, name: str) -> Mapping[str, str]:
        return self.needs.get(name, {})

    async def kill(self, handle: PlayedProcess) -> None:
        self.end(handle.name)

    def end(self, name: str = "directory") -> None:
        self.say(f"{name} ends")
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

    def leaves(self, machine: Machine, in_s: float = 20.0) -> None:
        """Somebody says that a machine is about to go."""
        goes_s = now_s() + in_s

        async def going() -> None:
            while self.there[number].id == machine.id and (left_s := goes_s - now_s()) > 0:
                self.there[number] = replace(machine, leaving=True, goes_in_s=left_s)
                await asyncio.sleep(0.5)

        number = self.there.index(machine)
        self.there[number] = replace(machine, leaving=True, goes_in_s=in_s)
        self.going = asyncio.ensure_future(going())

    def say(self, what: str) -> None:
        self.said.append(what)
        self.when[what] = now_s()

    def elsewhere(self, name: str) -> str:
        """Where Ray starts a process that has left its machine."""
        stay = (each.id for each in self.there if not each.leaving and each.has(self.labels(name)))
        return next(stay, "")


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


@virtual_time
async def test_whatever_flushing_takes_all_have_left_when_the_machine_goes() -> None:
    played = Played(A, B)
    played.at = {"writer": B.id, "host-0": B.id, **gateways(A, B)}
    played.never_flushed = set(played.at)
    played.own = B.id
    with played.kept():
        played.leaves(B, in_s=20)
        await asyncio.sleep(20)
    assert set(played.at.values()) == {A.id}
    assert "writer is flushed" in played.said
    assert played.said[-1] == "directory ends"


@virtual_time
async def test_a_successor_that_is_on_another_machine_by_then_is_neither_flushed_nor_ended() -> (
    None
):
    played = Played(A, B, replace(C, labels={}))
    played.at = {"writer": B.id, "host-0": B.id}

    def crash(name: str) -> None:
        played.at |= {"host-0": C.id, "writer": C.id}

    played.flushed = crash
    with played.kept():
        played.leaves(B)
        await asyncio.sleep(20)
    assert played.said == ["host-0 is flushed"]
    assert played.at == {"host-0": C.id, "writer": C.id, **gateways(A)}


@virtual_time
async def test_nobody_ends_when_a_successor_of_the_directory_came_while_they_were_flushed() -> None:
    played = Played(A, B)
    played.at = {"host-0": B.id, **gateways(A, B)}

    def succeeded(name: str) -> None:
        played.ours = False

    played.flushed = succeeded
    with played.kept():
        played.leaves(B)
        await asyncio.sleep(20)
    assert played.at == {"host-0": B.id, **gateways(A, B)}


@virtual_time
async def test_one_that_hangs_keeps_no_other_one_on_the_machine() -> None:
    played = Played(A, B)
    played.at = {"writer": B.id, "host-0": B.id, "host-1": B.id, **gateways(A)}

    def hang(name: str) -> None:
        played.hanging = {"host-0"}

    played.flushed = hang
    with played.kept():
        played.leaves(B)
        await asyncio.sleep(20)
    assert played.at == {"writer": A.id, "host-0": B.id, "host-1": A.id, **gateways(A)}


@virtual_time
async def test_two_machines_that_go_are_left_side_by_side() -> None:
    played = Played(A, B, C)
    played.at = {"host-0": B.id, "host-1": C.id, **gateways(A)}
    played.never_flushed = {"host-0"}
    with played.kept():
        played.leaves(B)
        await asyncio.sleep(2)
        played.leaves(C)
        await asyncio.sleep(2)
        assert played.at["host-1"] == A.id
        assert played.at["host-0"] == B.id


@pytest.mark.parametrize("name", ["host-0", "writer", "bus", "gateway-0", "directory"])
@virtual_time
async def test_what_has_nowhere_to_go_serves_until_its_machine_is_about_to_end(name: str) -> None:
    """Others of the system stay where they are."""
    played = Played(replace(A, labels={}), replace(B, labels={"role": "it"}))
    played.needs = {name: {"role": "it"}}
    played.with_core = name == gateway_name()
    played.at = {"host-1": A.id} | ({} if name == "directory" else {name: B.id})
    played.own = B.id if name == "directory" else A.id
    with played.kept():
        played.leaves(played.there[1], in_s=60)
        await asyncio.sleep(49)
        assert played.said == []
        await asyncio.sleep(9)
    assert played.said[-1] == f"{name} {'ends' if name == 'directory' else 'leaves'}"
    assert (f"{name} is flushed" in played.said) == (name not in ("bus", "directory"))
    assert played.at["host-1"] == A.id


@virtual_time
async def test_what_has_nowhere_to_go_leaves_at_once_when_there_is_a_machine_for_it() -> None:
    played = Played(replace(A, labels={}), replace(B, labels={"role": "it"}))
    played.needs = {"host-0": {"role": "it"}}
    played.at = {"host-0": B.id}
    with played.kept():
        played.leaves(played.there[1], in_s=60)
        await asyncio.sleep(10)
        played.there.append(replace(C, labels={"role": "it"}))
        await asyncio.sleep(2)
    assert played.at == {"host-0": C.id}


@virtual_time
async def test_a_gateway_serves_on_where_no_other_one_stays() -> None:
    played = Played(replace(A, labels={}), B)
    played.at = gateways(B)
    with played.kept():
        played.leaves(B, in_s=60)
        await asyncio.sleep(49)
        assert played.said == []
        await asyncio.sleep(9)
    gateway = gateway_name(B.id)
    assert played.said == [f"{gateway} is flushed", f"{gateway} ends"]


@virtual_time
async def test_an_exporter_serves_until_the_others_of_its_machine_have_left() -> None:
    labels = {"role": "it", "shown": "yes"}
    played = Played(replace(A, labels={"shown": "yes"}), replace(B, labels=labels))
    exporter = exporter_name(B.id)
    played.needs = {"host-0": {"role": "it"}}
    played.at = {"host-0": B.id, "host-1": B.id, exporter: B.id}
    with played.kept():
        played.leaves(played.there[1], in_s=60)
        await asyncio.sleep(49)
        assert played.said == ["host-1 is flushed", "host-1 leaves"]
        await asyncio.sleep(9)
    assert played.said[2:] == ["host-0 is flushed", "host-0 leaves", f"{exporter} ends"]


@virtual_time
async def test_a_launch_does_not_wait_for_the_service_of_a_machine_that_goes_meanwhile() -> None:
    played = Played(A, B)

    def gone(name: str) -> None:
        played.there = [A]

    played.asked = gone
    async with asyncio.timeout(30):
        await played.keeper.start()
    assert played.at == gateways(A)
    assert played.said == [f"{gateway_name(B.id)} ends"]


@virtual_time
async def test_where_all_machines_go_all_serve_on_and_leave_in_their_last_seconds() -> None:
    played = Played(A)
    played.at = {"host-0": A.id, **gateways(A)}
    with played.kept():
        played.leaves(A, in_s=30)
        await asyncio.sleep(20)
        assert played.said == []
        await asyncio.sleep(9)
    assert played.said[-1] == "directory ends"
    assert "host-0 is flushed" in played.said


@virtual_time
async def test_a_machine_is_not_left_that_has_the_log_on_it() -> None:
    played = Played(A, B)
    played.bound = True
    played.at = {"host-0": A.id, **gateways(A, B)}
    with played.kept():
        played.leaves(A)
        await asyncio.sleep(20)
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

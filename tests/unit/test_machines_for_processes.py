"""Hosts are spread over machines; with its own PostgreSQL a system is where that is."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from runtime.cluster.embedded_database import with_database
from runtime.cluster.system_processes import SystemProcesses
from runtime.errors import LaunchFailed
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.machines import Machine
from tests.virtual_time import virtual_time

HERE = Machine(id="a" * 56, labels={"role": "core"})
ELSEWHERE = Machine(id="b" * 56, labels={"role": "host"})
LABELS = {"role": "host"}


class Started:
    """A handle of a process that is ready at once."""

    def __init__(self) -> None:
        self.ready = self

    async def remote(self) -> str:
        """Ready."""
        return "it"


class Played:
    """Two machines, and which processes are to run on one of them alone."""

    def __init__(self) -> None:
        self.only: dict[str, str] = {}
        self.prefers: dict[str, str] = {}
        self.actors = self

    def spawn(
        self, kind: type, settings: Settings, name: str, *more: Any, machine: str, prefers: str
    ) -> Any:
        """As Ray's."""
        self.only[name], self.prefers[name] = machine, prefers
        return Started()

    def machine(self) -> str:
        """Of the directory."""
        return HERE.id

    async def machines(self) -> list[Machine]:
        """Both."""
        return [HERE, ELSEWHERE]


def settings_of(*url: str, **actor_system: Any) -> Settings:
    store = {"connection_string": "".join(url)}
    gateway = {"labels": LABELS}
    return Settings.load(
        environ={}, event_store=store, gateway=gateway, actor_system={"hosts": 1, **actor_system}
    )


def processes_of(settings: Settings, played: Played) -> SystemProcesses:
    return SystemProcesses("directory", lambda: settings, cast(World, played), None)


async def started(settings: Settings) -> Mapping[str, str]:
    """By name: where alone a process is to run."""
    played = Played()
    await processes_of(settings, played).start(lambda progress: None)
    return played.only


@pytest.mark.parametrize("there", [False, True], ids=["to-be-started", "there"])
@virtual_time
async def test_with_an_embedded_database_all_run_where_the_directory_is(there: bool) -> None:
    settings = settings_of()
    if there:
        settings = with_database(settings, "postgresql://it@127.0.0.1:1/it")
    assert await started(settings) == dict.fromkeys(("writer", "bus", "host-0"), HERE.id)


@virtual_time
async def test_with_a_database_that_all_reach_they_run_anywhere() -> None:
    settings = settings_of("postgresql://it@192.0.2.1/it")
    assert await started(settings) == dict.fromkeys(("writer", "bus", "host-0"), "")


@pytest.mark.parametrize(
    ("labels", "machines"), [({}, [HERE, ELSEWHERE] * 2), (LABELS, [None] * 4)], ids=["any", "one"]
)
@virtual_time
async def test_hosts_are_spread_over_the_machines_that_are_for_them(
    labels: dict[str, str], machines: list[Machine | None]
) -> None:
    settings = settings_of("postgresql://it@192.0.2.1/it", hosts=4, host_labels=labels)
    played = Played()
    await processes_of(settings, played).start(lambda progress: None)
    prefers = [played.prefers[f"host-{number}"] for number in range(4)]
    assert prefers == [each.id if each else "" for each in machines]
    assert {played.prefers[name] for name in ("writer", "bus")} == {""}


@pytest.mark.parametrize(("url", "gateways"), [("", 0), ("postgresql://it@192.0.2.1/it", 1)])
def test_no_gateway_is_on_a_machine_from_which_it_would_not_reach_the_database(
    url: str, gateways: int
) -> None:
    processes = processes_of(settings_of(url), Played())
    assert len(processes.services([HERE, ELSEWHERE])) == gateways


@pytest.mark.parametrize("labels", ["host_labels", "core_labels"])
@virtual_time
async def test_labels_of_another_machine_are_refused_with_what_to_do(labels: str) -> None:
    with pytest.raises(LaunchFailed, match=rf"{labels} asks for another machine.*DATABASE_URL"):
        await started(settings_of(**{labels: LABELS}))


@virtual_time
async def test_labels_of_the_machine_that_it_is_on_are_fine() -> None:
    both = {"host_labels": dict(HERE.labels), "core_labels": dict(HERE.labels)}
    assert set((await started(settings_of(**both))).values()) == {HERE.id}

"""With an embedded PostgreSQL the directory is on one machine for good: where the data is."""

from typing import Any

import pytest

from runtime.cluster import launching
from runtime.settings.settings import Settings
from runtime.topology.machines import Machine

CORE = {"role": "core"}


class Played:
    """A Ray that is told on which machine alone it is to start a directory."""

    def __init__(self, *labels: dict[str, str]) -> None:
        self.machines = [Machine(id=f"m{n}", labels=each) for n, each in enumerate(labels)]
        self.only: list[str] = []

    def __call__(self, namespace: str) -> "Played":
        return self

    def spawn(self, *_: Any, machine: str) -> Any:
        """As that of RayActors."""
        self.only.append(machine)


def where(
    monkeypatch: pytest.MonkeyPatch, here: str, played: Played, core: dict[str, str], url: str = ""
) -> str:
    """The machine that a directory is pinned to which is launched `here`."""
    monkeypatch.setattr(launching, "RayActors", played)
    monkeypatch.setattr(launching, "this_machine", lambda: here)
    monkeypatch.setattr(launching, "machines_of_ray", lambda: played.machines)
    settings = Settings.load(
        environ={},
        event_store={"connection_string": url},
        actor_system={"core_labels": core},
    )
    launching._ensure_directory(settings)
    return played.only[-1]


@pytest.mark.parametrize(
    ("here", "expected"), [("m0", "m0"), ("m1", "m1"), ("m2", "m0")], ids=["first", "other", "none"]
)
def test_of_several_machines_for_the_core_it_has_one_and_stays_there(
    monkeypatch: pytest.MonkeyPatch, here: str, expected: str
) -> None:
    assert where(monkeypatch, here, Played(CORE, CORE, {}), CORE) == expected


def test_without_labels_it_is_where_it_is_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    assert where(monkeypatch, "m1", Played({}, {}), {}) == "m1"


def test_where_no_machine_has_the_labels_yet_ray_waits_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert where(monkeypatch, "m0", Played({}, {}), CORE) == ""


def test_with_a_database_that_all_reach_any_machine_for_the_core_will_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "postgresql://it@192.0.2.1/it"
    assert where(monkeypatch, "m0", Played(CORE, CORE), CORE, url) == ""

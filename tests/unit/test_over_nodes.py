"""Where the nodes of `make run --nodes` are, and what their system is told."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from jobs import over_nodes
from jobs.command_line import console
from jobs.over_nodes import OverNodes
from runtime.settings.settings import Settings

EMBEDDED = "postgresql://thornback:secret@127.0.0.1:20001/thornback"
RELAYED = "postgresql://thornback:secret@10.213.0.1:40001/thornback"
ELSEWHERE = Settings.load(environ={"DATABASE_URL": "postgresql://a@nowhere/b"})
OWN = Settings.load(environ={})


class Stage:
    """A machine on which nothing is started, and what would have been."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, why: str | None = None) -> None:
        self.did: list[str] = []
        self.said = ""

        def relay(address: str, url: str) -> Any:
            assert url == EMBEDDED
            self.did.append(f"relay at {address}")
            return SimpleNamespace(url=RELAYED, close=lambda: self.did.append("relay closed"))

        def printed(text: str) -> None:
            self.said += text

        def stopped(_: Settings) -> Sequence[str]:
            self.did.append("database stopped")
            return ["it did not stop"]

        for name, value in {
            "start_ray": self._start_ray,
            "end_ray": lambda: self.did.append("ray ended"),
            "joined_node": lambda: "head",
            "impossible": lambda: why,
            "NodeNetwork": lambda: SimpleNamespace(address="10.213.0.1"),
            "Relay": relay,
            "EmbeddedPostgres": lambda _: SimpleNamespace(start=lambda: EMBEDDED),
            "database_stopped": stopped,
        }.items():
            monkeypatch.setattr(over_nodes, name, value)
        monkeypatch.setattr(console, "print", printed)

    def _start_ray(self, nodes: int = 1, *, network: Any = None) -> Sequence[Any]:
        self.did.append(f"{nodes} nodes{' apart' if network else ''}")
        return [SimpleNamespace(id=f"node-{number}") for number in range(1, nodes)]


def test_one_node_is_started_as_it_always_was(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    over = OverNodes(OWN, 1, namespaces=True)

    assert over.start() is OWN
    assert list(over.end()) == []
    assert (stage.did, stage.said) == (["1 nodes", "ray ended"], "")


def test_several_have_namespaces_and_a_way_to_the_embedded_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch)
    over = OverNodes(OWN, 3, namespaces=True)

    settings = over.start()

    assert settings.event_store.connection_string.get_secret_value() == RELAYED
    assert settings.actor_system.hosts == 3
    assert [node.id for node in over.nodes] == ["node-1", "node-2"]
    assert "in a network namespace, but for the first: head, node-1, node-2;" in stage.said
    assert list(over.end()) == ["it did not stop"]
    assert stage.did == [
        "relay at 10.213.0.1", "3 nodes apart", "ray ended", "relay closed", "database stopped",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "namespaces", "why", "said"),
    [
        (OWN, False, None, "on loopback of this machine: head"),
        (OWN, True, "only root", "on loopback of this machine (only root): head"),
        (ELSEWHERE, True, None, "(the database of the settings is beyond namespaces): head"),
    ],
)
def test_on_loopback_it_is_said_why(
    settings: Settings,
    namespaces: bool,
    why: str | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, why)

    over = OverNodes(settings, 3, namespaces=namespaces)

    url = over.start().event_store.connection_string.get_secret_value()
    assert url == (EMBEDDED if settings is OWN else "postgresql://a@nowhere/b")
    assert said in stage.said
    assert stage.did == ["3 nodes"]


def test_several_nodes_have_a_host_each(monkeypatch: pytest.MonkeyPatch) -> None:
    Stage(monkeypatch)

    assert OverNodes(ELSEWHERE, 3, namespaces=True).start().actor_system.hosts == 3
    hosts = ELSEWHERE.actor_system.hosts
    assert OverNodes(ELSEWHERE, 2, namespaces=True).start().actor_system.hosts == hosts

"""A node that is killed in the middle of a replay: which one, when, and what is told of it."""

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from jobs.run import _parsed
from jobs.striking import Strike, Struck, show
from runtime.driver.ref import ActorRef
from runtime.errors import HostUnavailable
from runtime.topology.names import kind_of
from runtime.topology.status import ProcessAway, ProcessStatus, Status


class Nodes:
    """A head and two more, with processes that are somewhere else once their node was killed."""

    def __init__(self, **where: str) -> None:
        self.where = where
        self.killed: list[str] = []
        self.comes_back = True

    def node(self, name: str) -> Any:
        return SimpleNamespace(
            id=name, kill=lambda: self.kill(name), known_alive=lambda: name not in self.killed
        )

    def kill(self, name: str) -> int:
        self.killed.append(name)
        for process in [each for each, node in self.where.items() if node == name]:
            self.where[process] = "head" if self.comes_back else ""
        return 7

    def statuses(self) -> list[Status]:
        return [_status(name.replace("_", "-"), node) for name, node in self.where.items()]

    def actor(self, host: str, asked: list[str]) -> ActorRef[Any]:
        state = SimpleNamespace(result=lambda timeout_s: asked.append(host))
        found = SimpleNamespace(channel=SimpleNamespace(host=host), state=lambda: state)
        return cast(ActorRef[Any], found)


def _status(name: str, node: str) -> Status:
    kind = kind_of(name, {})
    assert kind is not None
    if not node:
        return ProcessAway(name=name, kind=kind, reason="killed")
    return ProcessStatus(
        name=name, kind=kind, node="", machine=node, restarted=False, pid=1, up_s=1.0, rss_bytes=0,
        private_bytes=0, trouble=None, facts=None,
    )  # fmt: skip


def _strike(
    nodes: Nodes, actors: Callable[[], list[ActorRef[Any]]] = list, patience_s: float = 0.5
) -> Strike:
    further = [nodes.node("one"), nodes.node("other")]
    return Strike(further, nodes.statuses, actors, patience_s)


def test_a_node_with_hosts_is_killed_at_half_and_once() -> None:
    nodes = Nodes(directory="head", writer="one", host_0="head", host_1="other")
    strike = _strike(nodes)
    strike(49, 100)
    assert nodes.killed == []
    for answered in (50, 60, 100):
        strike(answered, 100)
    came = strike.outcome()
    assert nodes.killed == ["other"]
    assert (came.node, came.lost, came.at, came.killed) == ("other", ["host-1"], 50, 7)
    assert came.back == {"host-1": "head"}
    assert came.holds


def test_an_actor_of_each_host_that_was_killed_is_asked() -> None:
    nodes = Nodes(host_0="other", host_1="other", host_2="one")
    asked: list[str] = []
    actors = [nodes.actor(host, asked) for host in ("host-1", "host-2", "host-0", "host-1")]
    strike = _strike(nodes, lambda: actors)
    strike(1, 1)
    assert strike.outcome().answered_s is not None
    assert asked == ["host-1", "host-0"]


def test_an_actor_whose_host_is_still_away_is_asked_again() -> None:
    nodes = Nodes(host_0="head", host_1="one")
    away = [HostUnavailable("host-1", "it has ended"), HostUnavailable("host-1", "not yet")]

    def state(timeout_s: float) -> None:
        if away:
            raise away.pop()

    found = SimpleNamespace(
        channel=SimpleNamespace(host="host-1"), state=lambda: SimpleNamespace(result=state)
    )
    strike = _strike(nodes, lambda: [cast(ActorRef[Any], found)], patience_s=60.0)
    strike(1, 1)
    assert strike.outcome().holds
    assert away == []


def test_an_actor_that_never_answers_is_told() -> None:
    nodes = Nodes(host_0="head", host_1="one")

    def state(timeout_s: float) -> None:
        raise HostUnavailable("host-1", "it has ended")

    found = SimpleNamespace(
        channel=SimpleNamespace(host="host-1"), state=lambda: SimpleNamespace(result=state)
    )
    strike = _strike(nodes, lambda: [cast(ActorRef[Any], found)])
    strike(1, 1)
    assert "FAILS  one was struck: host-1 is not available" in _shown(strike.outcome())


def test_whoever_is_not_back_is_a_failure() -> None:
    nodes = Nodes(host_0="head", host_1="one")
    nodes.comes_back = False
    strike = _strike(nodes)
    strike(1, 1)
    came = strike.outcome()
    assert not came.holds
    said = _shown(came)
    assert "FAILS  0 of its 1 processes are back on other nodes" in said
    assert "7 processes with host-1 among them" in said


def test_the_heads_node_is_never_struck() -> None:
    strike = _strike(Nodes(host_0="head", host_1="head", writer="one"))
    strike(1, 1)
    came = strike.outcome()
    assert "FAILS  no node was struck: no node but the head's has a host" in _shown(came)


def test_a_replay_of_nothing_strikes_nobody() -> None:
    assert "there was no command" in _shown(_strike(Nodes(host_0="one")).outcome())


def _shown(came: Struck) -> str:
    file = io.StringIO()
    assert show(Console(file=file, width=200), came) is came.holds
    return file.getvalue()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--strike"], "another one has to be left"),
        (["--nodes", "0"], "1 to 16 nodes, not 0"),
        (["--nodes", "17"], "1 to 16 nodes, not 17"),
        (["--nodes", "two"], "1 to 16 nodes, not two"),
    ],
)
def test_options_that_make_no_sense_are_told(
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["jobs.run", *words])
    with pytest.raises(SystemExit):
        _parsed()
    assert said in capsys.readouterr().err

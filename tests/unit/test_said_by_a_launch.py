"""What a launch says of a system beside its processes: a placement of an actor type that no host
knows, and that there are not as many hosts as the settings say."""

import io

import pytest
from rich.console import Console

from jobs import launch
from runtime.settings.settings import Settings
from runtime.topology.names import ProcessKind
from runtime.topology.status import HostFacts, ProcessAway, ProcessStatus, Status

PLACED = Settings.load(environ={}, actor_system={"placement": {"chargr": "dedicated"}})
AWAY = ProcessAway(name="host-1", kind=ProcessKind.POOLED_HOST, reason="gone")


def host(*actor_types: str, name: str = "host-0") -> Status:
    """One that knows these types."""
    facts = HostFacts(
        residents=0, evicted=0, unanswered=0, commands=0, actor_types=actor_types, code=(),
        source=None,
    )  # fmt: skip
    return ProcessStatus(
        name=name, kind=ProcessKind.POOLED_HOST, node="node-001.host-0", machine="", pid=1,
        up_s=1.0, restarted=False, rss_bytes=1, private_bytes=1, trouble=None, facts=facts,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ((host("charger", "counter"), AWAY), "did you mean 'charger'?"),
        ((host("thermostat"),), "'chargr', of which no host has a class yet: it counts"),
        ((host("chargr"),), ""),
        ((AWAY,), ""),
    ],
)
def test_a_placed_type_that_no_host_knows_is_said(
    statuses: tuple[Status, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = io.StringIO()
    monkeypatch.setattr(launch, "problems", Console(file=heard, soft_wrap=True))
    launch.say_unknown_placements(PLACED, statuses)
    assert said in heard.getvalue()
    assert bool(said) == bool(heard.getvalue())


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        (
            1,
            "2 pooled hosts run, and actor_system.hosts says 1: `thornback scale` has changed that",
        ),
        (2, ""),
        (3, "`thornback scale --hosts 3` makes it 3 again"),
    ],
)
def test_that_a_system_was_scaled_is_said(
    hosts: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = io.StringIO()
    monkeypatch.setattr(launch, "problems", Console(file=heard, soft_wrap=True))
    promoted = ProcessAway(name="promoted-7", kind=ProcessKind.PROMOTED_HOST, reason="gone")
    settings = Settings.load(environ={}, actor_system={"hosts": hosts})
    launch.say_scaled(settings, (host(), AWAY, promoted))
    assert said in heard.getvalue()
    assert bool(said) == bool(heard.getvalue())

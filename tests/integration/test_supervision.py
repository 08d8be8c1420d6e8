"""Supervision on real Ray and PostgreSQL: a stop outlives its host, and so does a start."""

from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from actors.supervision import RestartPolicy, Supervision
from runtime.errors import ActorRestarting, ActorStopped, HandlerFailed
from runtime.system import ActorSystem
from tests.integration.devices import Add, Counter, Fail, Spoil
from tests.integration.systems import LIMIT_S, Launcher, assert_log_is_whole, back, eventually, kill

pytestmark = pytest.mark.integration


class Fuse(Counter):
    """Stops at its first failure."""

    actor_type: ClassVar[str] = "fuse"
    supervision = Supervision(strategy="stop")


class Spring(Counter):
    """Rests for a moment, once."""

    actor_type: ClassVar[str] = "spring"
    supervision = Supervision(policy=RestartPolicy(intensity=1, period_s=60.0, backoff_s=0.5))


@pytest.fixture(scope="module")
def system(cluster: None, new_database: Callable[[], str]) -> Iterator[ActorSystem]:
    """One host, so that who has an actor is known. Each test has actors of its own."""
    launch = Launcher(new_database)
    yield launch(actor_system={"hosts": 1})
    launch.drain_all()


def test_a_stopped_actor_stays_stopped_when_its_host_is_killed_until_it_is_started(
    system: ActorSystem,
) -> None:
    fuse, other = system.actor(Fuse, "a"), system.actor(Fuse, "b")
    fuse.ask(Add(amount=3)).result(timeout_s=LIMIT_S)
    with pytest.raises(HandlerFailed, match=r"\(stop\)"):
        fuse.ask(Spoil()).result(timeout_s=LIMIT_S)
    back(system, "host-0", kill(system, "host-0"))
    with pytest.raises(ActorStopped, match="fuse/a was stopped, because it failed"):
        fuse.ask(Add()).result(timeout_s=LIMIT_S)
    assert other.ask(Add()).result(timeout_s=LIMIT_S)[0].version == 1
    [started] = system.start(fuse, reason="it was mended").result(timeout_s=LIMIT_S)
    assert (started.event_type, started.version) == ("actor-started", 3)
    back(system, "host-0", kill(system, "host-0"))
    assert fuse.ask(Add()).result(timeout_s=LIMIT_S)[0].version == 4
    assert fuse.state().result(timeout_s=LIMIT_S).total == 4
    past = system.state_as_of(fuse, position=started.position).result(timeout_s=LIMIT_S)
    assert past.total == 3
    assert_log_is_whole(system)


def test_an_actor_rests_and_is_stopped_at_its_limit(system: ActorSystem) -> None:
    spring = system.actor(Spring, "a")
    with pytest.raises(HandlerFailed, match=r"\(restart\)"):
        spring.ask(Fail()).result(timeout_s=LIMIT_S)
    with pytest.raises(ActorRestarting):
        spring.ask(Add()).result(timeout_s=LIMIT_S)
    eventually(lambda: _takes_commands(system.actor(Spring, "a")))
    with pytest.raises(HandlerFailed, match=r"\(stop\)"):
        spring.ask(Fail()).result(timeout_s=LIMIT_S)
    with pytest.raises(ActorStopped):
        spring.ask(Add()).result(timeout_s=LIMIT_S)
    assert_log_is_whole(system)


def _takes_commands(spring: object) -> bool:
    try:
        spring.ask(Add()).result(timeout_s=LIMIT_S)  # type: ignore[attr-defined]
    except ActorRestarting:
        return False
    return True

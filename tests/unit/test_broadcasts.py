"""One message for all actors of a type, in a whole system inside this process."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from actors.actor import Command
from runtime.driver import broadcasting
from runtime.errors import InvalidMessage
from runtime.system import ActorSystem
from tests.unit.chargers import Charger, Plug
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


class Unknown(Command):
    pass


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[ActorSystem]:
    """One whose hosts keep three actors, and whose log is asked for four at a time."""
    monkeypatch.setattr(broadcasting, "PAGE", 4)
    settings = small_settings({"actor_system": {"hosts": 2, "max_actors": 3}}, type="memory")
    with InProcessSystem(settings) as system:
        yield system


def plugged(system: ActorSystem, *names: str) -> None:
    for name in names:
        system.actor(Charger, name).ask(Plug()).result()


def version_of(system: ActorSystem, name: str) -> int | None:
    return system.actor(Charger, name).ask(Plug()).result()[0].version


def test_it_reaches_every_actor_of_the_type_that_the_log_knows(system: ActorSystem) -> None:
    names = [f"c-{number}" for number in range(9)]
    plugged(system, *names)
    result = system.broadcast(Plug(), Charger)
    assert (result.commands, result.events, result.failed) == (9, 9, 0)
    assert [version_of(system, name) for name in names] == [3] * 9
    assert system.broadcast(Plug(), "charger").commands == 9


def test_a_repeat_reaches_those_who_have_come_since_and_nobody_twice(system: ActorSystem) -> None:
    own = uuid4()
    plugged(system, "a", "b")
    assert system.broadcast(Plug(), Charger, id=own).events == 2
    plugged(system, "c")
    again = system.broadcast(Plug(), Charger, id=own)
    assert (again.commands, again.events, again.repeats) == (3, 1, 2)


def test_of_a_type_that_the_log_does_not_know_there_is_nobody(system: ActorSystem) -> None:
    assert system.broadcast(Plug(), Charger).commands == 0


def test_what_the_type_does_not_handle_is_said_at_the_call(system: ActorSystem) -> None:
    with pytest.raises(InvalidMessage, match=r"charger does not handle it: it handles"):
        system.broadcast(Unknown(), Charger)
    with pytest.raises(InvalidMessage, match="a UUID or 16 bytes"):
        system.broadcast(Plug(), Charger, id="one")  # type: ignore[arg-type]

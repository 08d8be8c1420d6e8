"""A subscription that waits for what cannot come says so at once."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from actors.event import Event
from runtime.system import ActorSystem
from tests.unit.chargers import Charger, Plug, Plugged
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


@pytest.fixture(scope="module")
def system() -> Iterator[ActorSystem]:
    """A system in this process; what is wrong with a call is told before it travels."""
    with InProcessSystem(small_settings({}, type="memory")) as system:
        yield system


def test_a_subscription_to_an_event_type_that_nobody_knows_says_so(
    system: ActorSystem, caplog: pytest.LogCaptureFixture
) -> None:
    system.actor(Charger, "b").ask(Plug()).result()
    with caplog.at_level(logging.WARNING), system.subscribe(["pluged", "plugged", "plug*"]):
        pass  # it was said before anybody could begin to wait
    assert "waits for 'pluged'" in caplog.text
    assert "did you mean 'plugged'?" in caplog.text
    assert "waits for 'plugged'" not in caplog.text
    with system.subscribe("charger/b", after=0):
        assert "waits for 'charger/b'" in caplog.text
    assert "a source is named so: sources='charger/b'" in caplog.text


def test_a_subscription_to_devices_of_a_type_that_nobody_knows_says_so(
    system: ActorSystem, caplog: pytest.LogCaptureFixture
) -> None:
    event = Event.of(Plugged(), source="meters/of-nobody", id=uuid4(), timestamp=datetime.now(UTC))
    system.publish(event).result()
    wanted = ["chargr/b", "b-7", "meters/*", "charger/*", "*/b", "Meters/*"]
    with caplog.at_level(logging.WARNING), system.subscribe(sources=wanted):
        pass  # it was said before anybody could begin to wait
    assert "waits for events of 'chargr/b', and nothing of the type 'chargr'" in caplog.text
    assert "did you mean 'charger'?" in caplog.text
    assert caplog.text.count("waits for events of") == 1


def test_a_subscription_after_a_position_beyond_the_log_says_where_that_ends(
    system: ActorSystem, caplog: pytest.LogCaptureFixture
) -> None:
    [event] = system.actor(Charger, "beyond").ask(Plug()).result()
    ends = event.position or 0
    with caplog.at_level(logging.WARNING), system.subscribe(after=ends):
        assert "the log ends at" not in caplog.text
    with caplog.at_level(logging.WARNING), system.subscribe(after=ends + 1):
        pass
    said = f"begins after position {ends + 1}, and the log ends at {ends}: nothing comes before"
    assert caplog.text.count(said) == 1

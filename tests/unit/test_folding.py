"""What hosts, states of the past, indexes and checks have of an actor's past in common."""

from dataclasses import dataclass

import pytest

from actors.actor import Actor, applies, described
from actors.event import DeviceEvent
from actors.folding import Unapplied, applier_of, apply_past, begun
from actors.lifecycle import ERASED
from actors.timer_events import TIMER_TYPES


class Lit(DeviceEvent):
    event_type = "lit"
    watts: int


class Dimmed(DeviceEvent):
    event_type = "dimmed"


@dataclass
class Burning:
    watts: int = 0
    since_us: int = 0


class Lamp(Actor[Burning]):
    ignores = (Dimmed,)

    @applies
    def lit(self, event: Lit) -> None:
        self.state.watts, self.state.since_us = event.watts, self.at_us


def test_an_event_is_applied_at_its_own_moment() -> None:
    lamp = begun(described(Lamp), "lamp/a/b")
    assert (lamp.name, lamp.state) == ("a/b", Burning())
    applier = applier_of(described(Lamp), "lit")
    assert applier is not None
    apply_past(applier, lamp, applier.schema.read_stored(b'{"watts": 7}', 1), 5_000_000)
    assert lamp.state == Burning(watts=7, since_us=5_000_000)


@pytest.mark.parametrize("event_type", ["dimmed", ERASED, *sorted(TIMER_TYPES)])
def test_what_a_class_ignores_and_what_all_classes_have_changes_no_state(event_type: str) -> None:
    assert applier_of(described(Lamp), event_type) is None


def test_an_event_that_is_neither_applied_nor_ignored_says_what_to_do() -> None:
    with pytest.raises(Unapplied, match=r"^'broken', which nothing applies: .* ignores = \('brok"):
        applier_of(described(Lamp), "broken")

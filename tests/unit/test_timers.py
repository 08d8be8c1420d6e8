"""Timers of one actor: what may be yielded, what is pending, and whose turn it is."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from actors.actor import Actor, applies, handles
from actors.command import Command
from actors.errors import InvalidActor, InvalidName, Rejected
from actors.event import DeviceEvent, Payload
from actors.lifecycle import ActorWasStarted, ActorWasStopped
from actors.moments import EPOCH
from actors.packed_timers import Pending, all_packed, pack_all
from actors.pending_timers import (
    Turn,
    all_pending,
    decode_pending,
    encode_pending,
    fold_stored_timer,
    turn_of,
)
from actors.timer_events import TimerCancelled, TimerFired, TimerSet, TimerSkipped
from actors.timers import MAX_KEY, Cancel, Schedule
from store.errors import InvalidData
from store.rows.tells import check_yielded
from store.rows.timers import stored_schedule
from store.scenario import Scenario

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
ID, OTHER = bytes(range(16)), bytes(16)


class Wind(Command):
    """Yields a timer."""

    after_s: float | None = 1.0
    at: datetime | None = None
    every_s: float | None = None
    missed: str = "once"
    key: str = "k"
    number: int = 0


class Unwind(Command):
    key: str = "k"


class Ring(Command):
    number: int = 0


class Odd(Command):
    number: int


class Wound(DeviceEvent):
    pass


class Rang(DeviceEvent):
    number: int


class Clock(Actor[dict[str, int]]):
    """Rings."""

    state_type = dict
    ignores = (Wound,)

    @handles
    def wind(self, message: Wind) -> Iterator[Payload | Schedule]:
        yield Wound()
        yield Schedule(
            after=message.after_s,
            at=message.at,
            every=message.every_s,
            missed=message.missed,  # type: ignore[arg-type]
            key=message.key,
            message=Ring(number=message.number),
        )

    @handles
    def unwind(self, message: Unwind) -> Iterator[Cancel]:
        yield Cancel(message.key)

    @handles
    def ring(self, message: Ring) -> Iterator[Rang]:
        if message.number == 13:
            raise Rejected("not this one")
        yield Rang(number=message.number)

    @applies
    def rang(self, event: Rang) -> None:
        self.state["rang"] = self.state.get("rang", 0) + 1


class Counts(Clock):
    """Applies what timers do."""

    @applies
    def fired(self, event: TimerFired) -> None:
        self.state["fired"] = event.occurrence

    @applies
    def cancelled(self, event: TimerCancelled) -> None:
        self.state["cancelled"] = self.state.get("cancelled", 0) + 1


def schedule(**said: Any) -> Schedule:
    usual: dict[str, Any] = {"message": Ring(), "key": "k", "after": 1}
    return Schedule(**usual | said)


@pytest.mark.parametrize(
    ("said", "error", "why"),
    [
        ({"message": Rang(number=1)}, TypeError, "a Schedule carries a Command"),
        ({"after": None}, ValueError, "after or at"),
        ({"at": NOON}, ValueError, "after or at"),
        ({"after": -1}, ValueError, "after is at least 0, and no more"),
        (
            {"after": None, "at": 1_796_068_697},
            TypeError,
            "at is an aware datetime, not 1796068697",
        ),
        ({"after": float("nan")}, ValueError, "timedelta or seconds"),
        ({"after": "1"}, TypeError, "a timedelta or a number"),
        ({"after": True}, TypeError, "a timedelta or a number"),
        ({"after": timedelta.max}, ValueError, "no more than calendars have"),
        ({"after": 1e30}, ValueError, "no more than calendars have"),
        ({"after": None, "at": NOON.replace(tzinfo=None)}, ValueError, "no time zone"),
        ({"every": 0}, ValueError, "every is at least a millisecond"),
        ({"every": 1, "missed": "later"}, ValueError, "missed is"),
        ({"missed": "skip"}, ValueError, "about a timer with every"),
        ({"key": ""}, ValueError, "one line"),
        ({"key": "a\nb"}, ValueError, "one line"),
        ({"key": "x" * (MAX_KEY + 1)}, ValueError, "one line"),
        ({"key": 7}, TypeError, "a text"),
    ],
)
def test_what_is_no_timer_is_refused_where_it_is_made(
    said: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        schedule(**said)
    if "key" in said:
        with pytest.raises(error, match=why):
            Cancel(said["key"])


def test_the_event_of_a_timer_is_what_its_class_makes_of_it() -> None:
    text, event = stored_schedule(Clock.described(), schedule(every=2, missed="all"), ID, 5)
    assert TimerSet.model_validate_json(text) == event
    assert event == TimerSet.model_construct(**event.model_dump())
    assert repr(event) == repr(TimerSet.model_validate(event.model_dump()))


def test_timers_are_values() -> None:
    assert schedule() == schedule() != schedule(after=2)
    assert len({schedule(), schedule(), schedule(key="other")}) == 2
    assert Cancel("k") == Cancel("k") != Cancel("j")
    assert "'k'" in repr(schedule())
    assert "'k'" in repr(Cancel("k"))


def test_a_timer_fires_at_its_time_with_the_moment_of_that() -> None:
    clock = Scenario(Clock).when(Wind(after_s=10, number=3), at=NOON)
    clock.then(Wound(), schedule(after=10, message=Ring(number=3)))
    assert clock.timers == {"k": NOON + timedelta(seconds=10)}
    clock.advance(9.999999).then()
    clock.advance(0.000001).then(Rang(number=3))
    clock.advance(1000).then()
    assert clock.state == {"rang": 1}
    assert clock.timers == {}


def test_a_key_that_is_set_anew_is_another_timer() -> None:
    clock = Scenario(Clock).when(Wind(after_s=1, number=1)).when(Wind(after_s=5, number=2))
    clock.when(Wind(after_s=3, key="other", number=3))
    clock.advance(10).then(Rang(number=3), Rang(number=2))


def test_what_is_cancelled_does_not_fire() -> None:
    clock = Scenario(Clock).when(Wind()).when(Unwind()).then(Cancel("k")).advance(10).then()
    clock.when(Unwind(key="never was")).then(Cancel("never was"))


def test_a_moment_may_have_passed() -> None:
    clock = Scenario(Clock).when(Wind(after_s=None, at=EPOCH), at=NOON)
    clock.advance(0).then(Rang(number=0))


def test_every_counts_from_the_first_time_and_not_from_when_it_fired() -> None:
    clock = Scenario(Clock).when(Wind(after_s=1, every_s=2))
    clock.advance(7).then(*[Rang(number=0)] * 4)
    assert clock.timers == {"k": EPOCH + timedelta(seconds=9)}


@pytest.mark.parametrize(("missed", "rings"), [("once", 1), ("all", 4), ("skip", 0)])
def test_what_was_missed_fires_as_the_timer_says(missed: str, rings: int) -> None:
    clock = Scenario(Clock).when(Wind(after_s=1, every_s=2, missed=missed))
    clock.advance(7.5, down=True).then(*[Rang(number=0)] * rings)
    assert clock.timers == {"k": EPOCH + timedelta(seconds=9)}
    clock.advance(1.5).then(Rang(number=0))


def test_a_single_timer_fires_however_late() -> None:
    Scenario(Clock).when(Wind()).advance(1e6, down=True).then(Rang(number=0))


def test_one_that_is_a_little_late_has_missed_nothing() -> None:
    every = Pending(ID, 1_000, 4, every_us=100, missed="skip")
    assert turn_of(every, 1_099) == Turn(True, 0, 1_100)
    assert turn_of(every, 1_100) == Turn(False, 2, 1_200)
    assert turn_of(every._replace(missed="once"), 1_100) == Turn(True, 1, 1_200)
    assert turn_of(every._replace(missed="all"), 9_999) == Turn(True, 0, 1_100)
    assert turn_of(Pending(ID, 1_000), 10**15) == Turn(True, 0, None)


def test_a_timer_that_is_rejected_has_fired() -> None:
    clock = Scenario(Clock).when(Wind(number=13)).advance(1).then_rejected("not this one")
    assert clock.timers == {}
    clock.when(Wind(number=13, every_s=1))
    with pytest.raises(AssertionError, match="not this one"):
        clock.advance(5)


def test_a_command_does_not_overtake_a_timer() -> None:
    clock = Scenario(Clock).when(Wind(after_s=10), at=NOON)
    clock.when(Wind(after_s=1, key="other"), at=NOON + timedelta(seconds=10))
    with pytest.raises(AssertionError, match="the timer 'k' is due before"):
        clock.when(Wind(), at=NOON + timedelta(seconds=10, microseconds=1))


@pytest.mark.parametrize(
    ("by", "error", "why"),
    [
        (-1, ValueError, "what time is advanced by is at least 0"),
        (timedelta(seconds=-1), ValueError, "what time is advanced by is at least 0"),
        (float("nan"), ValueError, "is a timedelta or seconds, not nan"),
        (float("inf"), ValueError, "is a timedelta or seconds, not inf"),
        ("60", TypeError, "is a timedelta or a number of seconds, not '60'"),
        (True, TypeError, "is a timedelta or a number of seconds, not True"),
        (None, TypeError, "is a timedelta or a number of seconds, not None"),
        (timedelta(days=366 * 9_000), ValueError, "no calendar has the moment"),
    ],
)
def test_time_is_advanced_by_what_is_a_span(by: Any, error: type[Exception], why: str) -> None:
    clock = Scenario(Clock).when(Wind(after_s=1))
    with pytest.raises(error, match=why):
        clock.advance(by)
    clock.advance(0).then()
    assert clock.timers == {"k": EPOCH + timedelta(seconds=1)}


def test_the_timers_of_an_actor_that_is_stopped_wait_until_it_is_started() -> None:
    clock = Scenario(Clock).when(Wind(after_s=1, every_s=1, number=3))
    clock.given(ActorWasStopped(reason="it failed"))
    clock.advance(2.5).then()
    clock.given(ActorWasStarted()).advance(0).then(Rang(number=3))
    assert clock.timers == {"k": EPOCH + timedelta(seconds=3)}


def test_a_cancel_of_no_timer_is_yielded_and_comes_to_nothing() -> None:
    clock = Scenario(Counts).when(Unwind()).then(Cancel("k"))
    assert clock.state == {}
    clock.when(Wind(after_s=1)).when(Unwind()).then(Cancel("k"))
    assert clock.state["cancelled"] == 1
    clock.when(Unwind()).then(Cancel("k"))
    assert clock.state["cancelled"] == 1


def test_an_actor_may_apply_what_timers_do() -> None:
    clock = Scenario(Counts).when(Wind(after_s=1, every_s=1)).advance(3)
    assert clock.state == {"rang": 3, "fired": 2}


class Wrong(Clock):
    """Yields what it may not."""

    @handles
    def odd(self, message: Odd) -> Iterator[Any]:
        if message.number == 0:
            yield Schedule(after=1, message=NotHandled(), key="k")
        elif message.number == 1:
            yield TimerFired(key="k", timer="t", occurrence=0, due_us=0)
        elif message.number == 2:
            yield Schedule(after=1, message=WithFloat(value=float("nan")), key="k")
        else:
            yield Schedule(after=timedelta(days=366 * 9_000), message=Ring(), key="k")

    @handles
    def take(self, message: "WithFloat") -> Iterator[Rang]:
        yield Rang(number=1)


class NotHandled(Command):
    pass


class WithFloat(Command):
    value: float


@pytest.mark.parametrize(
    ("number", "error", "why"),
    [
        (0, TypeError, "wrong does not handle NotHandled: it handles odd, ring"),
        (1, TypeError, "a handler yields no TimerFired: yield a Schedule"),
        (2, InvalidData, "timer-set"),
        (3, ValueError, "no calendar"),
    ],
)
def test_what_no_actor_may_yield_is_refused(number: int, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        Scenario(Wrong).when(Odd(number=number))


def test_pending_timers_are_told_as_they_were_and_old_ones_without_every() -> None:
    pending = {"k": Pending(ID, 5, 2, 7, "skip"), "ö": Pending(OTHER, 6)}
    packed = pack_all(pending)
    assert packed is not None
    text = encode_pending(packed)
    assert text.startswith(b'{"k":["%s",5,2,7,"skip"],' % str(UUID(bytes=ID)).encode())
    assert b"\n" not in text
    read = decode_pending(text)
    assert read is not None
    assert all_packed(read) == pending


def test_events_of_a_user_under_these_names_are_none_of_ours() -> None:
    actor = Clock("a")
    for text in (
        b'{"minutes": 5}',
        b'{"key": "k", "timer": "5", "due_us": 9}',
        b'{"key": "k", "timer": "%s", "due_us": 9223372036854775808}' % b"00" * 16,
        b'{"key": "k", "timer": "%s", "due_us": 9, "missed": "oops"}' % b"00" * 16,
    ):
        fold_stored_timer(actor, "timer-set", text)
        assert actor._pending_timers is None
    timer = str(UUID(bytes=ID))
    data = TimerSet(key="k", timer=timer, due_us=9, message_type="ring", message={})
    fold_stored_timer(actor, "timer-set", data.model_dump_json().encode())
    assert all_pending(actor) == {"k": Pending(ID, 9)}
    other = str(UUID(bytes=OTHER))
    skipped = TimerSkipped(key="k", timer=other, occurrence=0, due_us=9, missed=1, next_us=10)
    fold_stored_timer(actor, "timer-skipped", skipped.model_dump_json().encode())
    assert all_pending(actor) == {"k": Pending(ID, 9)}
    fired = TimerFired(key="k", timer=timer, occurrence=0, due_us=9)
    fold_stored_timer(actor, "timer-fired", fired.model_dump_json().encode())
    assert actor._pending_timers is None


def test_no_other_event_has_the_name_of_one_of_timers_whatever_its_kind() -> None:
    class TimerCancelled(DeviceEvent):
        """Of an oven, say."""

        key: str

    class Applies(Clock):
        @applies
        def cancelled(self, event: TimerCancelled) -> None:
            self.state["n"] = 0

    class Ignores(Clock):
        ignores = (*Clock.ignores, TimerCancelled)  # type: ignore[assignment]

    class Yields(Clock):
        ignores = (*Clock.ignores, "timer-cancelled")  # type: ignore[assignment]

        @handles
        def odd(self, message: Odd) -> Iterator[TimerCancelled]:
            yield TimerCancelled(key="k")

    for wrong, does in ((Applies, "applies"), (Ignores, "ignores"), (Yields, "yields")):
        with pytest.raises(InvalidActor, match=f"{does} 'timer-cancelled' is what the log says"):
            wrong.described()

    class Hides(Clock):
        @handles
        def odd(self, message: Odd) -> Iterator[Payload]:
            yield TimerCancelled(key="k")

    with pytest.raises(TypeError, match="a handler yields no TimerCancelled"):
        check_yielded(Hides.described(), TimerCancelled(key="k"))


def test_the_name_of_whoever_fires_timers_is_nobody_else_s() -> None:
    with pytest.raises(InvalidName, match="timers fire under this name"):
        type("Ours", (Actor,), {"actor_type": "thornback.timers"})

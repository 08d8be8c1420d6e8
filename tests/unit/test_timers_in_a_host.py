"""What a host does with timers: it holds each firing against what the log says of its actor."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.actor import Actor, applies, handles
from actors.actor_type import ActorType
from actors.command import Command
from actors.errors import Rejected
from actors.event import DeviceEvent, Event, Payload
from actors.messages import Yielded
from actors.naming import aggregate_id_of
from actors.packed_timers import Pending, pack_all
from actors.pending_timers import all_pending
from actors.timer_events import TimerFired
from actors.timers import Cancel, Missed, Schedule
from runtime.host.resident import KnownType, Resident, restore, take_snapshot
from runtime.processing.timekeeping import packed_firing
from runtime.wire.answers import read_events
from runtime.wire.commands import FIRE, Answer, CommandPacker
from runtime.wire.error_codec import decode_error
from runtime.wire.values import unpack_value
from store.event_store import Snapshot
from store.timers import Timer
from tests.unit.hosting import AT_US, Add, Hosting, command

SECOND = 1_000_000


class Wind(Command):
    after_s: float = 1.0
    every_s: float | None = None
    missed: Missed = "once"
    key: str = "k"
    how: str = "ring"


class Unwind(Command):
    pass


class Juggle(Command):
    does: str  #: s: set, c: cancel


class Ring(Command):
    how: str = "ring"


class Wound(DeviceEvent):
    pass


class Rang(DeviceEvent):
    at_us: int


class Cracked(DeviceEvent):
    pass


class Bell(Actor[dict[str, int]]):
    """Rings."""

    state_type = dict
    ignores = (Wound,)

    @handles
    def wind(self, message: Wind) -> Iterator[Payload | Schedule]:
        yield Wound()
        yield Schedule(
            after=message.after_s,
            every=message.every_s,
            missed=message.missed,
            key=message.key,
            message=Ring(how=message.how),
        )

    @handles
    def unwind(self, message: Unwind) -> Iterator[Cancel]:
        yield Cancel("k")

    @handles
    def ring(self, message: Ring) -> Iterator[Payload | Yielded]:
        if message.how == "refuse":
            raise Rejected("no\0 bell")
        yield Rang(at_us=self.at_us)
        if message.how == "break":
            raise RuntimeError("broken")
        if message.how == "spoil":
            yield Cracked()
        if "again" in message.how:
            yield Schedule(after=5, message=Ring(), key="k")
        if "cancel" in message.how:
            yield Cancel("k")

    @handles
    def juggle(self, message: Juggle) -> Iterator[Yielded]:
        for each in message.does:
            yield Schedule(after=5, message=Ring(), key="k") if each == "s" else Cancel("k")

    @applies
    def rang(self, event: Rang) -> None:
        self.state["rang"] = self.state.get("rang", 0) + 1

    @applies
    def cracked(self, event: Cracked) -> None:
        self.state["cracked"] = 1
        raise RuntimeError("cracked")


class Strict(Bell):
    """Fails where it applies what timers do."""

    @applies
    def fired(self, event: TimerFired) -> None:
        raise RuntimeError("not like this")


class Deaf(Actor[dict[str, int]]):
    """Does not know what a bell knew."""

    actor_type = "bell"
    replaces = (Bell.class_name(),)
    state_type = dict
    ignores = (Wound, Rang)


def firing(set_: Event, occurrence: int = 0, **changes: Any) -> list[Any]:
    """The command that a timer fires by, as its host reads it."""
    timer = Timer(
        source=set_.source,
        key=set_.data["key"],
        timer=UUID(set_.data["timer"]).bytes,
        event_id=set_.id.bytes,
        correlation_id=set_.correlation_id.bytes if set_.correlation_id else None,
        occurrence=occurrence,
        due_us=set_.data["due_us"],
        look_us=set_.data["due_us"],
        message_type=set_.data["message_type"],
        message=msgspec.json.encode(set_.data["message"]),
    )._replace(**changes)
    unpacked: list[Any] = msgspec.msgpack.decode(packed_firing(timer, AT_US, CommandPacker()))
    return unpacked


async def begun(actor: type[Actor[Any]] = Bell, **settings: Any) -> Hosting:
    host = await Hosting.begin(**settings)
    host.register(actor)
    return host


async def wound(host: Hosting, source: str = "bell/b", **how: Any) -> Event:
    """A timer is set; the event that says so."""
    return (await host.ask(source, Wind(**how)))[1]


async def fire(host: Hosting, set_: Event, occurrence: int = 0, **changes: Any) -> Answer:
    return await host.deliver(firing(set_, occurrence, **changes))


def types(events: list[Event]) -> list[str]:
    return [event.event_type for event in events]


async def test_a_timer_fires_with_its_events_in_one_append_and_a_repeat_has_the_same() -> None:
    host = await begun()
    set_ = await wound(host)
    assert set_.data["due_us"] == AT_US + SECOND
    host.now_us += SECOND + 7
    before = len(host.appends)
    events = read_events(await fire(host, set_), 0)
    assert types(events) == ["timer-fired", "rang"]
    assert len(host.appends) == before + 1
    assert [event.version for event in events] == [3, 4]
    assert [event.timestamp_us for event in events] == [host.now_us] * 2
    assert events[1].data == {"at_us": host.now_us}
    assert {event.causation_id for event in events} == {set_.id}
    assert {event.correlation_id for event in events} == {set_.correlation_id}
    assert events[0].data == {
        "key": "k", "timer": set_.data["timer"], "occurrence": 0, "due_us": AT_US + SECOND,
        "missed": 0, "next_us": None, "error": None, "reason": None,
    }  # fmt: skip
    again = await fire(host, set_)
    assert again.repeats == {0}
    assert [one.id for one in read_events(again, 0)] == [one.id for one in events]
    assert types(await host.log("bell/b")) == ["wound", "timer-set", "timer-fired", "rang"]


async def test_a_firing_that_its_host_has_forgotten_is_found_in_the_log() -> None:
    host = await begun(recent=1)
    set_ = await wound(host)
    host.now_us += SECOND
    await fire(host, set_)
    for number in range(3):
        await host.ask(f"counter/{number}", Add())
    answer = await fire(host, set_)
    assert answer.repeats == {0}
    assert not answer.errors
    assert len(await host.log("bell/b")) == 4


async def test_what_was_cancelled_or_set_anew_has_no_effect() -> None:
    host = await begun()
    first = await wound(host)
    second = await wound(host, after_s=2)
    host.now_us += 9 * SECOND
    answer = await fire(host, first)
    assert not answer.errors
    assert not answer.total
    await host.ask("bell/b", Unwind())
    answer = await fire(host, second)
    assert not answer.errors
    assert not answer.total
    assert not (await fire(host, second, 1)).total
    assert not (await fire(host, second, timer=bytes(16))).total
    assert "rang" not in types(await host.log("bell/b"))


async def test_a_cancel_of_a_key_that_has_no_timer_says_nothing() -> None:
    host = await begun()
    unwind = command("bell/b", "unwind")
    assert not (await host.deliver(unwind)).total
    set_ = await wound(host)
    assert types(await host.ask("bell/b", Unwind())) == ["timer-cancelled"]
    assert not await host.ask("bell/b", Unwind())
    assert not (await host.deliver(unwind)).total  # a repeat has what it had, although it was set
    assert not (await fire(host, set_)).total
    assert types(await host.log("bell/b")) == ["wound", "timer-set", "timer-cancelled"]


@pytest.mark.parametrize(
    ("does", "events"),
    [
        ("", []),
        ("s", ["timer-set"]),
        ("c", []),
        ("sc", ["timer-set", "timer-cancelled"]),
        ("scc", ["timer-set", "timer-cancelled"]),
        ("csc", ["timer-set", "timer-cancelled"]),
        ("scs", ["timer-set", "timer-cancelled", "timer-set"]),
        ("cc", []),
    ],
)
async def test_a_cancel_is_held_against_what_was_yielded_before_it(
    does: str, events: list[str]
) -> None:
    host = await begun()
    assert types(await host.ask("bell/b", Juggle(does=does))) == events
    if events and events[-1] == "timer-set":
        assert types(await host.ask("bell/b", Juggle(does="cc"))) == ["timer-cancelled"]


@pytest.mark.parametrize(
    ("how", "every_s", "rest"),
    [
        ("cancel", None, []),
        ("cancel", 1, ["timer-cancelled"]),
        ("again, cancel", None, ["timer-set", "timer-cancelled"]),
    ],
)
async def test_a_timer_that_has_fired_for_the_last_time_need_not_be_cancelled(
    how: str, every_s: float | None, rest: list[str]
) -> None:
    host = await begun()
    set_ = await wound(host, how=how, every_s=every_s)
    host.now_us += SECOND
    assert types(read_events(await fire(host, set_), 0)) == ["timer-fired", "rang", *rest]


async def test_what_a_timer_fails_at_is_among_the_failures_of_its_host_once() -> None:
    host = await begun(strategy="resume")
    for how, key in (("break", "b"), ("spoil", "s"), ("refuse", "r")):
        set_ = await wound(host, how=how, key=key)
        host.now_us += SECOND
        for _ in range(2):  # a repeat is none
            await fire(host, set_)
        host.now_us += SECOND
    broken, refused = host.metrics.failures.records()
    told = [
        (one.actor_type, one.message_type, one.name, one.outcome, one.count)
        for one in (broken, refused)
    ]
    assert told == [
        ("bell", "ring", "RuntimeError", "failed", 2),
        ("bell", "ring", "Rejected", "rejected", 1),
    ]
    assert broken.text == "RuntimeError: cracked"
    assert broken.frames[-1].endswith("in cracked")
    assert refused.frames[-1].endswith("in ring")


async def test_a_cancel_in_the_same_batch_comes_first_if_it_stands_first() -> None:
    host = await begun()
    set_ = await wound(host)
    host.now_us += SECOND
    answer = await host.deliver(command("bell/b", Unwind()), firing(set_))
    assert not answer.errors
    assert types(await host.log("bell/b")) == ["wound", "timer-set", "timer-cancelled"]


async def test_nothing_fires_before_its_time_by_the_clock_of_its_host() -> None:
    host = await begun()
    set_ = await wound(host)
    host.now_us += SECOND - 1
    answer = await fire(host, set_)
    assert unpack_value(answer.values[0]) == {"early_us": 1}
    assert not answer.total
    host.now_us += 1
    assert (await fire(host, set_)).total == 2


@pytest.mark.parametrize("data", [None, [], ["k", "t", 0, "ring"], ["k", "t", "0", "ring", b""]])
async def test_what_is_no_firing_is_invalid(data: Any) -> None:
    host = await begun()
    await wound(host)
    answer = await host.deliver(command("bell/b", FIRE, data=data))
    assert answer.errors[0][0] == "InvalidMessage"


async def test_a_timer_whose_message_is_refused_has_fired() -> None:
    host = await begun()
    set_ = await wound(host, how="refuse")
    host.now_us += SECOND
    [event] = read_events(await fire(host, set_), 0)
    assert event.data["error"] == "Rejected"
    assert event.data["reason"] == "no\N{REPLACEMENT CHARACTER} bell"
    assert not (await fire(host, set_, 0, timer=bytes(16))).total


@pytest.mark.parametrize("how", ["break", "spoil"])
@pytest.mark.parametrize("strategy", ["restart", "resume"])
async def test_a_timer_whose_handler_fails_has_fired_and_the_actor_goes_on(
    how: str, strategy: str
) -> None:
    host = await begun(strategy=strategy)
    set_ = await wound(host, how=how, every_s=1)
    host.now_us += SECOND
    [event] = read_events(await fire(host, set_), 0)
    assert event.data["error"] == "HandlerFailed"
    assert event.data["reason"] in ("RuntimeError: broken", "RuntimeError: cracked")
    assert event.data["next_us"] == AT_US + 2 * SECOND
    host.now_us += SECOND
    [event] = read_events(await fire(host, set_, 1), 0)  # it runs on
    assert [one.version for one in await host.log("bell/b")] == [1, 2, 3, 4]
    assert types(await host.ask("bell/b", Wind())) == ["wound", "timer-set"]


async def test_a_timer_of_an_actor_that_is_stopped_is_turned_down() -> None:
    host = await begun(strategy="stop")
    set_ = await wound(host, how="break")
    host.now_us += SECOND
    assert (await fire(host, set_)).total == 1
    other = await fire(host, set_, 1)
    assert other.errors[0][0] == "ActorStopped"


async def test_where_the_actor_fails_at_what_timers_do_nothing_has_happened() -> None:
    host = await begun(Strict)
    set_ = await wound(host, "strict/b")
    host.now_us += SECOND
    answer = await fire(host, set_)
    assert answer.errors[0][0] == "HandlerFailed"
    assert not answer.total
    assert types(await host.log("strict/b")) == ["wound", "timer-set"]


async def test_a_message_that_the_class_does_not_handle_waits() -> None:
    host = await begun()
    set_ = await wound(host)
    host.register(Deaf)
    host.now_us += SECOND
    answer = await fire(host, set_)
    assert isinstance(decode_error(answer.errors[0]), Exception)
    assert answer.errors[0][0] == "UnknownMessage"
    host.register(Bell)
    assert (await fire(host, set_)).total == 2


async def test_a_message_that_fits_no_more_has_fired_with_what_is_wrong() -> None:
    host = await begun()
    set_ = await wound(host)
    host.now_us += SECOND
    [event] = read_events(await fire(host, set_, message=b'{"how": 7}'), 0)
    assert event.data["error"] == "InvalidMessage"


async def test_what_is_missed_is_passed_over_as_the_timer_says() -> None:
    host = await begun()
    once = await wound(host, "bell/once", every_s=1)
    all_ = await wound(host, "bell/all", every_s=1, missed="all")
    skip = await wound(host, "bell/skip", every_s=1, missed="skip")
    host.now_us += int(3.5 * SECOND)
    [fired, rang] = read_events(await fire(host, once), 0)
    assert (fired.data["missed"], fired.data["next_us"]) == (2, AT_US + 4 * SECOND)
    for occurrence in range(3):
        [fired, rang] = read_events(await fire(host, all_, occurrence), 0)
        assert (fired.data["missed"], fired.data["occurrence"]) == (0, occurrence)
    [skipped] = read_events(await fire(host, skip), 0)
    assert skipped.event_type == "timer-skipped"
    assert skipped.data["missed"] == 3
    assert skipped.data["next_us"] == AT_US + 4 * SECOND
    host.now_us += SECOND
    for set_ in (once, all_, skip):
        assert types(read_events(await fire(host, set_, 3), 0)) == ["timer-fired", "rang"]
    assert rang.source == "bell/all"


async def test_pending_timers_outlive_memory_with_snapshots_and_without() -> None:
    host = await begun(capacity=1, frequency=3)
    first = await wound(host)
    second = await wound(host, key="other")  # a snapshot after four events
    for number in range(3):
        await host.ask(f"counter/{number}", Add())
    assert host.residents.get("bell/b") is None
    third = await wound(host, key="third")
    host.now_us += SECOND
    for number in range(3):
        await host.ask(f"counter/{number}", Add())
    assert host.residents.get("bell/b") is None
    for set_ in (first, second, third):
        assert types(read_events(await fire(host, set_), 0)) == ["timer-fired", "rang"]


async def test_pending_timers_keep_no_actor_in_memory() -> None:
    """Ten times as many as may be there, each with timers, which all fire."""
    host = await begun(capacity=20)
    set_ = [await wound(host, f"bell/{number}", key=f"k{number}") for number in range(200)]
    assert len(host.residents) <= 20
    host.now_us += SECOND
    for each in set_:
        assert types(read_events(await fire(host, each), 0)) == ["timer-fired", "rang"]
        assert len(host.residents) <= 20
    assert host.residents.evicted > 300


def resident(actor: type[Actor[Any]] = Bell) -> Resident:
    return Resident("bell/b", KnownType(ActorType(actor)))


def test_a_snapshot_of_before_is_read_and_one_without_timers_says_nothing_of_any() -> None:
    one = resident()
    one.version = 3
    assert take_snapshot(one).data == ActorType(Bell).snapshots.text + b"\n{}"
    one.actor._pending_timers = pack_all({"k": Pending(bytes(16), 5)})
    taken = take_snapshot(one)
    other = resident()
    restore(other, taken)
    assert all_pending(other.actor) == {"k": Pending(bytes(16), 5)}
    assert other.version == 3
    restore(other, Snapshot(aggregate_id=taken.aggregate_id, version=4, data=b'1\n{"rang": 2}'))
    assert other.actor._pending_timers is None
    assert other.actor.state == {"rang": 2}


def test_a_snapshot_whose_timers_cannot_be_read_is_ignored() -> None:
    other = resident()
    key = aggregate_id_of("bell/b").bytes
    restore(other, Snapshot(aggregate_id=key, version=4, data=b"1 {]\n{}"))
    assert other.version == 0

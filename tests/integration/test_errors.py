"""What can go wrong with one command: each is one typed, clear error, and nobody else's."""

import math
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from actors.actor import Command
from actors.errors import Rejected
from actors.ids import uuid_of
from runtime.clocks import now_us
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply
from runtime.errors import (
    ActorStopped,
    AskTimeout,
    HandlerFailed,
    HostUnavailable,
    InvalidMessage,
    MailboxFull,
    SystemNotFound,
    UnknownActorType,
    UnknownMessage,
)
from runtime.system import ActorSystem
from runtime.wire.answers import read_events
from store.errors import InvalidData
from tests.integration.devices import (
    Add,
    Beacon,
    Burst,
    Claim,
    Counter,
    CounterState,
    Fail,
    Measure,
    Note,
    Spoil,
    Unhandled,
)
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    eventually,
    host_of,
    pids_of,
    stored,
    url_of,
    writes_held_up,
)

pytestmark = pytest.mark.integration

MIB = 1024 * 1024


@pytest.fixture
def counter(system: ActorSystem) -> ActorRef[CounterState]:
    """A counter that no other test speaks to; it counts three already."""
    ref = system.actor(Counter, uuid4().hex)
    ref.ask(Add(amount=3)).result(timeout_s=LIMIT_S)
    return ref


def ask(ref: ActorRef[Any], message: Command) -> list[Any]:
    return ref.ask(message).result(timeout_s=LIMIT_S)


def ask_raw(ref: ActorRef[Any], message_type: str, data: object) -> list[Any]:
    """A message as another driver might send it: of any type, with any data."""
    fields = (ref.source, message_type, ref.connection.new_id(), now_us(), data, None, None)
    outgoing, index = ref.add(fields, want_events=True)
    return Reply(outgoing, index, read_events).result(timeout_s=LIMIT_S)


def assert_untouched(counter: ActorRef[CounterState]) -> None:
    """Nothing was stored, and the actor goes on."""
    assert counter.state().result(timeout_s=LIMIT_S).total == 3
    assert ask(counter, Add())[0].version == 2


def test_a_rejected_command_stores_nothing_and_says_why(counter: ActorRef[CounterState]) -> None:
    ask(counter, Claim(owner="me"))
    with pytest.raises(Rejected, match="claimed by me"):
        ask(counter, Claim(owner="you"))
    assert ask(counter, Add())[0].version == 3


def test_a_rejection_stops_no_neighbour_in_the_same_batch(system: ActorSystem) -> None:
    refs = [system.actor(Counter, uuid4().hex) for _ in range(3)]
    replies = [ref.ask(Claim(owner=owner)) for owner in "ab" for ref in refs]
    assert [reply.result(timeout_s=LIMIT_S)[0].version for reply in replies[:3]] == [1, 1, 1]
    for reply in replies[3:]:
        with pytest.raises(Rejected):
            reply.result(timeout_s=LIMIT_S)


def test_an_unknown_actor_type_is_named(system: ActorSystem) -> None:
    with pytest.raises(UnknownActorType, match="'no-such-thing'"):
        ask(system.actor("no-such-thing", "x"), Add())
    with pytest.raises(UnknownActorType, match="'no-such-thing'"):
        system.actor("no-such-thing", "x").state().result(timeout_s=LIMIT_S)


@pytest.mark.parametrize("message_type", ["unhandled", "no-such-message", "", "$what"])
def test_a_message_nobody_handles_is_named_with_those_that_are(
    counter: ActorRef[CounterState], message_type: str
) -> None:
    with pytest.raises(UnknownMessage, match="it handles add, burst, claim") as caught:
        ask_raw(counter, message_type, {})
    assert (caught.value.source, caught.value.message_type) == (counter.source, message_type)
    assert_untouched(counter)


def test_a_command_class_of_another_actor_is_no_message_here(
    counter: ActorRef[CounterState],
) -> None:
    with pytest.raises(UnknownMessage, match="'unhandled'"):
        ask(counter, Unhandled())


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"amount": "many"}, "amount: Input should be a valid integer"),
        ({"amount": 1, "colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"amount": None}, "amount"),
        (None, "add for"),
        ("text", "add for"),
        ([1], "add for"),
    ],
)
def test_data_that_does_not_fit_is_refused_with_the_field_and_the_reason(
    counter: ActorRef[CounterState], data: object, problem: str
) -> None:
    with pytest.raises(InvalidMessage, match=problem):
        ask_raw(counter, "add", data)
    assert_untouched(counter)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (Measure(value=math.nan), "nan is not a JSON number"),
        (Measure(value=math.inf), "inf is not a JSON number"),
        (Measure(value={"deep": [1.0, -math.inf]}), "-inf is not a JSON number"),
        (Measure(value="a\x00b"), "NUL"),
        (Measure(value={"a\x00": 1}), "NUL"),
        (Note(text="a\x00b"), "NUL"),
        (Note(text="x" * (MIB + 1)), "MiB|1,?048,?576"),
    ],
)
def test_data_that_the_log_cannot_hold_is_refused(
    counter: ActorRef[CounterState], message: Command, problem: str
) -> None:
    with pytest.raises(InvalidData, match=problem):
        ask(counter, message)
    assert_untouched(counter)


@pytest.mark.parametrize("value", ["\ud800", object(), {1: [object()]}])
def test_data_that_cannot_even_travel_is_refused_at_the_caller(
    system: ActorSystem, counter: ActorRef[CounterState], value: object
) -> None:
    with pytest.raises(InvalidMessage, match=f"measure for {counter.source}: "):
        counter.ask(Measure(value=value))
    with pytest.raises(InvalidMessage):
        system.tell_many([(counter, Measure(value=value))])
    assert_untouched(counter)


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**64),
        10**40,
        1.5,
        1e300,
        0.1,
        True,
        None,
        [],
        {"a": [{"b": None}]},
        "x" * 1_000_000,
    ],
)
def test_any_json_value_is_kept_as_it_is(counter: ActorRef[CounterState], value: object) -> None:
    command = uuid4()
    (event,) = counter.ask(Measure(value=value), id=command).result(timeout_s=LIMIT_S)
    assert event.data == {"value": value}
    assert type(event.data["value"]) is type(value)


def test_keys_that_are_numbers_would_come_back_as_texts_and_are_refused(
    counter: ActorRef[CounterState],
) -> None:
    with pytest.raises(
        InvalidData, match=r"read back as another event: value\.1 does not come back"
    ):
        ask(counter, Measure(value={1: {2.5: "a"}}))
    (event,) = ask(counter, Measure(value={"1": {"2.5": "a"}}))
    assert event.data == {"value": {"1": {"2.5": "a"}}}


def test_a_failed_actor_is_restarted_from_the_log_by_default(system: ActorSystem) -> None:
    failing, other = (system.actor(Counter, uuid4().hex) for _ in range(2))
    ask(failing, Add(amount=3))
    replies = [
        ref.ask(message)
        for ref, message in [
            (other, Add(amount=1)),
            (failing, Add(amount=4)),
            (failing, Fail()),
            (failing, Add(amount=5)),
            (other, Add(amount=1)),
        ]
    ]
    with pytest.raises(HandlerFailed, match=r"ZeroDivisionError: on request \(restart\)") as caught:
        replies[2].result(timeout_s=LIMIT_S)
    assert (caught.value.source, caught.value.message_type) == (failing.source, "fail")
    versions = [
        reply.result(timeout_s=LIMIT_S)[0].version for reply in replies if reply is not replies[2]
    ]
    assert versions == [1, 2, 3, 2]
    assert failing.state().result(timeout_s=LIMIT_S).total == 12
    assert other.state().result(timeout_s=LIMIT_S).total == 2


def test_a_state_that_was_spoilt_while_applying_is_rebuilt(system: ActorSystem) -> None:
    failing = system.actor(Counter, uuid4().hex)
    ask(failing, Add(amount=3))
    with pytest.raises(HandlerFailed, match="half-way"):
        ask(failing, Spoil())
    assert_untouched(failing)


def test_under_resume_a_failed_actor_goes_on_with_the_state_it_had(launch: Launcher) -> None:
    system = launch(actor_system={"supervisor_strategy": "resume", "hosts": 1})
    # What could be half-applied is rebuilt all the same: there is no state to resume with.
    for failure, decision in ((Fail(), "resume"), (Spoil(), "restart")):
        failing = system.actor(Counter, decision)
        ask(failing, Add(amount=3))
        with pytest.raises(HandlerFailed, match=rf"\({decision}\)"):
            ask(failing, failure)
        assert_untouched(failing)
    assert_log_is_whole(system)


def test_under_stop_a_failed_actor_takes_no_more_messages(launch: Launcher) -> None:
    system = launch(actor_system={"supervisor_strategy": "stop", "hosts": 1, "max_actors": 5})
    failing, other = system.actor(Counter, "a"), system.actor(Counter, "b")
    ask(failing, Add(amount=3))
    with pytest.raises(HandlerFailed, match=r"\(stop\)"):
        ask(failing, Fail())
    for _ in system.ask_many((system.actor(Counter, str(n)), Add()) for n in range(50)):
        pass  # it is not forgotten that it was stopped when idle actors leave memory
    with pytest.raises(ActorStopped, match="counter/a"):
        ask(failing, Add())
    with pytest.raises(ActorStopped):
        failing.state().result(timeout_s=LIMIT_S)
    assert ask(other, Add())[0].version == 1
    assert_log_is_whole(system)


def test_a_full_mailbox_is_told_at_once_and_nothing_of_it_was_run(launch: Launcher) -> None:
    system = launch(actor_system={"mailbox_size": 10, "hosts": 1, "actor_timeout_ms": 60_000})
    ref = system.actor(Counter, "a")
    ask(ref, Add())
    with writes_held_up(url_of(system)):
        waiting = ref.ask(Add())
        eventually(lambda: host_of(system, "host-0").unanswered == 1)
        replies = [ref.ask(Add()) for _ in range(50)]
        # More than fit were sent: some hear of it while the others still wait.
        eventually(lambda: any(reply.done() for reply in replies))
        assert not waiting.done()
        told = {_outcome(reply) for reply in replies if reply.done()}
        assert told == {"host-0: its mailbox of 10 commands is full"}
    waiting.result(timeout_s=LIMIT_S)
    run = [_outcome(reply) for reply in replies].count("")
    assert ref.state().result(timeout_s=LIMIT_S).total == 2 + run == stored(system)
    assert_log_is_whole(system)


def _outcome(reply: Reply[Any]) -> str:
    """Why a mailbox turned a command away; nothing if it was run."""
    try:
        reply.result(timeout_s=LIMIT_S)
    except MailboxFull as full:
        return str(full).partition(";")[0]
    return ""


def test_bulk_calls_wait_for_room_in_a_mailbox(launch: Launcher) -> None:
    system = launch(actor_system={"mailbox_size": 50, "hosts": 1})
    refs = [system.actor(Counter, str(number)) for number in range(10)]
    told = system.tell_many((refs[number % 10], Add()) for number in range(20_000))
    assert (told.events, told.failed) == (20_000, 0)
    assert_log_is_whole(system)


def test_an_ask_that_takes_too_long_is_given_up_and_may_take_effect(launch: Launcher) -> None:
    system = launch(actor_system={"actor_timeout_ms": 800})
    ref, other = system.actor(Counter, "a"), system.actor(Counter, "a")
    command = uuid4()
    _retried(ref, Add(), uuid4())
    with writes_held_up(url_of(system)):
        with pytest.raises(AskTimeout, match=r"no answer within 0\.8 s"):
            ref.ask(Add(amount=10), id=command).result()
        # However many are given up, the next one is given up in time, too.
        for _ in range(6):
            with pytest.raises(AskTimeout):
                other.ask(Add(amount=100)).result()
    (event,) = _retried(ref, Add(amount=10), command)
    assert event.version == 2
    assert_log_is_whole(system)


def _retried(ref: ActorRef[Any], message: Command, command: object) -> list[Any]:
    for _ in range(20):
        try:
            return ref.ask(message, id=command).result()  # type: ignore[arg-type]
        except AskTimeout:
            continue
    raise AssertionError("no answer although nothing is held up any more")


def test_a_host_that_hangs_holds_no_caller_beyond_its_timeout_or_patience(
    launch: Launcher, stopped: Callable[[int], None]
) -> None:
    system = launch(actor_system={"actor_timeout_ms": 500, "hosts": 1})
    ref = system.actor(Counter, "a")
    _retried(ref, Add(), uuid4())
    stopped(pids_of(system)["host-0"])
    unknown = system.actor(Beacon, "a")  # whose class the host is not told any more
    replies = [unknown.ask(Add())]
    for _ in range(6):
        with pytest.raises(AskTimeout):
            replies[-1].result()
        replies.append(unknown.ask(Add()))
    told = system.tell_many(((ref, Add()) for _ in range(5000)), patience_s=1.0)
    assert (told.commands, told.failed, told.events) == (5000, 5000, 0)
    assert {type(error) for _, error in told.errors} <= {AskTimeout, HostUnavailable}


def test_a_reply_may_be_waited_for_less_long_than_the_system_does(
    launch: Launcher,
) -> None:
    system = launch()
    ref = system.actor(Counter, "a")
    ref.ask(Add()).result(timeout_s=LIMIT_S)
    with writes_held_up(url_of(system)):
        reply = ref.ask(Add())
        with pytest.raises(AskTimeout, match=r"counter/a: no answer within 0.05 s"):
            reply.result(timeout_s=0.05)
    assert reply.result(timeout_s=LIMIT_S)[0].version == 2


def test_where_nothing_runs_connecting_says_so(cluster: None) -> None:
    with pytest.raises(SystemNotFound, match="nothing-here"):
        ActorSystem.connect("nothing-here")


def test_an_event_id_is_a_uuid_of_its_time(counter: ActorRef[CounterState]) -> None:
    first, second = ask(counter, Burst(count=2))
    assert first.id.version == second.id.version == 7
    assert first.id.bytes[:6] == second.id.bytes[:6]
    assert uuid_of(first.id.bytes) == first.id

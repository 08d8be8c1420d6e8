"""Commands on a running system: what callers are promised when nothing goes wrong."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from actors.actor import Actor
from actors.devices.device_twin import DeviceTwin
from actors.errors import InvalidActor, InvalidName, Rejected
from actors.event import Kind
from actors.ids import event_id
from actors.moments import microseconds
from runtime.cluster.ray_session import way_in
from runtime.driver.bulk import Send
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from tests.integration.devices import Add, Burst, Claim, Counter, CounterState, Note
from tests.integration.systems import LIMIT_S, Launcher, assert_log_is_whole, back, kill, log_of

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
AT = datetime(2013, 1, 1, 10, 15, tzinfo=UTC)


@pytest.fixture
def counter(system: ActorSystem) -> ActorRef[CounterState]:
    """A counter that no other test speaks to."""
    return system.actor(Counter, uuid4().hex)


def versions(system: ActorSystem, source: str) -> list[int]:
    rows = log_of(system, "SELECT version FROM events WHERE source = $1 ORDER BY 1", source)
    return [row[0] for row in rows]


def test_an_ask_is_answered_with_its_events_as_they_stand_in_the_log(
    system: ActorSystem, counter: ActorRef[CounterState]
) -> None:
    command = uuid4()
    correlation, causation = uuid4(), uuid4()
    (event,) = counter.ask(
        Add(amount=3), id=command, at=AT, correlation_id=correlation, causation_id=causation
    ).result(timeout_s=LIMIT_S)
    row = log_of(system, "SELECT * FROM events WHERE source = $1", counter.source)[0]
    assert (event.event_type, event.kind, event.data) == ("added", Kind.DEVICE, {"amount": 3})
    assert (event.source, event.version, event.timestamp) == (counter.source, 1, AT)
    assert event.id == UUID(bytes=event_id(command.bytes, 0)) == row["id"]
    assert (event.correlation_id, event.causation_id) == (correlation, causation)
    assert (event.position, event.recorded_at) == (row["position"], row["recorded_at"])
    assert (event.aggregate_id, event.timestamp) == (row["aggregate_id"], row["timestamp"])


async def test_a_reply_can_be_awaited_and_asked_for_its_result_again(
    counter: ActorRef[CounterState],
) -> None:
    reply = counter.ask(Add(amount=1))
    awaited = await asyncio.wait_for(asyncio.ensure_future(_value(reply)), LIMIT_S)
    assert reply.done()
    assert reply.result() == awaited == await reply


async def _value(reply: object) -> object:
    return await reply  # type: ignore[misc]


async def test_concurrent_asks_of_one_actor_run_one_after_another_in_their_order(
    counter: ActorRef[CounterState],
) -> None:
    replies = [counter.ask(Add(amount=number)) for number in range(500)]
    events = [event for reply in replies for event in await reply]
    assert [event.version for event in events] == list(range(1, 501))
    assert [event.data["amount"] for event in events] == list(range(500))


def test_the_state_shows_everything_that_was_told_before(counter: ActorRef[CounterState]) -> None:
    for _ in range(50):
        counter.tell(Add(amount=2))
    state = counter.state().result(timeout_s=LIMIT_S)
    assert isinstance(state, CounterState)
    assert state.total == 100


def test_the_state_by_type_name_comes_as_plain_values(
    system: ActorSystem, counter: ActorRef[CounterState]
) -> None:
    counter.ask(Note(text="x")).result(timeout_s=LIMIT_S)
    unknown = system.actor("counter", counter.name)
    assert unknown.state().result(timeout_s=LIMIT_S) == {"total": 0, "notes": 1, "owner": ""}


def test_flush_returns_the_failures_of_tells_once(
    system: ActorSystem, counter: ActorRef[CounterState]
) -> None:
    system.flush().result()
    for owner in ("first", "second", "third"):
        counter.tell(Claim(owner=owner))
    failures = system.flush().result()
    assert [(source, str(error)) for source, error in failures] == [
        (counter.source, "claimed by first")
    ] * 2
    assert all(isinstance(error, Rejected) for _, error in failures)
    assert system.flush().result() == []
    assert versions(system, counter.source) == [1]  # durable by the time flush returned


def test_ask_many_yields_the_replies_in_the_order_of_the_items(system: ActorSystem) -> None:
    refs = [system.actor(Counter, uuid4().hex) for _ in range(20)]
    items = ((refs[number % 20], Add(amount=number)) for number in range(5_000))
    replies = system.ask_many(items, ahead=300)
    amounts = []
    for reply in replies:
        assert reply.done()
        amounts += [event.data["amount"] for event in reply.result()]
    assert amounts == list(range(5_000))


def test_ask_many_reads_no_further_ahead_than_it_may(system: ActorSystem) -> None:
    read = 0

    def endless() -> Iterator[tuple[ActorRef[CounterState], Add]]:
        nonlocal read
        ref = system.actor(Counter, uuid4().hex)
        while True:
            read += 1
            yield ref, Add()

    replies = system.ask_many(endless(), ahead=100)
    for _ in range(50):
        next(replies).result()
    assert read <= 150


def test_tell_many_counts_and_a_second_run_changes_nothing(system: ActorSystem) -> None:
    refs = [system.actor(Counter, uuid4().hex) for _ in range(10)]
    sends = [
        Send(ref, message, uuid4(), AT)
        for ref in refs
        for message in (Add(amount=1), Burst(count=3), Claim(owner="a"), Claim(owner="b"))
    ]
    seen: list[int] = []
    first = system.tell_many(sends, progress=lambda told: seen.append(told.commands))
    assert (first.commands, first.events, first.repeats, first.failed) == (40, 50, 0, 10)
    assert {str(error) for _, error in first.errors} == {"claimed by a"}
    assert seen[-1] == 40
    before = log_of(system, "SELECT count(*), max(position) FROM events")
    second = system.tell_many(sends)
    assert (second.commands, second.events, second.repeats, second.failed) == (40, 0, 30, 10)
    assert log_of(system, "SELECT count(*), max(position) FROM events") == before


def test_a_send_keeps_its_id_and_its_time_in_either_form(
    system: ActorSystem, counter: ActorRef[CounterState]
) -> None:
    plain, typed = uuid4(), uuid4()
    system.tell_many(
        [
            Send(counter, Add(), plain.bytes, microseconds(AT)),
            Send(counter, Add(), typed, AT),
        ]
    )
    rows = log_of(
        system,
        "SELECT id, timestamp FROM events WHERE source = $1 ORDER BY version",
        counter.source,
    )
    assert [(row["id"].bytes, row["timestamp"]) for row in rows] == [
        (event_id(plain.bytes, 0), AT),
        (event_id(typed.bytes, 0), AT),
    ]


@pytest.mark.parametrize("count", [1, 3, 4, 5, 20, 21])
def test_a_repeated_id_is_answered_with_the_events_of_the_first_run(
    counter: ActorRef[CounterState], count: int
) -> None:
    command = uuid4()
    first = counter.ask(Burst(count=count), id=command).result(timeout_s=LIMIT_S)
    again = counter.ask(Burst(count=count), id=command).result(timeout_s=LIMIT_S)
    assert len(first) == count
    assert again == first
    assert counter.state().result(timeout_s=LIMIT_S).total == count


async def test_a_repeat_in_the_same_batch_takes_effect_once(
    counter: ActorRef[CounterState],
) -> None:
    command = uuid4()
    replies = [counter.ask(Add(amount=5), id=command) for _ in range(3)]
    answers = [await reply for reply in replies]
    assert answers[0] == answers[1] == answers[2]
    assert (await counter.state()).total == 5


def test_a_repeat_is_known_after_the_host_was_killed(launch: Launcher) -> None:
    system = launch(actor_system={"hosts": 1})
    counter = system.actor(Counter, "a")
    add, claim, burst = uuid4(), uuid4(), uuid4()

    def ask_all() -> list[list[object]]:
        return [
            list(counter.ask(message, id=command).result(timeout_s=LIMIT_S))
            for message, command in (
                (Claim(owner="me"), claim),  # the second time the actor would reject it
                (Add(amount=1), add),
                (Burst(count=21), burst),
            )
        ]

    first = ask_all()
    back(system, "host-0", kill(system, "host-0"))
    assert ask_all() == first
    with pytest.raises(Rejected):
        counter.ask(Claim(owner="me")).result(timeout_s=LIMIT_S)
    assert_log_is_whole(system)


def test_a_repeat_of_a_command_that_would_be_rejected_now_is_no_rejection(
    counter: ActorRef[CounterState],
) -> None:
    command = uuid4()
    first = counter.ask(Claim(owner="me"), id=command).result(timeout_s=LIMIT_S)
    assert counter.ask(Claim(owner="me"), id=command).result(timeout_s=LIMIT_S) == first


def test_ten_thousand_events_from_one_command_are_one_whole(
    system: ActorSystem, counter: ActorRef[CounterState]
) -> None:
    events = counter.ask(Burst(count=10_000)).result(timeout_s=LIMIT_S)
    assert [event.version for event in events] == list(range(1, 10_001))
    assert counter.state().result(timeout_s=LIMIT_S).total == 10_000
    assert_log_is_whole(system)


@pytest.mark.parametrize("text", ["", "Zürich ☕ 東京 \U0001f6e9", "\x01\x7f\u2028", '"\\'])
def test_any_text_comes_back_as_it_was(counter: ActorRef[CounterState], text: str) -> None:
    command = uuid4()
    (event,) = counter.ask(Note(text=text), id=command).result(timeout_s=LIMIT_S)
    assert event.data == {"text": text}


def test_a_name_may_hold_slashes_spaces_and_any_letters(system: ActorSystem) -> None:
    ref = system.actor(Counter, f"halle/3 größe {uuid4().hex}")
    (event,) = ref.ask(Add()).result(timeout_s=LIMIT_S)
    assert event.source == ref.source


def test_a_bad_name_or_class_is_refused_before_anything_is_sent(system: ActorSystem) -> None:
    with pytest.raises(InvalidName):
        system.actor(Counter, "")
    with pytest.raises(InvalidName):
        system.actor("Not A Type", "x")
    with pytest.raises(InvalidName):
        system.actor(DeviceTwin, "nul\x00")
    with pytest.raises(InvalidActor):
        system.actor(_Stateless, "x")


class _Stateless(Actor):  # type: ignore[type-arg]  # does not say of what
    pass


DRIVER = """
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent
from runtime.system import ActorSystem

class Push(Command):
    item: str

class Pushed(DeviceEvent):
    item: str

@dataclass
class StackState:
    items: list[str] = field(default_factory=list)
    depth: int = 0

class Stack(Actor[StackState]):
    @handles
    def push(self, message: Push) -> Iterator[Pushed]:
        yield Pushed(item=message.item)

    @applies
    def pushed(self, event: Pushed) -> None:
        self.state.items.append(event.item)
        self.state.depth += 1

with ActorSystem.connect(sys.argv[1]) as system:
    stack = system.actor(Stack, "only")
    for item in sys.argv[2:]:
        stack.ask(Push(item=item)).result(timeout_s=30)
    print(stack.state().result(timeout_s=30))
"""


def test_a_class_of_a_driver_script_runs_in_hosts_that_cannot_import_it(
    launch: Launcher, tmp_path: Path
) -> None:
    system = launch(event_store={"snapshot_frequency": 2})
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)

    def run(*items: str) -> str:
        arguments = [sys.executable, str(script), system.namespace, *items]
        done = subprocess.run(
            arguments,
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "", **way_in()},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    assert run("a", "b") == "StackState(items=['a', 'b'], depth=2)"
    # A second driver brings the class anew: the actor is rebuilt and has lost nothing.
    assert run("c") == "StackState(items=['a', 'b', 'c'], depth=3)"


def test_drivers_that_bring_a_class_disturb_nobody_at_work(launch: Launcher) -> None:
    system = launch(actor_system={"hosts": 1})
    refs = [system.actor(Counter, str(number)) for number in range(20)]
    others = iter(range(1_000_000))

    def another_driver(_: object) -> None:
        if next(others) % 4 == 0:
            with ActorSystem.connect(system.namespace) as other:
                other.actor(Counter, "0").state().result(timeout_s=LIMIT_S)

    told = system.tell_many(
        ((refs[number % 20], Add()) for number in range(30_000)), progress=another_driver
    )
    assert (told.events, told.failed, told.errors) == (30_000, 0, [])
    assert_log_is_whole(system)

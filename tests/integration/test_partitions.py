"""A system of several partitions on real Ray and PostgreSQL: one face, several logs."""

import asyncio
import json
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import uuid4

import click
import pytest

from actors.actor import Actor, handles
from actors.clock import CausalRelation
from actors.command import Command
from actors.event import DeviceEvent, Event, Payload
from actors.messages import RETURNED
from actors.tell import Tell
from actors.timers import Schedule
from jobs.cli import history, state, tail
from runtime.driver.ref import ActorRef
from runtime.errors import LaunchFailed, NotPossible
from runtime.processing.merged_subscription import MergedSubscription
from runtime.system import ActorSystem, PartitionedSystem
from runtime.topology.partitions import partition_of
from streams.handler import Handler
from streams.pipeline import EventPipeline
from tests.integration.devices import Add, Added, Counter
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    eventually,
    kill,
    log_of,
    statuses_of,
    stored,
    url_of,
)
from thornback.testing.databases import query

pytestmark = pytest.mark.integration

COUNT = 40


class Pass(Command):
    """Have the next one count it."""

    to: str


class Passed(DeviceEvent):
    to: str


class Relay(Actor[dict[str, int]]):
    """Sends on what it is sent, to whatever partition that is in."""

    ignores = (Passed,)

    @handles
    def pass_on(self, message: Pass) -> Iterator[Payload | Tell | Schedule]:
        yield Passed(to=message.to)
        yield Tell((Counter, message.to), Add())


@pytest.fixture(scope="module")
def system(cluster: None, new_database: Callable[[], str]) -> Iterator[PartitionedSystem]:
    launcher = Launcher(new_database)
    launched = launcher(actor_system={"hosts": 3}, event_store={"partitions": 2})
    assert isinstance(launched, PartitionedSystem)
    yield launched
    launcher.drain_all()


def named(prefix: str, partition: int, of: str = "counter") -> str:
    """The name of an actor of a partition."""
    names = (f"{prefix}-{number}" for number in range(100))
    return next(each for each in names if partition_of(f"{of}/{each}", 2) == partition)


def taken(events: MergedSubscription, count: int) -> list[Event]:
    return list(islice(events, count))


def counters(system: ActorSystem, prefix: str) -> list[ActorRef[Any]]:
    return [system.actor(Counter, f"{prefix}-{number}") for number in range(COUNT)]


def test_an_actor_is_in_one_partition_and_a_subscription_reads_all(
    system: PartitionedSystem,
) -> None:
    start = system.head().result()
    refs = counters(system, "first")
    for reply in [ref.ask(Add()) for ref in refs]:
        reply.result()
    result = system.tell_many((ref, Add(amount=2)) for ref in refs)
    assert (result.commands, result.failed) == (COUNT, 0)
    assert [ref.state().result().total for ref in refs] == [3] * COUNT

    with system.subscribe(after=start, sources="counter/first-*") as events:
        seen = taken(events, 2 * COUNT)
        assert events.position.reaches(system.head().result())
    assert Tally(event.source for event in seen) == {ref.source: 2 for ref in refs}
    for source in {event.source for event in seen}:
        assert [event.version for event in seen if event.source == source] == [1, 2]
    for number, part in enumerate(system.parts):
        assert_log_is_whole(part)
        theirs = {row["source"] for row in log_of(part, "SELECT source FROM events")}
        assert {partition_of(source, 2) for source in theirs} == {number}
        hosts = [one for one in part.status().result() if one.name.startswith("host-")]
        assert all(one.facts.residents for one in hosts)  # type: ignore[union-attr]


def test_a_reader_goes_on_at_its_positions_and_from_a_moment(system: PartitionedSystem) -> None:
    start, moment = system.head().result(), datetime.now(UTC)
    refs = counters(system, "resumed")
    system.tell_many((ref, Add()) for ref in refs)
    with system.subscribe(after=moment, sources="counter/resumed-*") as events:
        first = taken(events, COUNT // 2)
        position = events.position
    with system.subscribe(after=list(position), sources="counter/resumed-*") as events:
        rest = taken(events, COUNT - len(first))
    assert {event.source for event in [*first, *rest]} == {ref.source for ref in refs}
    assert start.reaches(system.position_at(moment).result())
    with pytest.raises(ValueError, match="of 2 partitions is a list of 2"):
        system.subscribe(after=7)


async def test_a_stream_may_be_awaited(system: PartitionedSystem) -> None:
    async with system.subscribe(after=await system.head(), sources="counter/awaited-*") as events:
        for ref in counters(system, "awaited"):
            ref.tell(Add())
        seen = [await asyncio.wait_for(anext(events), LIMIT_S) for _ in range(COUNT)]
    assert len({event.source for event in seen}) == COUNT


def test_a_durable_subscription_keeps_a_checkpoint_in_each_log(system: PartitionedSystem) -> None:
    name, start = f"durable-{uuid4().hex[:8]}", system.head().result()
    wanted: dict[str, Any] = {"sources": "counter/kept-*", "name": name}
    with system.subscribe(after=start, **wanted) as events:
        system.tell_many((ref, Add()) for ref in counters(system, "kept"))
        first = taken(events, COUNT // 2)
        events.finish()
    with system.subscribe(**wanted) as events:
        rest = taken(events, COUNT - len(first))
        assert events.finish().reaches(start)
        assert events.receipt.count == COUNT
    assert Tally(event.id for event in [*first, *rest]) == Tally(
        {event.id: 1 for event in [*first, *rest]}
    )
    for part in system.parts:
        asked = "SELECT position FROM subscriptions WHERE name = $1"
        assert len(log_of(part, asked, name)) == 1


def test_a_message_goes_to_another_partition_and_its_cause_is_found_there(
    system: PartitionedSystem,
) -> None:
    """G6, across two logs."""
    sender, receiver = named("sender", 0, "relay"), named("receiver", 1)
    [passed] = system.actor(Relay, sender).ask(Pass(to=receiver)).result()[:1]
    counter = system.actor(Counter, receiver)
    eventually(lambda: counter.state().result().total == 1)
    with system.subscribe(after=0, sources=counter.source) as events:
        [added] = taken(events, 1)
    assert passed.relation_to(added) is CausalRelation.HAPPENED_BEFORE
    explained = system.explain(added).result()
    assert [event.source for event in explained.ancestors] == [passed.source]
    sent = explained.ancestors[-1]  # the message: `passed` is of the same command
    assert added.id in {each.id for each in system.explain(sent).result().descendants}
    assert system.explain(sent).result().relation(sent, added) is CausalRelation.HAPPENED_BEFORE
    kept = counter.ask(Add()).result()
    assert added.relation_to(kept[0]) is CausalRelation.HAPPENED_BEFORE


def test_what_a_driver_has_heard_of_one_partition_is_before_what_it_tells_another(
    system: PartitionedSystem,
) -> None:
    [one] = system.actor(Counter, named("heard", 0)).ask(Add()).result()
    [other] = system.actor(Counter, named("heard", 1)).ask(Add()).result()
    assert one.relation_to(other) is CausalRelation.HAPPENED_BEFORE


class Doubled(DeviceEvent):
    amount: int


class Doubling(Handler):
    """Of each count twice as much."""

    event_types = ("added",)
    sources = ("counter/doubled-*",)

    def handle(self, event: Event) -> Sequence[Payload]:
        return [Doubled(amount=2 * event.data["amount"])]


def test_a_handler_runs_in_each_partition_and_its_outputs_stay_beside_their_causes(
    system: PartitionedSystem,
) -> None:
    system.run(Doubling).result(LIMIT_S)
    refs = counters(system, "doubled")
    system.tell_many((ref, Add(amount=3)) for ref in refs)
    with system.subscribe(after=0, event_types="doubled") as events:
        outputs = taken(events, COUNT)
    assert {event.source for event in outputs} == {f"doubling/{ref.source}" for ref in refs}
    for number, part in enumerate(system.parts):
        rows = log_of(part, "SELECT source FROM events WHERE event_type = 'doubled'")
        assert {partition_of(row["source"], 2) for row in rows} == {number}
        assert_log_is_whole(part)
    assert all(one.causation_id for one in outputs)
    cause = system.explain(outputs[0]).result().ancestors[-1]
    assert outputs[0].source == f"doubling/{cause.source}"
    system.stop("doubling").result(LIMIT_S)


def test_actors_are_found_in_all_partitions_in_the_order_of_their_names(
    system: PartitionedSystem,
) -> None:
    refs = counters(system, "found")
    system.tell_many((ref, Add(amount=77)) for ref in refs)
    page = system.find(Counter, total=77, limit=25, timeout_s=LIMIT_S).result(LIMIT_S)
    rest = system.find(Counter, total=77, after=page.next or "", timeout_s=LIMIT_S).result(LIMIT_S)
    assert [ref.name for ref in (*page, *rest)] == sorted(ref.name for ref in refs)
    assert rest.next is None


def test_the_rest_of_the_face(system: PartitionedSystem) -> None:
    ref = system.actor(Counter, named("whole", 1))
    at = ref.ask(Add()).result()[0].position
    ref.ask(Add()).result()
    assert system.state_as_of(ref, position=at).result().total == 1
    assert system.broadcast(Add(), Counter).failed == 0
    assert ref.state().result().total == 3
    system.stop(ref, reason="for a test").result()
    assert system.start(ref).result()
    receipt = system.erase(ref, "for a test").result(LIMIT_S)
    assert receipt.source == ref.source
    event = Event.of(
        Added(amount=1), source=f"outside/{uuid4()}", id=uuid4(), timestamp=datetime.now(UTC)
    )
    [published] = system.publish(event).result()
    assert published.position
    assert system.flush().result() == []
    promoted = system.actor(Counter, named("promoted", 1))
    promoted.ask(Add()).result()
    assert system.promote(promoted).result(LIMIT_S).startswith("promoted-")
    assert promoted.ask(Add()).result()
    system.demote(promoted).result(LIMIT_S)
    shards = system.scale(4).result(LIMIT_S)
    assert shards["host-0"] + shards["host-1"] == 4096
    assert shards["host-0 of partition 1"] + shards["host-1 of partition 1"] == 4096
    assert promoted.state().result().total == 2


def test_what_works_on_one_log_alone_is_refused(system: PartitionedSystem) -> None:
    keyed = EventPipeline("by-amount", "added").key_by(lambda event: str(event.data["amount"]))
    with pytest.raises(NotPossible, match="run it on the whole system"):
        system.parts[1].run(keyed.fold(0, lambda count, _: count + 1).emit("amounts"))
    for refused in (
        lambda: system.move_shards([1], "host-0"),
        lambda: asyncio.run(system.open_store()),
        lambda: system.connection,
    ):
        with pytest.raises(NotPossible, match=r"partition-0 and so on"):
            refused()
    other = system.parts[1].actor(Counter, named("foreign", 0))
    with pytest.raises(NotPossible, match="is of partition 0"):
        other.ask(Add())


def test_commands_look_into_the_partition_of_an_actor_and_into_all_logs(
    system: PartitionedSystem, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (history, state, tail):
        monkeypatch.setattr(module, "connected_by", lambda _: nullcontext(system))

    def rows(command: click.Command, *arguments: str) -> list[dict[str, Any]]:
        code = command.main([*arguments, "--json"], standalone_mode=False)
        assert code == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    sources = [system.actor(Counter, named("told", each)).source for each in range(2)]
    start = datetime.now(UTC).isoformat()
    for source in sources:
        system.actor(Counter, source.partition("/")[2]).ask(Add(amount=5)).result()
    for source in sources:
        assert [each["source"] for each in rows(history.command, source)] == [source]
        assert [each["total"] for each in rows(state.command, source)] == [5]
    for begin in (("--last", "1"), ("--since", start), ("--after", "0"), ()):
        found = rows(tail.command, "--source", "counter/told-*", "--no-follow", *begin)
        assert [each["source"] for each in found] == sources

    followed: list[Any] = []
    monkeypatch.setattr(tail, "print_event", _until(2, followed))
    with pytest.raises(_Enough):
        tail.command.main(["--source", "counter/told-*", "--last", "1"], standalone_mode=False)
    assert sorted(followed) == sorted(sources)
    for following in ((), ("--no-follow",)):
        with pytest.raises(NotPossible, match=r"each of 2 .*--since.*partition-0"):
            tail.command.main(["--after", "5", *following], standalone_mode=False)


class _Enough(Exception):
    """So much was wanted."""


def _until(count: int, found: list[str]) -> Callable[..., None]:
    def take(event: Event, **_: Any) -> None:
        found.append(event.source)
        if len(found) == count:
            raise _Enough

    return take


def test_what_is_given_once_is_meant_for_all_partitions(system: PartitionedSystem) -> None:
    start = system.head().result()
    refs = counters(system, "given")
    system.tell_many((ref, Add(amount=55)) for ref in refs)
    with system.subscribe(
        (each for each in ["added"]), after=start, sources=(ref.source for ref in refs)
    ) as events:
        assert {event.source for event in taken(events, COUNT)} == {ref.source for ref in refs}
        assert events.parts[0].next_now() is events.parts[1].next_now() is None
    names = [refs[0].name, refs[1].name]
    found = system.find(Counter, total__in=(total for total in [55]), limit=100).result(LIMIT_S)
    assert set(names) <= {ref.name for ref in found}


def test_another_number_of_partitions_is_not_taken_for_the_one_that_runs(
    system: PartitionedSystem, launch: Launcher
) -> None:
    sections = {"namespace": system.namespace, "hosts": 4}
    for partitions in (1, 4):
        other = launch.settings(
            actor_system=sections,
            event_store={"partitions": partitions, "connection_string": url_of(system.parts[0])},
        )
        with pytest.raises(LaunchFailed, match="has 2 partitions, and"):
            launch.run(other)
    assert isinstance(ActorSystem.connect(system.namespace), PartitionedSystem)


def test_a_driver_joins_all_of_it_or_one_partition(system: PartitionedSystem) -> None:
    with ActorSystem.connect(system.namespace) as joined:
        assert isinstance(joined, PartitionedSystem)
        ref = joined.actor(Counter, named("joined", 1))
        ref.ask(Add()).result()
    for number in range(2):
        with ActorSystem.connect(f"{system.namespace}.partition-{number}") as single:
            assert not isinstance(single, PartitionedSystem)
            assert url_of(single) == url_of(system.parts[number])


def test_the_number_of_partitions_is_for_ever(launch: Launcher) -> None:
    settings = launch.settings(actor_system={"hosts": 2}, event_store={"partitions": 2})
    url = settings.event_store.connection_string.get_secret_value()
    launch.drain(launch.run(settings))
    query(f"{url}_partition_1", "SELECT 1 FROM log_partition")
    query(url, f'DROP DATABASE "{url.rpartition("/")[2]}_partition_1"')
    with pytest.raises(LaunchFailed, match=r"partition 1: .* is gone: restore it"):
        launch.run(settings)
    ActorSystem.connect(f"{settings.actor_system.namespace}.partition-0").drain().result()
    other = launch.settings(event_store={"connection_string": url})
    with pytest.raises(LaunchFailed, match="the log is partition 0 of 2, and partition 0 of 1"):
        launch.run(other)


def test_messages_for_a_partition_that_has_ended_wait_for_it(launch: Launcher) -> None:
    """And keep no other partition from ending."""
    settings = launch.settings(actor_system={"hosts": 2}, event_store={"partitions": 2})
    system = launch.run(settings)
    assert isinstance(system, PartitionedSystem)
    launch.forget(system)
    sender, receiver = named("sender", 0, "relay"), named("receiver", 1)
    relay = system.parts[0].actor(Relay, sender)
    relay.ask(Pass(to=receiver)).result()
    counter = system.parts[1].actor(Counter, receiver)
    eventually(lambda: counter.state().result().total == 1)
    assert not system.parts[1].drain(timeout_s=LIMIT_S).result().problems
    relay.ask(Pass(to=receiver)).result()
    deliverer = eventually(lambda: statuses_of(system.parts[0]).get("deliverer"))
    eventually(lambda: getattr(statuses_of(system.parts[0])["deliverer"].facts, "waiting", 0))
    assert deliverer is not None
    assert not system.parts[0].drain(timeout_s=LIMIT_S).result().problems
    again = launch.run(settings).actor(Counter, receiver)
    eventually(lambda: again.state().result().total == 2)


def test_a_message_that_had_its_effect_elsewhere_is_not_returned(launch: Launcher) -> None:
    """Its deliverer ends before its checkpoint says so, and its receiver is stopped meanwhile."""
    settings = launch.settings(actor_system={"hosts": 2}, event_store={"partitions": 2})
    system = launch.run(settings)
    sender, receiver = named("sender", 0, "relay"), named("receiver", 1)
    system.actor(Relay, sender).ask(Pass(to=receiver)).result()
    counter = system.actor(Counter, receiver)
    eventually(lambda: counter.state().result().total == 1)
    system.stop(counter).result()
    assert isinstance(system, PartitionedSystem)
    before = stored(system.parts[1])
    launch.drain(system)
    query(url_of(system.parts[0]), "UPDATE subscriptions SET position = 0 WHERE name = 'messages'")
    again = launch.run(settings)
    assert isinstance(again, PartitionedSystem)
    refused = again.actor(Relay, sender).ask(Pass(to=receiver)).result()[-1]  # by now it is
    asked = "SELECT position FROM subscriptions WHERE name = 'messages'"
    eventually(lambda: log_of(again.parts[0], asked)[0][0] >= refused.position)
    asked = "SELECT causation_id FROM events WHERE event_type = $1"
    [returned] = log_of(again.parts[0], asked, RETURNED)
    assert returned["causation_id"] == refused.id  # and not the first one
    assert stored(again.parts[1]) == before


@pytest.mark.chaos
def test_a_partition_survives_the_kills_of_its_processes(system: PartitionedSystem) -> None:
    refs = counters(system, "killed")
    for name in ("writer", "host-0", "bus"):
        before = [stored(part) for part in system.parts]
        kill(system.parts[1], name)
        told = system.tell_many(((ref, Add()) for ref in refs), patience_s=LIMIT_S)
        assert (told.commands, told.failed) == (COUNT, 0), told
        assert sum(map(stored, system.parts)) == sum(before) + COUNT
    assert [ref.state().result(LIMIT_S).total for ref in refs] == [3] * COUNT
    for part in system.parts:
        assert_log_is_whole(part)

"""Explanations: causes and effects by what events name, and how events stand in time."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from actors.clock import CausalRelation, VectorClock
from actors.event import Event
from actors.ids import event_id
from runtime.driver.explaining import SeveralLogs
from runtime.topology.partitions import partition_of
from store.causality import Explanation, explain
from store.errors import UnknownEvent
from store.event_store import EventStore, Found
from store.memory import MemoryEventStore
from tests.contracts.appending import RECORDED_US, Log, made_event


class Story:
    """A log in which commands cause events, and these cause others."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._versions: dict[str, int] = {}

    async def command(
        self, source: str, *, count: int = 1, command: UUID | None = None, **more: Any
    ) -> list[Event]:
        """The events of one command, as a host stamps them."""
        id = command or uuid4()
        named = {"correlation_id": id, "causation_id": id, **more}
        events = [
            made_event(
                source, self._next(source), id=UUID(bytes=event_id(id.bytes, number)), **named
            )
            for number in range(count)
        ]
        return await self.log.append(*events)

    async def caused(self, cause: Event, source: str, **more: Any) -> Event:
        """An event that follows from another, of its correlation."""
        named = {"correlation_id": cause.correlation_id, "causation_id": cause.id, **more}
        [event] = await self.command(source, **named)
        return event

    async def event(self, source: str, **fields: Any) -> Event:
        """An event with exactly these fields."""
        [event] = await self.log.append(made_event(source, self._next(source), **fields))
        return event

    async def explain(self, event: Event | UUID, limit: int = 100) -> Explanation:
        id = event.id if isinstance(event, Event) else event
        return await explain(self.log.store, id, limit)

    def _next(self, source: str) -> int:
        self._versions[source] = self._versions.get(source, 0) + 1
        return self._versions[source]


@pytest.fixture
async def story() -> Story:
    return Story(await Log.open(MemoryEventStore()))


async def test_an_event_that_began_by_itself_has_its_command_as_origin(story: Story) -> None:
    command = uuid4()
    [event] = await story.command("meter/one", command=command)
    await story.command("meter/two")
    found = await story.explain(event)
    assert (found.event, found.ancestors, found.descendants) == (event, (), ())
    assert (found.origin, found.cuts, found.causes) == (command, (), {})
    assert found.correlated == found.events == (event,)


async def test_the_events_of_one_command_are_no_causes_of_one_another(story: Story) -> None:
    command = uuid4()
    events = await story.command("meter/one", count=3, command=command)
    for event in events:
        found = await story.explain(event)
        assert (found.ancestors, found.descendants, found.causes) == ((), (), {})
        assert found.origin == command
        assert found.correlated == tuple(events)


async def test_a_chain_across_actors_is_told_from_its_beginning(story: Story) -> None:
    command = uuid4()
    [first] = await story.command("flight/1", command=command)
    second = await story.caused(first, "airport/jfk")
    third = await story.caused(second, "alarm/jfk")
    beside = await story.caused(first, "airport/lga")
    found = await story.explain(second)
    assert (found.ancestors, found.origin, found.descendants) == ((first,), command, (third,))
    assert found.correlated == (first, second, third, beside)
    assert found.causes == {second.id: first.id, third.id: second.id, beside.id: first.id}
    assert found.effects_of(first) == (second, beside)
    last = await story.explain(third)
    assert (last.ancestors, last.origin) == ((first, second), command)


async def test_what_names_a_command_follows_from_its_first_event(story: Story) -> None:
    command = uuid4()
    first, second = await story.command("flight/1", count=2, command=command)
    effect = await story.caused(first, "airport/jfk", causation_id=command, correlation_id=None)
    assert (await story.explain(effect)).ancestors == (first,)
    assert (await story.explain(first)).descendants == (effect,)
    assert (await story.explain(second)).descendants == ()


async def test_a_command_is_explained_as_its_first_event(story: Story) -> None:
    command = uuid4()
    first, _ = await story.command("flight/1", count=2, command=command)
    assert (await story.explain(command)).event == first


async def test_effects_in_another_correlation_are_found_too(story: Story) -> None:
    [first] = await story.command("flight/1")
    elsewhere = await story.caused(first, "airport/jfk", correlation_id=uuid4())
    further = await story.caused(elsewhere, "alarm/jfk")
    found = await story.explain(first)
    assert found.descendants == (elsewhere, further)
    assert found.correlated == (first,)
    assert (await story.explain(further)).ancestors == (first, elsewhere)


async def test_a_command_that_has_the_id_of_an_event_follows_from_that(story: Story) -> None:
    [first] = await story.command("flight/1")
    [effect] = await story.command("airport/jfk", command=first.id)
    assert effect.causation_id == effect.correlation_id == first.id
    assert (await story.explain(effect)).ancestors == (first,)
    assert (await story.explain(first)).descendants == (effect,)


async def test_a_published_event_without_causes_has_no_origin_and_its_effects(
    story: Story,
) -> None:
    report = await story.event("weather/jfk")
    effect = await story.event("airport/jfk", correlation_id=uuid4(), causation_id=report.id)
    found = await story.explain(report)
    assert (found.origin, found.descendants) == (None, (effect,))
    assert found.correlated == (report,)


async def test_a_cause_that_is_not_in_the_log_is_the_origin(story: Story) -> None:
    unheard = uuid4()
    event = await story.event("airport/jfk", causation_id=unheard)
    found = await story.explain(event)
    assert (found.ancestors, found.origin) == ((), unheard)


async def test_what_comes_later_in_the_log_is_no_cause(story: Story) -> None:
    one, two, alone = uuid4(), uuid4(), uuid4()
    first = await story.event("a/1", id=one, causation_id=two)
    second = await story.event("a/2", id=two, causation_id=one)
    itself = await story.event("a/3", id=alone, causation_id=alone)
    found = await story.explain(first)
    assert (found.ancestors, found.origin, found.descendants) == ((), two, (second,))
    assert (await story.explain(second)).ancestors == (first,)
    assert (await story.explain(itself)).ancestors == ()


async def test_relations_are_read_off_clocks_and_not_off_causes(story: Story) -> None:
    shared = {"correlation_id": uuid4()}
    before = await story.event("a/1", vector_clock=VectorClock({"x": 1}), **shared)
    event = await story.event("a/2", vector_clock=VectorClock({"x": 2, "y": 1}), **shared)
    beside = await story.event("a/3", vector_clock=VectorClock({"x": 3}), **shared)
    apart = await story.event("a/4", vector_clock=VectorClock({"z": 1}), **shared)
    found = await story.explain(event)
    assert found.concurrent == (beside, apart)
    assert found.relation(before, event) is CausalRelation.HAPPENED_BEFORE
    assert found.relation(event.id, before.id) is CausalRelation.HAPPENED_AFTER
    assert found.relation(event, beside.id) is CausalRelation.CONCURRENT
    assert found.relation(apart, event) is CausalRelation.CAUSALLY_INDEPENDENT
    assert found.relation(event, event) is CausalRelation.SAME
    with pytest.raises(ValueError, match="none of the events of this explanation"):
        found.relation(event, uuid4())


async def test_what_the_log_does_not_have_is_unknown(story: Story) -> None:
    await story.command("a/1")
    unknown = uuid4()
    with pytest.raises(UnknownEvent, match=str(unknown)):
        await story.explain(unknown)


async def generations(story: Story) -> Event:
    """Two effects, and two effects of each."""
    [first] = await story.command("a/0")
    for one in [await story.caused(first, f"a/{n}") for n in (1, 2)]:
        for n in (3, 4):
            await story.caused(one, f"a/{n}")
    return first


async def chain(story: Story) -> Event:
    [event] = await story.command("a/0")
    for n in range(6):
        event = await story.caused(event, f"a/{n}", correlation_id=None)
    return event


@pytest.mark.parametrize(
    ("tell", "said", "counts"),
    [
        (generations, ["of its effects only 3", "only the first 3 are here, up to"], (0, 3, 3)),
        (chain, ["the chain of causes is longer than 3"], (3, 0, 1)),
    ],
    ids=["effects", "causes"],
)
async def test_what_is_too_much_is_cut_and_said(
    story: Story, tell: Callable[[Story], Any], said: list[str], counts: tuple[int, int, int]
) -> None:
    found = await story.explain(await tell(story), limit=3)
    assert len(found.cuts) == len(said)
    for cut, part in zip(found.cuts, said, strict=True):
        assert part in cut
    assert (len(found.ancestors), len(found.descendants), len(found.correlated)) == counts
    whole = await story.explain(found.event)
    assert whole.cuts == ()
    assert found.descendants == whole.descendants[: len(found.descendants)]


async def test_large_events_cut_an_explanation_and_that_is_said(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = await story.command("a/0")
    large = await story.event("b/0", causation_id=first.id, data={"x": "y" * 2_000})
    await story.event("b/1", causation_id=first.id)
    assert len((await story.explain(first)).descendants) == 2
    monkeypatch.setattr(MemoryEventStore, "PAGE_BYTES", 1_000)
    found = await story.explain(first)
    assert found.descendants == (large,)
    [said] = found.cuts
    assert "of its effects only 1 are here" in said


async def test_of_a_large_correlation_in_several_logs_the_first_that_were_committed_are_here() -> (
    None
):
    """And not those of the first log."""
    stories = [Story(await Log.open(MemoryEventStore())) for _ in range(2)]
    sources = [
        next(name for name in map("meter/{}".format, range(99)) if partition_of(name, 2) == number)
        for number in range(2)
    ]
    command, made = uuid4(), []
    for at in range(6):
        number = (at + 1) % 2
        stories[number].log.recorded_us = RECORDED_US + at
        made.append(await stories[number].event(sources[number], correlation_id=command))
    logs = SeveralLogs([_Connected(story) for story in stories])  # type: ignore[misc]
    found = await explain(logs, made[0].id, 3, logs.log_of)
    assert [event.id for event in found.correlated] == [event.id for event in made[:3]]
    moment = made[2].recorded_at
    assert moment is not None
    assert found.cuts == (
        f"of the events of the correlation {command} only the first 3 are here, up to what was "
        f"committed at {moment.isoformat()}",
    )


async def test_an_event_with_a_clock_of_its_own_is_the_cause_of_what_says_so_in_another_log() -> (
    None
):
    """And two that name one another end the chain."""
    stories = [Story(await Log.open(MemoryEventStore())) for _ in range(2)]
    sources = [
        next(name for name in map("meter/{}".format, range(99)) if partition_of(name, 2) == number)
        for number in range(2)
    ]
    logs = SeveralLogs([_Connected(story) for story in stories])  # type: ignore[misc]
    cause, effect = uuid4(), uuid4()
    first = await stories[0].event(
        sources[0], id=cause, causation_id=effect, vector_clock=VectorClock({"gps": 7})
    )
    second = await stories[1].event(
        sources[1], id=effect, causation_id=cause, vector_clock=VectorClock({"site": 9})
    )
    found = await explain(logs, second.id, 10, logs.log_of)
    assert [event.id for event in found.ancestors] == [first.id]
    assert [event.id for event in found.descendants] == [first.id]


class _Connected:
    """A connection to the system of a story."""

    def __init__(self, story: Story) -> None:
        self.log, self._store = self, story.log.store

    async def ask(self, ask: Callable[[EventStore], Awaitable[Found]]) -> Found:
        return await ask(self._store)

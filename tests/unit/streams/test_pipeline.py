"""Pipelines without windows: their steps, and what is refused when they are built."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
from ray import cloudpickle

from actors.event import Event, Kind, Payload
from actors.moments import microseconds
from streams.aggregates import Count
from streams.errors import InvalidProgram
from streams.keyed import Batch, Folded
from streams.pipeline import EventPipeline
from streams.processors import BatchEventProcessor, EventProcessor, EventTransformer
from streams.program import Fact, Output
from streams.scenario import StreamScenario, happened, payloads
from streams.windows import Tumbling
from tests.unit.streams.readings import Hot, Opened, after, measured, opened

MINUTE = timedelta(minutes=1)
PLAIN = EventPipeline("rooms", "measured")


def numbers(scenario: StreamScenario) -> list[Any]:
    return [dict(each.data)["n"] for each in payloads(scenario.outputs) if isinstance(each, Fact)]


def test_items_are_mapped_filtered_and_multiplied_in_order() -> None:
    pipeline = (
        PLAIN.map(lambda event: event.data["n"])
        .filter(lambda n: n % 2)
        .flat_map(lambda n: [{"n": n}, {"n": 10 * n}])
        .emit("odd")
    )
    scenario = StreamScenario(pipeline).given(*(measured(n, n) for n in range(4)))
    assert numbers(scenario) == [1, 10, 3, 30]
    assert [out.at_us for out in scenario.outputs[:2]] == [microseconds(after(1))] * 2
    assert not pipeline.keeps_state


def test_each_step_gives_a_new_pipeline_and_leaves_the_old_one() -> None:
    first = PLAIN.filter(lambda event: event.data["n"] == 1)
    second = first.map(lambda event: Hot(celsius=2.0))
    StreamScenario(second).given(measured(0, 1)).then(Hot(celsius=2.0))
    StreamScenario(first).given(measured(0, 1)).then(
        Fact("measured", Kind.DEVICE, {"room": "hall", "celsius": 20.0, "n": 1})
    )


def test_what_leaves_belongs_to_the_source_or_to_the_key() -> None:
    by_source = StreamScenario(PLAIN).given(measured(0, room="a"))
    by_key = StreamScenario(PLAIN.key_by("room")).given(measured(0, room="a"))
    by_number = StreamScenario(
        PLAIN.map(lambda event: event.data).key_by(lambda data: str(data["n"])).emit("n")
    ).given(measured(0, 7))
    assert [s.outputs[0].key for s in (by_source, by_key, by_number)] == ["thermometer/a", "a", "7"]


def test_emit_takes_a_type_a_class_or_a_function() -> None:
    def hot(event: Event) -> Hot | None:
        return Hot(celsius=event.data["celsius"]) if event.data["n"] else None

    events = [measured(0, 1, celsius=50.0), measured(1, 0)]
    StreamScenario(PLAIN.emit(hot)).given(*events).then(Hot(celsius=50.0))
    StreamScenario(PLAIN.emit(Hot)).given(*events).then(Hot(celsius=50.0), Hot(celsius=20.0))
    StreamScenario(PLAIN.emit("warm")).given(events[0]).then(
        Fact("warm", Kind.BUSINESS, {"room": "hall", "celsius": 50.0, "n": 1})
    )
    StreamScenario(PLAIN.emit(lambda event: [Hot(celsius=1.0)] * 2)).given(events[0]).then(
        Hot(celsius=1.0), Hot(celsius=1.0)
    )


def test_a_transformed_event_goes_on_with_its_new_type_and_data() -> None:
    rules: dict[str, Any] = {
        "measured": {
            "new_type": "temperature",
            "data_mapping": {"where": "room", "warm": "celsius > `10`", "sure": "unknown"},
        },
        "hot": {"data_mapping": "{a: celsius}"},
    }
    pipeline = EventPipeline("shapes").transform(rules)
    hot = happened(Hot(celsius=3.0), source="a/b", at=after(0))
    StreamScenario(pipeline).given(measured(0), hot, opened(0)).then(
        Fact("temperature", Kind.DEVICE, {"where": "hall", "warm": True, "sure": None}),
        Fact("hot", Kind.BUSINESS, {"a": 3.0}),
        Fact("opened", Kind.DEVICE, {"room": "hall", "wide": 1}),
    )


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({}, "step 1, transform: its rules are a dict by event type"),
        ({"measured": "room"}, "transform: measured: a rule is a dict, not 'room'"),
        ({"measured": {"type": "a"}}, "measured: a rule has new_type and data_mapping, not 'type'"),
        ({"measured": {"new_type": "A B"}}, "measured: new_type: 'A B': a type name is kebab-case"),
        ({"measured": {"new_type": 3}}, "measured: new_type: "),
        (
            {"a": {"data_mapping": {"x": "room", "y": "room.[[ b"}}},
            r"rooms: step 1, transform: a: data_mapping\.y: column \d+ of 'room\.\[\[ b'",
        ),
        ({"a": {"data_mapping": "a ? b"}}, r"a: data_mapping: column 3 of 'a \? b'"),
        ({"a": {"data_mapping": "a |"}}, r"a: data_mapping: column \d of 'a \|'"),
        ({"a": {"data_mapping": {"y": ""}}}, r"a: data_mapping\.y: .*''"),
        ({"a": {"data_mapping": {"y": 3}}}, r"data_mapping\.y: an expression of JMESPath is a tex"),
    ],
    ids=["none", "text", "unknown", "type", "no-type", "field", "whole", "end", "empty", "number"],
)
def test_a_bad_rule_is_refused_with_its_place(rules: Any, said: str) -> None:
    with pytest.raises(InvalidProgram, match=said):
        PLAIN.transform(rules)


def test_a_mapping_that_does_not_fit_the_data_says_where() -> None:
    pipeline = PLAIN.transform({"measured": {"data_mapping": {"a": "length(n)"}}})
    with pytest.raises(ValueError, match=r"measured: data_mapping\.a: .*length") as raised:
        StreamScenario(pipeline).given(measured(0))
    assert raised.value.__notes__ == ["in step 1, transform of the pipeline rooms"]
    whole = PLAIN.transform({"measured": {"data_mapping": "n"}})
    with pytest.raises(ValueError, match="data_mapping comes to 0, and data is an object"):
        StreamScenario(whole).given(measured(0))


def test_a_processor_of_ones_own_is_chained() -> None:
    class Twice:
        def process(self, event: Event) -> Iterable[Event]:
            return [event, event]

    processor = Twice()
    assert isinstance(processor, EventProcessor)
    pipeline = PLAIN.add_processor(processor).add_processor(
        EventTransformer({"measured": {"data_mapping": {"n": "n"}}})
    )
    assert numbers(StreamScenario(pipeline).given(measured(0, 3))) == [3, 3]


def test_a_state_is_folded_by_key_in_the_order_of_the_log() -> None:
    pipeline = (
        PLAIN.key_by("room")
        .fold({"n": 0}, lambda so_far, event: {"n": so_far["n"] + event.data["n"]})
        .emit(lambda folded: Fact("total", Kind.BUSINESS, folded.value))
    )
    scenario = StreamScenario(pipeline).given(
        measured(0, 1), measured(1, 5, "attic"), measured(2, 2), measured(1, 4)
    )
    assert numbers(scenario) == [1, 5, 3, 7]
    assert scenario.state("hall") == [microseconds(after(2)), {"n": 7}]


def test_a_folded_state_is_forgotten_after_its_time_to_live() -> None:
    pipeline = PLAIN.fold(0, lambda so_far, event: so_far + 1, ttl=5 * MINUTE).emit(
        lambda folded: Hot(celsius=folded.value)
    )
    scenario = StreamScenario(pipeline).given(measured(0), measured(3), measured(1))
    scenario.then(*(Hot(celsius=n) for n in (1, 2, 3)))
    scenario.given_time(after(7.9))
    assert scenario.keys == ["thermometer/hall"]
    scenario.given_time(after(8))
    assert scenario.keys == []
    scenario.given(measured(9)).then(Hot(celsius=1))


def test_a_fold_that_changes_its_state_is_refused() -> None:
    def count(so_far: dict[str, int], event: Event) -> dict[str, int]:
        so_far["n"] = so_far.get("n", 0) + 1
        return so_far

    pipeline = PLAIN.fold({}, count).map(lambda folded: Hot(celsius=folded.value["n"]))
    scenario = StreamScenario(pipeline).given(measured(0))
    with pytest.raises(InvalidProgram, match="changes the state of 'thermometer/hall'"):
        scenario.given(measured(1))


def test_a_batch_is_full_or_its_time_has_come() -> None:
    pipeline = PLAIN.batch(3, 5 * MINUTE).emit(
        lambda batch: Fact("batch", Kind.BUSINESS, {"n": [e.data["n"] for e in batch.items]})
    )
    scenario = StreamScenario(pipeline).given(*(measured(0, n) for n in range(5)))
    assert numbers(scenario) == [[0, 1, 2]]
    scenario.given_time(after(4.9))
    assert numbers(scenario) == [[0, 1, 2]]
    scenario.given_time(after(5))
    assert numbers(scenario) == [[0, 1, 2], [3, 4]]
    assert scenario.keys == []


def test_a_batched_event_comes_out_as_it_went_in() -> None:
    events: list[Event] = []
    pipeline = PLAIN.batch(1).emit(lambda batch: events.extend(batch.items))
    StreamScenario(pipeline).given(measured(0, 3, celsius=None))
    (event,) = events
    came = measured(0, 3, celsius=None)
    assert (event.id, event.data, event.timestamp) == (came.id, came.data, came.timestamp)
    assert (event.source, event.kind, event.version) == (came.source, came.kind, 1)


def test_a_batch_processor_makes_something_of_its_events() -> None:
    class Hottest(BatchEventProcessor):
        def process_batch(self, events: list[Event]) -> Iterable[Payload]:
            yield Hot(celsius=max(event.data["celsius"] for event in events))

    pipeline = PLAIN.key_by("room").add_processor(Hottest(2, MINUTE))
    scenario = StreamScenario(pipeline).given(
        measured(0, celsius=3.0), measured(0, celsius=9.0), measured(0, room="attic", celsius=1.0)
    )
    scenario.then(Hot(celsius=9.0)).given_time(after(1)).then(Hot(celsius=1.0))
    plain = StreamScenario(PLAIN.add_processor(BatchEventProcessor(2)))
    plain.given(measured(0), measured(1))
    assert len(plain.outputs) == 2


def test_what_a_batch_cannot_keep_is_refused() -> None:
    pipeline = PLAIN.map(lambda event: Hot(celsius=1.0)).batch(2).emit("batch")
    with pytest.raises(
        TypeError, match=r"kept as an event or as plain values, and it is a payload"
    ):
        StreamScenario(pipeline).given(measured(0))


def test_an_error_says_in_which_step_it_was() -> None:
    pipeline = PLAIN.map(lambda event: event.data).filter(lambda data: data["unknown"])
    with pytest.raises(KeyError) as raised:
        StreamScenario(pipeline).given(measured(0))
    assert raised.value.__notes__ == ["in step 2, filter(<lambda>) of the pipeline rooms"]


def test_a_pipeline_travels_with_its_functions() -> None:
    pipeline = PLAIN.key_by(lambda event: event.data["room"]).transform(
        {"measured": {"data_mapping": {"n": "n"}}}
    )
    list(pipeline.route(measured(0)))
    there = cloudpickle.loads(cloudpickle.dumps(pipeline))
    assert numbers(StreamScenario(there).given(measured(0, 4))) == [4]


def test_its_own_events_never_come_to_a_pipeline() -> None:
    pipeline = EventPipeline("echo").emit("opened")
    own = happened(Opened(), source="echo/window/hall", at=after(0))
    assert StreamScenario(pipeline).given(own).outputs == []


#: The same, for those who do not look at types.
UNTYPED: Any = PLAIN


def _second(*items: Any) -> Any:
    return items[-1]


BUILDS: dict[str, tuple[Callable[[], Any], str]] = {
    "second-key": (
        lambda: UNTYPED.key_by("room").map(_second).key_by("n"),
        r"rooms: step 3, key_by\('n'\): a pipeline has one key.* chain a second pipeline",
    ),
    "key-behind-state": (
        lambda: UNTYPED.fold(0, _second).key_by("n"),
        r"step 2, key_by\('n'\): it comes before step 1, fold\(_second\), which has its key",
    ),
    "key": (lambda: UNTYPED.key_by(3), r"step 1, key_by\(int\): a value is named by its field"),
    "two-states": (
        lambda: UNTYPED.batch(3).map(_second).fold(0, _second),
        r"step 3, fold\(_second\): a pipeline has one step with a state, and step 1, batch\(int\)",
    ),
    "no-function": (lambda: UNTYPED.map("room"), r"step 1, map\('room'\): it takes a function"),
    "no-fold-function": (lambda: UNTYPED.fold(0, 3), r"step 1, fold\(int\): it takes a function"),
    "state": (
        lambda: UNTYPED.fold(set(), _second),
        r"step 1, fold\(_second\): the state that a fold begins with is plain, and it is a set",
    ),
    "ttl": (lambda: UNTYPED.fold(0, _second, ttl=5), "ttl is a timedelta, not 5"),
    "batch": (lambda: UNTYPED.batch(0), "a batch has at least one item, not 0"),
    "timeout": (lambda: UNTYPED.batch(2, -MINUTE), "timeout is more than nothing"),
    "behind-emit": (
        lambda: UNTYPED.emit("a").map(_second),
        r"step 2, map\(_second\): emit is the last step",
    ),
    "emit-type": (
        lambda: UNTYPED.emit("A B"),
        r"step 1, emit\('A B'\): 'A B': a type",
    ),
    "emit-nothing": (lambda: UNTYPED.emit(3), "it takes an event type, a class or a function"),
    "emit-kindless": (lambda: UNTYPED.emit(Payload), "Payload has no kind"),
    "processor-class": (
        lambda: UNTYPED.add_processor(BatchEventProcessor),
        r"BatchEventProcessor is a class: add_processor\(BatchEventProcessor\(...\)\)",
    ),
    "processor": (lambda: UNTYPED.add_processor(3), r"a processor has a method process\(event\)"),
    "name": (lambda: EventPipeline("A B"), "A B: its name cannot be one"),
    "pattern": (lambda: EventPipeline("a", ["b", ""]), "a: a pattern is a text"),
    "disorder": (lambda: EventPipeline("a", disorder=-MINUTE), "a: disorder is not negative"),
    "other-disorder": (lambda: UNTYPED.with_disorder(-MINUTE), "disorder is not negative"),
    "no-emit": (
        lambda: StreamScenario(UNTYPED.window(Tumbling(MINUTE), Count())),
        r"what step 1, window\(Tumbling\) comes to is no event yet: end with .emit",
    ),
    "no-emit-of-batches": (
        lambda: StreamScenario(UNTYPED.batch(3)),
        r"what step 1, batch\(int\) comes to is no event yet: end with .emit",
    ),
    "window": (lambda: UNTYPED.window(3, Count()), "a window is Tumbling, Sliding or Session"),
    "aggregate": (lambda: UNTYPED.window(Tumbling(MINUTE), 3), "what a window comes to is an aggr"),
    "aggregate-class": (
        lambda: UNTYPED.window(Tumbling(MINUTE), {"n": Count}),
        r"'n' is an aggregation: Count\(\), not the class",
    ),
    "aggregate-name": (
        lambda: UNTYPED.window(Tumbling(MINUTE), {"window": Count()}),
        "'window' is no name of a value; a result has key, replaces, revision, window itself",
    ),
    "no-aggregate": (lambda: UNTYPED.window(Tumbling(MINUTE), {}), "name at least one aggregation"),
    "lateness": (
        lambda: UNTYPED.window(Tumbling(MINUTE), Count(), lateness=-MINUTE),
        "lateness is not negative",
    ),
    "join-overlap": (
        lambda: UNTYPED.join_latest("measured", key="room", within=MINUTE),
        "step 1, join_latest: the two streams are told apart by their types",
    ),
    "join-everything": (
        lambda: EventPipeline("a").join_latest("measured", key="room", within=MINUTE),
        "the two streams are told apart by their types",
    ),
    "join-nothing": (
        lambda: UNTYPED.join_latest((), key="room", within=MINUTE),
        "say which events of the other stream",
    ),
}


@pytest.mark.parametrize("name", BUILDS)
def test_a_step_that_cannot_be_is_refused_with_its_place(name: str) -> None:
    build, said = BUILDS[name]
    with pytest.raises(InvalidProgram, match=said):
        build()


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (PLAIN.map(lambda event: 3), "rooms: puts out 3; what leaves it is a payload"),
        (PLAIN.key_by("celsius"), r"rooms: its key is 20\.0 for Event"),
        (PLAIN.key_by("unknown"), "its key is None for .* and filter what has none"),
    ],
    ids=["output", "key", "no-key"],
)
def test_what_cannot_leave_and_what_is_no_key_is_told(pipeline: EventPipeline, said: str) -> None:
    with pytest.raises(InvalidProgram, match=said):
        StreamScenario(pipeline).given(measured(0))


def test_results_show_their_data() -> None:
    assert Folded("a", 1).data == {"key": "a", "value": 1}
    assert Batch("a", [1]).data == {"key": "a", "items": [1]}
    assert Output(Hot(celsius=1.0), 1).at_us == 1


def test_a_whole_pipeline_may_wait_for_more_disorder() -> None:
    counts = PLAIN.window(Tumbling(MINUTE), {"n": Count()}).emit("counted")
    waiting = counts.with_disorder(3 * MINUTE)
    assert (counts.disorder_us, waiting.disorder_us) == (0, 180_000_000)

    def counted(pipeline: EventPipeline, *minutes: float) -> int:
        given = [measured(minute) for minute in minutes]
        return len(StreamScenario(pipeline).given(*given).outputs)

    assert counted(counts, 0.5, 1.7, 0.6) == 2  # the first one, and what corrects it
    assert counted(waiting, 0.5, 1.7, 0.6) == 0
    assert counted(waiting, 0.5, 1.7, 0.6, 4) == 1

"""The test kit of streams: what should pass passes, and what should fail fails."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from actors.event import Event, Kind
from actors.moments import microseconds
from streams.errors import InvalidProgram
from streams.program import NEVER, Change, Fact, Output, Program, Stretch
from streams.scenario import StreamScenario, happened
from tests.unit.streams.readings import Hot, Measured, after, measured, opened

Step = Callable[[Any, Event], Change]


class Own:
    """A program of functions."""

    name = "own"
    event_types: Sequence[str] = ("measured",)
    sources: Sequence[str] = ()
    kinds: Sequence[Kind] = ()
    disorder_us = 60_000_000
    keeps_state = True

    def __init__(self, step: Step, again: Callable[..., Change] | None = None) -> None:
        self._step, self._again = step, again
        self.dues: list[tuple[str, Any, int]] = []

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        return [(event.data["room"], event.data["n"])]

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        return self._step(state, event)

    def due(self, key: str, state: Any, watermark_us: int) -> Change:
        self.dues.append((key, state, watermark_us))
        return Change(state, [Output(Hot(celsius=1.0), watermark_us)])

    def again(
        self,
        key: str,
        stretch: Stretch,
        items: Sequence[tuple[Any, Event]],
        state: Any,
        watermark_us: int,
    ) -> Change:
        assert self._again is not None
        return self._again(stretch, items, state)


def kept(state: Any) -> Program:
    return Own(lambda _, __: Change(state))


def test_states_are_kept_by_key_and_outputs_come_with_key_and_moment() -> None:
    def step(state: Any, event: Event) -> Change:
        total = (state or 0) + event.data["n"]
        return Change(total, [Output(Hot(celsius=total), event.timestamp_us)])

    scenario = StreamScenario(Own(step)).given(measured(0, 1, "a"), measured(1, 2, "b"))
    scenario.then(Hot(celsius=1), Hot(celsius=2)).given(measured(2, 3, "a"))
    assert [(out.key, out.at_us) for out in scenario.outputs[-1:]] == [
        ("a", microseconds(after(2)))
    ]
    scenario.then(Output(Hot(celsius=4), microseconds(after(2))))
    assert (scenario.state("a"), scenario.state("b"), scenario.state("c")) == (4, 2, None)
    assert scenario.keys == ["a", "b"]


@pytest.mark.parametrize(
    "expected",
    [(), (Hot(celsius=2),), (Hot(celsius=1), Hot(celsius=1)), (Output(Hot(celsius=1), 1),)],
    ids=["nothing", "another", "more", "another-moment"],
)
def test_then_fails_for_anything_but_exactly_what_came_out(expected: tuple[Any, ...]) -> None:
    program = Own(lambda _, event: Change(None, [Output(Hot(celsius=1), event.timestamp_us)]))
    scenario = StreamScenario(program).given(measured(0))
    with pytest.raises(AssertionError, match=r"but got \[Emitted\(key='hall'"):
        scenario.then(*expected)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ((1, 2), r"not plain: it is a tuple: \(1, 2\)"),
        ([1, {"a": {3}}], r"not plain: \[1\]\['a'\] is a set"),
        ({1: 2}, "not plain: it has the key 1, which is no text"),
        (2**64, "not plain: it is an integer beyond 64 bits"),
        ([Kind.DEVICE], r"not plain: \[0\] is a Kind"),
    ],
    ids=["tuple", "set", "key", "integer", "enum"],
)
def test_a_state_that_is_not_plain_is_refused_with_its_place(state: Any, said: str) -> None:
    with pytest.raises(InvalidProgram, match=f"own: the state of 'hall' is {said}"):
        StreamScenario(kept(state)).given(measured(0))


def test_a_state_comes_back_as_it_was_put_away() -> None:
    state: list[Any] = [None, True, -(2**63), 1.5, "a", b"b", [], {"c": [1]}]
    assert StreamScenario(kept(state)).given(measured(0)).state("hall") == state


def test_a_program_that_changes_the_state_it_was_given_is_refused() -> None:
    def step(state: Any, event: Event) -> Change:
        state = state or []
        state.append(event.data["n"])
        return Change(state)

    scenario = StreamScenario(Own(step)).given(measured(0))
    with pytest.raises(InvalidProgram, match="changes the state of 'hall' that it was given"):
        scenario.given(measured(1))


def test_a_program_that_says_it_has_no_state_has_none() -> None:
    program = Own(lambda _, __: Change([1]))
    program.keeps_state = False
    with pytest.raises(InvalidProgram, match="says that it keeps no state, and has one"):
        StreamScenario(program).given(measured(0))


def test_only_what_is_selected_comes_and_moves_the_watermark() -> None:
    scenario = StreamScenario(kept([1]))
    assert scenario.watermark_us == NEVER
    scenario.given(opened(50))
    assert (scenario.keys, scenario.watermark_us) == ([], NEVER)
    scenario.given(measured(3), measured(2))
    assert scenario.watermark_us == microseconds(after(2))
    scenario.given_time(after(10))
    assert scenario.watermark_us == microseconds(after(9))


def test_who_waits_is_called_once_when_the_watermark_is_there() -> None:
    program = Own(lambda _, event: Change([7], due_us=event.timestamp_us))
    scenario = StreamScenario(program).given(measured(0)).then()
    scenario.given_time(after(0.5)).then()
    scenario.given_time(after(1)).then(Hot(celsius=1)).given_time(after(5)).then()
    assert program.dues == [("hall", [7], microseconds(after(0)))]


def test_who_waits_for_what_has_come_already_is_refused() -> None:
    program = Own(lambda _, event: Change([7], due_us=event.timestamp_us))
    program.due = lambda key, state, watermark_us: Change(state, due_us=watermark_us)  # type: ignore[method-assign]
    scenario = StreamScenario(program).given(measured(0))
    with pytest.raises(InvalidProgram, match="which came before"):
        scenario.given_time(after(1))


def test_what_is_asked_for_again_is_what_the_log_has_for_the_key_by_moment() -> None:
    asked = Stretch(microseconds(after(1)), microseconds(after(4)))
    got: list[Any] = []

    def step(state: Any, event: Event) -> Change:
        return Change([event.data["n"]], again=[asked] if event.data["n"] == 9 else [])

    def again(stretch: Stretch, items: Any, state: Any) -> Change:
        got.append((stretch, [item for item, _ in items], state))
        return Change([0])

    events = [measured(3, 3), measured(2, 2, "attic"), measured(0, 0), opened(2), measured(1, 1)]
    scenario = StreamScenario(Own(step, again)).given(*events, measured(4, 4), measured(1, 9))
    assert got == [(asked, [1, 9, 3], [9])]
    assert scenario.state("hall") == [0]


def test_who_asks_without_an_end_is_refused() -> None:
    stretch = Stretch(0, 1)
    program = Own(lambda _, __: Change(again=[stretch]), lambda *_: Change(again=[stretch]))
    with pytest.raises(InvalidProgram, match="asks for more of the log for 'hall' without an end"):
        StreamScenario(program).given(measured(0))


def test_an_output_that_no_log_could_hold_is_refused() -> None:
    for fact in (
        Fact("Not Kebab", Kind.BUSINESS, {}),
        Fact("fine", Kind.BUSINESS, {"a": object()}),
    ):
        program = Own(lambda _, __, fact=fact: Change(None, [Output(fact, 0)]))  # type: ignore[misc]
        with pytest.raises(InvalidProgram, match="its output for 'hall' cannot be stored"):
            StreamScenario(program).given(measured(0))


def test_what_is_no_event_and_what_is_no_program_is_told_so() -> None:
    with pytest.raises(TypeError, match=r"given takes events.*happened\(payload"):
        StreamScenario(kept(None)).given(Measured())  # type: ignore[arg-type]
    with pytest.raises(InvalidProgram, match="is a class, and no handler"):
        StreamScenario(Own)  # type: ignore[arg-type]
    with pytest.raises(InvalidProgram, match="is no handler, no pipeline and no program: no name"):
        StreamScenario(object())  # type: ignore[arg-type]


def test_events_that_are_alike_are_equal_and_have_their_moment() -> None:
    one, same = measured(1, 5), measured(1, 5)
    assert one == same
    assert one.id != measured(1, 6).id
    assert one.timestamp_us == microseconds(one.timestamp)
    with pytest.raises(ValueError, match="has no time zone"):
        happened(Measured(), source="a/b", at=after(0).replace(tzinfo=None))

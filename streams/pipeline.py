"""A pipeline: operators over a selection of events, one after the other.

    EventPipeline("delays-by-carrier", "flight-departed") \\
        .key_by("carrier") \\
        .window(Tumbling(timedelta(hours=1)), {"mean_delay_min": Mean("delay_min")}) \\
        .emit("carrier-delay")

It is made of steps, each of which gives a new pipeline; the one before stays as it is. What is
wrong with a step is said when it is added, with its place.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, NamedTuple

from actors.errors import InvalidName
from actors.event import Event, Kind, Payload
from actors.naming import checked_type_name
from actors.patterns import as_kinds, as_patterns
from streams.aggregation import Aggregation, gathering, reader
from streams.aligned import AlignedWindows
from streams.chain import Operator, filtered, flat_mapped, mapped, shown
from streams.emitting import emitted
from streams.errors import InvalidProgram
from streams.failures import OnFailure, failures_of
from streams.join import JoinLatest
from streams.keyed import Batches, Fold
from streams.plan import Joining, Plan
from streams.processors import BatchEventProcessor, EventTransformer
from streams.program import Change, Program, Stretch
from streams.sessions import SessionWindows
from streams.stage import Stage, span_us
from streams.windows import Session, Sliding, Tumbling

_NOTHING = timedelta(0)


class _Made(NamedTuple):
    """What a pipeline consists of so far."""

    operators: tuple[Operator, ...] = ()
    key: Callable[[Any], Any] | None = None
    key_at: int = 0  #: so many operators come before the key
    stage: Stage | None = None
    stage_at: int = 0  #: so many operators come before the stage
    stage_place: str = ""
    stage_may_end: bool = False  #: is what it comes to for its user to say?
    joining: Joining | None = None
    emits: bool = False
    steps: int = 0


class EventPipeline:
    """Selects events as a subscription does, and is a Program that can be run.

    `disorder` is by how much an event may come after one that happened later and still be in time:
    so long results wait. Items are events at first, and whatever the steps make of them then; what
    leaves the end are payloads, facts, or events, of which type and data go into new events.
    Outputs belong to the key: they become the events of `NAME/KEY`, in order. Without `key_by` the
    key is the event's source.

    A pipeline has one key, and one step that keeps a state (`fold`, `window`, `join_latest`,
    `batch`): what needs more is a second pipeline over the outputs of the first. A pipeline's own
    outputs never come to it.

    `on_failure` says what becomes of an event at which it fails, `tries` and `backoff` how often it
    is tried before (streams/failures.py); by default the settings of the system do.
    """

    def __init__(
        self,
        name: str,
        event_types: str | Sequence[str] = (),
        *,
        sources: str | Sequence[str] = (),
        kinds: str | Iterable[str] = (),
        disorder: timedelta = _NOTHING,
        on_failure: OnFailure | None = None,
        tries: int | None = None,
        backoff: timedelta | None = None,
    ) -> None:
        try:
            self.name = checked_type_name(name)
        except (InvalidName, TypeError) as error:
            raise InvalidProgram(f"{name}", f"its name cannot be one: {error}") from error
        try:
            self.event_types: Sequence[str] = as_patterns(event_types)
            self.sources: Sequence[str] = as_patterns(sources)
            self.kinds: Sequence[Kind] = as_kinds(kinds)
            self.disorder_us = span_us(disorder, "disorder", least=0)
        except (ValueError, TypeError) as error:
            raise InvalidProgram(name, str(error)) from error
        self.on_failure, self.tries, self.backoff = on_failure, tries, backoff
        if problem := failures_of(self).problem():
            raise InvalidProgram(name, problem)
        self.keeps_state = False
        self._made = _Made()

    @property
    def by_source(self) -> bool:
        """Is each of its keys the source of all the events that come for it?"""
        return self._made.key is None and self._made.joining is None

    def __repr__(self) -> str:
        return f"EventPipeline({self.name!r}, {list(self.event_types)}, {self._made.steps} steps)"

    # ------------------------------------------------------------------ without a state

    def map(self, function: Callable[[Any], Any]) -> "EventPipeline":
        """Of each item another one."""
        return self._with_operator("map", function, mapped)

    def filter(self, function: Callable[[Any], Any]) -> "EventPipeline":
        """Only items of which it is true."""
        return self._with_operator("filter", function, filtered)

    def flat_map(self, function: Callable[[Any], Iterable[Any]]) -> "EventPipeline":
        """Of each item as many as there are."""
        return self._with_operator("flat_map", function, flat_mapped)

    def transform(self, rules: Mapping[str, Mapping[str, Any]]) -> "EventPipeline":
        """Give events another type and other data; see EventTransformer."""
        place = self._place("transform")
        try:
            transformer = EventTransformer(rules)
        except InvalidProgram as error:
            raise InvalidProgram(self.name, f"{place}: {error.problem}") from error
        return self._added(Operator(place, flat_mapped(transformer.process)))

    def add_processor(self, processor: Any) -> "EventPipeline":
        """A processor of one's own: an EventProcessor, or a BatchEventProcessor."""
        place = self._place("add_processor", processor)
        if isinstance(processor, type):
            problem = f"{processor.__name__} is a class: add_processor({processor.__name__}(...))"
            raise self._invalid(place, problem)
        if isinstance(processor, BatchEventProcessor):
            size, timeout_us = processor.batch_size, processor.batch_timeout_us
            staged = self._staged(place, Batches(size, timeout_us, processor.process_batch))
            staged._made = staged._made._replace(stage_may_end=True)
            return staged
        if not callable(getattr(processor, "process", None)):
            raise self._invalid(place, "a processor has a method process(event)")
        return self._added(Operator(place, flat_mapped(processor.process)))

    # ------------------------------------------------------------------ the key

    def key_by(self, of: str | Callable[[Any], Any]) -> "EventPipeline":
        """From here on things happen for each key by itself: a text, read off each item by the
        name of a field or by a function."""
        place = self._place("key_by", of)
        made = self._made
        if made.key is not None:
            problem = (
                "a pipeline has one key, because the state of a key lives with one worker; chain a "
                "second pipeline over the events that this one emits, and key that one"
            )
            raise self._invalid(place, problem)
        if made.stage is not None:
            raise self._invalid(place, f"it comes before {made.stage_place}, which has its key")
        try:
            key = reader(of)
        except ValueError as error:
            raise self._invalid(place, str(error)) from error
        return self._with(made._replace(key=key, key_at=len(made.operators)), place)

    # ------------------------------------------------------------------ with a state

    def fold(
        self,
        initial: Any,
        function: Callable[[Any, Any], Any],
        *,
        ttl: timedelta | None = None,
    ) -> "EventPipeline":
        """Keep a plain value for each key: `function(value, item)` gives the next one, and leaves
        the one before as it is. Each next value goes on, as Folded, in the order of the log.
        After `ttl` of event time without an event of the key it begins with `initial` again.
        """
        place = self._place("fold", function)
        self._check_function(place, function)
        return self._staged(place, lambda: Fold(initial, function, _span_or_none(ttl, "ttl")))

    def window(
        self,
        window: Tumbling | Sliding | Session,
        aggregate: Aggregation | Mapping[str, Aggregation],
        *,
        lateness: timedelta = _NOTHING,
    ) -> "EventPipeline":
        """Aggregate the items of each window of event time. A WindowResult goes on when the
        watermark reaches the window's end, and another one, which replaces it, with each event that
        comes later: for `lateness` out of the state, and then out of the log.
        """
        place = self._place("window", window)

        def stage() -> Stage:
            of, lateness_us = gathering(aggregate), span_us(lateness, "lateness", least=0)
            if isinstance(window, Session):
                return SessionWindows(window, of, lateness_us)
            if isinstance(window, (Tumbling, Sliding)):
                return AlignedWindows(window, of, lateness_us)
            raise ValueError(f"a window is Tumbling, Sliding or Session, not {window!r:.80}")

        return self._staged(place, stage)

    def join_latest(
        self,
        event_types: str | Sequence[str],
        *,
        key: str | Callable[[Event], Any],
        within: timedelta,
        lateness: timedelta = _NOTHING,
    ) -> "EventPipeline":
        """Join each item with the latest event of other types that has the same key, as of the
        item's moment, and at most `within` before it. A Joined goes on when the watermark has
        passed that moment, and another one, which replaces it, where an event of the others comes
        too late for it. An item that comes late itself is answered from the state for `lateness`,
        and then from the log. Events of the others go through no other step before this one.
        """
        place = self._place("join_latest")
        try:
            patterns = as_patterns(event_types)
            if not patterns:
                raise ValueError("say which events of the other stream: their types")
            joining = Joining(patterns, reader(key))
        except (ValueError, TypeError) as error:
            raise self._invalid(place, str(error)) from error
        if not self.event_types or set(patterns) & set(self.event_types):
            problem = "the two streams are told apart by their types, and these overlap"
            raise self._invalid(place, f"{problem}: {list(self.event_types)} and {list(patterns)}")
        staged = self._staged(
            place,
            lambda: JoinLatest(span_us(within, "within"), span_us(lateness, "lateness", least=0)),
        )
        staged.event_types = (*self.event_types, *patterns)
        staged._made = staged._made._replace(joining=joining)
        return staged

    def batch(self, size: int, timeout: timedelta | None = None) -> "EventPipeline":
        """Gather items of a key: a Batch goes on as soon as there are `size`, or when event time
        is `timeout` beyond the first. Items are events or plain values."""
        place = self._place("batch", size)
        return self._staged(place, lambda: Batches(size, _span_or_none(timeout, "timeout")))

    # ------------------------------------------------------------------ the end

    def emit(self, what: str | type[Payload] | Callable[[Any], Any]) -> "EventPipeline":
        """Put out events: of this type, with the item's data; of this class, whose fields are
        filled from the item's data; or what a function gives, which is a payload, a Fact, several
        of these, or None."""
        place = self._place("emit", what)
        try:
            run = emitted(what)
        except (ValueError, InvalidName) as error:
            raise self._invalid(place, str(error)) from error
        grown = self._added(Operator(place, run))
        grown._made = grown._made._replace(emits=True)
        return grown

    def with_disorder(self, disorder: timedelta) -> "EventPipeline":
        """The same pipeline over a log in which events come more, or less, out of order. A program
        that runs may be run so: what is out stays out."""
        try:
            disorder_us = span_us(disorder, "disorder", least=0)
        except ValueError as error:
            raise InvalidProgram(self.name, str(error)) from error
        same = object.__new__(type(self))
        same.__dict__.update(self.__dict__, disorder_us=disorder_us)
        return same

    def checked(self) -> Program:
        """The pipeline itself, if it is whole. Raises InvalidProgram where it is not."""
        made = self._made
        is_last = made.stage is not None and made.stage_at == len(made.operators)
        if is_last and not made.stage_may_end:
            problem = f"what {made.stage_place} comes to is no event yet: end with .emit(...)"
            raise InvalidProgram(self.name, problem)
        return self

    # ------------------------------------------------------------------ as a Program

    @cached_property
    def _plan(self) -> Plan:
        made = self._made
        first = made.key_at if made.key is not None else 0
        middle = made.stage_at if made.stage is not None else len(made.operators)
        return Plan(
            self.name,
            before=made.operators[:first],
            key=made.key,
            between=made.operators[first:middle],
            stage=made.stage,
            joining=made.joining,
            behind=made.operators[middle:],
        )

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        """See Program."""
        return self._plan.route(event)

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        """See Program."""
        return self._plan.step(key, item, event, state, watermark_us)

    def due(self, key: str, state: Any, watermark_us: int) -> Change:
        """See Program."""
        return self._plan.due(key, state, watermark_us)

    def again(
        self,
        key: str,
        stretch: Stretch,
        items: Sequence[tuple[Any, Event]],
        state: Any,
        watermark_us: int,
    ) -> Change:
        """See Program."""
        return self._plan.again(key, stretch, items, state, watermark_us)

    # ------------------------------------------------------------------ how it grows

    def _place(self, step: str, what: Any = None) -> str:
        said = step if what is None else f"{step}({shown(what)})"
        return f"step {self._made.steps + 1}, {said}"

    def _invalid(self, place: str, problem: str) -> InvalidProgram:
        return InvalidProgram(self.name, f"{place}: {problem}")

    def _check_function(self, place: str, function: Any) -> None:
        if not callable(function):
            raise self._invalid(place, f"it takes a function, not {function!r:.80}")

    def _with_operator(
        self, step: str, function: Any, run: Callable[[Any], Callable[[list[Any]], list[Any]]]
    ) -> "EventPipeline":
        place = self._place(step, function)
        self._check_function(place, function)
        return self._added(Operator(place, run(function)))

    def _added(self, operator: Operator) -> "EventPipeline":
        made = self._made._replace(operators=(*self._made.operators, operator))
        return self._with(made, operator.place)

    def _staged(self, place: str, stage: Stage | Callable[[], Stage]) -> "EventPipeline":
        made = self._made
        if made.stage is not None:
            problem = (
                f"a pipeline has one step with a state, and {made.stage_place} is it; chain a "
                "second pipeline over the events that this one emits"
            )
            raise self._invalid(place, problem)
        try:
            built = stage() if callable(stage) else stage
        except (ValueError, TypeError, InvalidProgram) as error:
            raise self._invalid(place, str(error)) from error
        staged = made._replace(stage=built, stage_at=len(made.operators), stage_place=place)
        grown = self._with(staged, place)
        grown.keeps_state = True
        return grown

    def _with(self, made: _Made, place: str) -> "EventPipeline":
        if self._made.emits:
            raise self._invalid(place, "emit is the last step")
        grown = object.__new__(type(self))
        kept = {name: value for name, value in self.__dict__.items() if name != "_plan"}
        grown.__dict__.update(kept, _made=made._replace(steps=made.steps + 1))
        return grown


def _span_or_none(span: timedelta | None, what: str) -> int | None:
    return None if span is None else span_us(span, what)

"""The index of an actor type: the projection that `find` asks.

It folds the state of each actor and keeps of it the fields that the class names in `indexes`, in
typed columns; beside them the state itself, as a snapshot has it, so that going on with an actor
takes one row, and not its history. Where that cannot be read back, its history is folded.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import msgspec
from pydantic import ValidationError

from actors.actor import Actor, described
from actors.columns import Column, ColumnField, ColumnType, TableSchema, annotated_fields
from actors.event import Event, Kind
from actors.state_form import NotGivenBack
from streams.errors import InvalidProgram
from streams.failures import OnFailure
from streams.program import Change, Stretch
from streams.projection import INDEX, NAME_BYTES

#: What is kept of a state beside the fields that are asked for.
_KEPT = (
    Column("_version", ColumnType.INT),
    Column("_format", ColumnType.INT),
    Column("_state", ColumnType.TEXT, nullable=True),
)


class Unread(Exception):
    """The state of a row is to be folded of the log, up to this version."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class IndexedActor:
    """An actor as it is after one of its versions."""

    __slots__ = ("actor", "version")

    def __init__(self, actor: Actor[Any], version: int) -> None:
        self.actor, self.version = actor, version


class ActorIndex:
    """A Program whose rows are the actors of one type. It has the fields of a Projection."""

    disorder_us = 0
    keeps_state = True
    event_types: Sequence[str] = ()
    kinds: Sequence[Kind] = ()
    #: A row that waits would be found as it was, and whoever asks was promised what is.
    on_failure: OnFailure = "pause"

    def __init__(self, actor: type[Actor[Any]]) -> None:
        """Raises InvalidActor for a class that is not well formed, and InvalidProgram for one that
        names no indexes."""
        kind = described(actor)
        self.actor = actor
        self.name = INDEX + kind.name
        if not kind.indexes:
            problem = f"{actor.__name__} says of no field that it is indexed: indexes = ('field',)"
            raise InvalidProgram(kind.name, problem)
        if len(self.name) + self.name.count(".") > NAME_BYTES:
            problem = f"its index would have a longer name than a table may: {self.name}"
            raise InvalidProgram(kind.name, problem)
        self.sources: Sequence[str] = (f"{kind.name}/*",)

    def __getstate__(self) -> dict[str, Any]:
        """What was made of its class is made anew where it goes."""
        return {name: kept for name, kept in vars(self).items() if name not in ("table", "form")}

    @cached_property
    def table(self) -> TableSchema:
        """Its table: the indexed fields, and what is kept."""
        indexes = described(self.actor).indexes
        return TableSchema(name=self.name, columns=self.form.columns, indexes=indexes)

    @cached_property
    def form(self) -> "IndexForm":
        """What its rows are in the table."""
        return IndexForm(self.actor)

    def row_of(self, key: str, values: tuple[Any, ...]) -> IndexedActor:
        """The actor of what its columns hold. Raises Unread."""
        return self.form.row(key, values)

    def folded(self, source: str, events: Iterable[Event]) -> IndexedActor:
        """An actor after these events, its first ones."""
        found = self._begun(source)
        for event in events:
            self._apply(found, event)
        return found

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        """See Program: the key of an event is its source."""
        return ((event.source, None),)

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        """See Program: the state is an IndexedActor."""
        found = state if state is not None else self._begun(key)
        self._apply(found, event)
        return Change(found)

    def due(self, key: str, state: Any, watermark_us: int) -> Change:
        """See Program: it waits for nothing."""
        return Change(state)

    def again(
        self,
        key: str,
        stretch: Stretch,
        items: Sequence[tuple[Any, Event]],
        state: Any,
        watermark_us: int,
    ) -> Change:
        """See Program: it asks for nothing again."""
        return Change(state)

    def _begun(self, source: str) -> IndexedActor:
        return IndexedActor(self.actor(source.partition("/")[2]), 0)

    def _apply(self, found: IndexedActor, event: Event) -> None:
        """Raises what the applier does, and ValueError where none is there."""
        if event.version != found.version + 1:
            raise ValueError(
                f"version {event.version} of {event.source} comes after {found.version}"
            )
        kind = described(self.actor)
        applier = kind.appliers.get(event.event_type)
        if applier is not None:
            found.actor.at_us = event.timestamp_us
            applier.apply(found.actor, applier.read(_text(event.data)))
        elif event.event_type not in kind.ignores:
            name = self.actor.__name__
            raise ValueError(f"{name} neither applies nor ignores {event.event_type}")
        found.version = event.version


class IndexForm:
    """The rows of an index."""

    def __init__(self, actor: type[Actor[Any]]) -> None:
        self._actor = actor
        self._kind = described(actor)
        hints = annotated_fields(actor.state_type)
        self._fields = [ColumnField(name, hints[name]) for name in self._kind.indexes]
        self.columns = (*(field.column for field in self._fields), *_KEPT)

    def values(self, found: IndexedActor) -> tuple[Any, ...]:
        """A row as a tuple. Raises UnfitValue."""
        state = found.actor.state
        try:
            text = self._kind.states.snapshot(state)
        except NotGivenBack:
            text = None  # it is folded again where it is needed
        fields = [field.value(getattr(state, field.name)) for field in self._fields]
        return (*fields, found.version, self._actor.snapshot_format, text)

    def row(self, key: str, values: tuple[Any, ...]) -> IndexedActor:
        """The actor of a tuple. Raises Unread where its state is not in it."""
        version, kept_format, text = values[-3:]
        if text is None or kept_format != self._actor.snapshot_format:
            raise Unread(version)
        actor = self._actor(key.partition("/")[2])
        try:
            actor.state = self._kind.states.read(text)
        except ValidationError as error:
            raise Unread(version) from error
        return IndexedActor(actor, version)


def _text(data: Any) -> bytes:
    try:
        return msgspec.json.encode(data)
    except OverflowError:  # an integer of more than 64 bits
        return json.dumps(data).encode()

"""The index of an actor type: the projection that `find` asks.

It folds the state of each actor and keeps of it the fields that the class names in `indexes`, in
typed columns; beside them the state itself, as a snapshot has it, with what a snapshot says of the
schemas that it was made with: so going on with an actor takes one row, and not its history. Where
that cannot be read back, or was made by a class with another state, its history is folded.
"""

import logging
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from actors.actor import Actor, described
from actors.columns import (
    Column,
    ColumnField,
    ColumnType,
    TableSchema,
    UnfitValue,
    annotated_fields,
)
from actors.event import Event, Kind, json_text
from actors.folding import Unapplied, applier_of, apply_past, begun
from actors.lifecycle import ERASED
from actors.state_form import NotGivenBack
from streams.errors import InvalidProgram
from streams.failures import OnFailure
from streams.program import Change, Stretch
from streams.projection import INDEX, NAME_BYTES, REBUILD

logger = logging.getLogger("thornback.processing")


def _kept(snapshot_format: int) -> tuple[Column, ...]:
    """What is kept of a state beside the fields that are asked for. The format is in the name: a
    table whose states another class has made is another table."""
    return (
        Column("_version", ColumnType.INT),
        Column(f"_state_{snapshot_format}", ColumnType.TEXT, nullable=True),
    )


class Unread(Exception):
    """The state of an actor is to be folded of the log, up to this version: what there is of it
    cannot be read, or events are missing."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class IndexedActor:
    """An actor as it is after one of its versions. None: that is not known, because its code fails
    at its history. One that is left out has no row."""

    __slots__ = ("actor", "left_out", "version")

    def __init__(self, actor: Actor[Any] | None, version: int, *, left_out: bool = False) -> None:
        self.actor, self.version, self.left_out = actor, version, left_out


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
        if self.name.endswith(REBUILD):
            problem = f"its index would be taken for one that is built anew: {self.name}"
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
        """An actor after these events, the first ones of its aggregate: what somebody published
        under the id of that is none of its own, and has a version."""
        found = self._begun(source)
        for event in events:
            if event.source == source:
                self._apply(found, event)
            else:
                found.version = event.version or 0
        return found

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        """See Program: the key of an event is its source."""
        return ((event.source, None),)

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        """See Program: the state is an IndexedActor. Raises Unread where an event of before was
        passed over."""
        found = state if state is not None else self._begun(key)
        version = event.version or 0
        if version > found.version + 1:
            raise Unread(version - 1)
        if found.left_out:
            return Change(self._tried(found, event))
        self._apply(found, event)
        return Change(found)

    def mended(self, source: str, events: Iterable[Event], version: int) -> IndexedActor:
        """An actor of which events are missing here (one was passed over, or is of another source),
        after these, the first ones of its aggregate up to the version. Where those of its own do
        not come to an actor that a row can hold, it is left out: it has kept the index standing
        once."""
        found = self._begun(source)
        for event in events:
            if event.source == source:
                found = self._tried(found, event)
            else:
                found.version = event.version or 0
        if found.version != version:
            found = IndexedActor(None, version, left_out=True)
        if found.left_out:
            logger.warning("%s is left out of its index: it has kept it standing", source)
        return found

    def _tried(self, found: IndexedActor, event: Event) -> IndexedActor:
        """One that is left out, after an event."""
        if event.event_type == ERASED:
            begun = self._begun(event.source)
            begun.version = event.version or 0
            return begun
        if found.actor is None:
            return IndexedActor(None, event.version or 0, left_out=True)
        found.left_out = False
        try:
            self._apply(found, event)
        except Exception:  # whatever its applier raises: it was told when it stood there
            return IndexedActor(None, event.version or 0, left_out=True)
        try:
            self.form.check(found)
        except UnfitValue:
            found.left_out = True
        return found

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
        return IndexedActor(begun(described(self.actor), source), 0)

    def _apply(self, found: IndexedActor, event: Event) -> None:
        """Raises what the applier does, and ValueError where none is there."""
        if event.version != found.version + 1:
            raise ValueError(
                f"version {event.version} of {event.source} comes after {found.version}"
            )
        assert found.actor is not None  # else it is left out
        if event.erased:
            found.version = event.version
            return
        kind = described(self.actor)
        if event.event_type == ERASED:
            found.actor = begun(kind, event.source)
        try:
            applier = applier_of(kind, event.event_type)
        except Unapplied as error:
            name = self.actor.__name__
            raise ValueError(f"{name} neither applies nor ignores {event.event_type}") from error
        if applier is not None:
            payload = applier.schema.read_stored(json_text(event.data), event.schema_version)
            apply_past(applier, found.actor, payload, event.timestamp_us)
        found.version = event.version


class IndexForm:
    """The rows of an index."""

    #: What cannot be read back is folded again (Unread).
    is_plain = True

    def __init__(self, actor: type[Actor[Any]]) -> None:
        self._actor = actor
        self._kind = described(actor)
        hints = annotated_fields(actor.state_type)
        self._fields = [ColumnField(name, hints[name], indexed=True) for name in self._kind.indexes]
        #: The values that a field may have, where those can be counted.
        self.choices = {
            field.name: field.choices for field in self._fields if field.choices is not None
        }
        kept = _kept(actor.snapshot_format)
        self.columns = (*(field.column for field in self._fields), *kept)

    def check(self, found: IndexedActor) -> None:
        """Could it be a row? Raises UnfitValue."""
        if found.actor is not None and not found.left_out:
            self._values_of(found.actor.state)

    def _values_of(self, state: Any) -> list[Any]:
        return [field.value(getattr(state, field.name)) for field in self._fields]

    def values(self, found: IndexedActor) -> tuple[Any, ...] | None:
        """A row as a tuple; None: it is left out. Raises UnfitValue."""
        if found.actor is None or found.left_out:
            return None
        state = found.actor.state
        try:
            text = f"{self._kind.snapshots.text.decode()}\n{self._kind.states.snapshot(state)}"
        except NotGivenBack:
            text = None  # it is folded again where it is needed
        return (*self._values_of(state), found.version, text)

    def row(self, key: str, values: tuple[Any, ...]) -> IndexedActor:
        """The actor of a tuple. Raises Unread where its state is not in it, or was made by a class
        with another schema: by that the actor may have become another one."""
        version, kept = values[-2:]
        if kept is None:
            raise Unread(version)
        mark, marked, text = kept.partition("\n")
        if not marked:  # of a release that wrote none, and went by the format alone
            text = kept
        elif not self._kind.snapshots.fits(mark.encode()):
            raise Unread(version)
        actor: Actor[Any] = begun(self._kind, key)
        try:
            actor.state = self._kind.states.read(text)
        except ValidationError as error:
            raise Unread(version) from error
        return IndexedActor(actor, version)

"""Processors: what a pipeline chains. One is of anybody's making, two come along."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable

import jmespath
import msgspec
from jmespath.exceptions import JMESPathError, LexerError, ParseError

from actors.errors import InvalidName
from actors.event import Event
from actors.naming import checked_type_name
from streams.errors import InvalidProgram
from streams.stage import span_us


@runtime_checkable
class EventProcessor(Protocol):
    """What `add_processor` takes: it keeps nothing from one event to the next."""

    def process(self, event: Any) -> Iterable[Any]:
        """What the event, or whatever the pipeline has made of it, comes to: nothing, one thing or
        several. They go on to the next processor."""


class EventTransformer:
    """Gives events another type and other data, by rules for their types.

        EventTransformer({
            "flight-departed": {
                "new_type": "departure",
                "data_mapping": {"carrier": "carrier", "late": "delay_min > `15`"},
            },
        })

    A `data_mapping` is an expression of JMESPath for each field of the new data, or one expression
    for all of it, whose result is an object. Without `new_type` the type stays, without
    `data_mapping` the data does, and events of types without a rule pass as they are. Rules are
    looked through when it is made: InvalidProgram says which type, which field and which column.
    """

    def __init__(self, rules: Mapping[str, Mapping[str, Any]]) -> None:
        said: object = rules
        if not isinstance(said, Mapping) or not rules:
            raise _invalid(f"its rules are a dict by event type, not {rules!r:.80}")
        self._rules = {event_type: _Rule(event_type, rule) for event_type, rule in rules.items()}

    def process(self, event: Any) -> Iterable[Event]:
        """The event by its rule. Raises TypeError for what is no event, and ValueError where a
        mapping does not fit the data."""
        if not isinstance(event, Event):
            raise TypeError(f"a transformer takes events, not {event!r:.80}: let it come first")
        rule = self._rules.get(event.event_type)
        return (event if rule is None else rule.applied(event),)


class _Rule:
    """One type's rule, compiled."""

    def __init__(self, event_type: str, rule: Any) -> None:
        if not isinstance(event_type, str):
            raise _invalid(f"a rule is for an event type, not {event_type!r:.80}")
        self._of = event_type
        if not isinstance(rule, Mapping):
            raise _invalid(f"{event_type}: a rule is a dict, not {rule!r:.80}")
        if unknown := sorted(set(rule) - {"new_type", "data_mapping"}, key=str):
            problem = f"a rule has new_type and data_mapping, not {unknown[0]!r:.80}"
            raise _invalid(f"{event_type}: {problem}")
        self._new_type = _new_type(event_type, rule)
        self._whole, self._fields = None, None
        mapping = rule.get("data_mapping")
        if isinstance(mapping, Mapping):
            self._fields = {
                _field(event_type, field): _compiled(f"{event_type}: data_mapping.{field}", said)
                for field, said in mapping.items()
            }
        elif mapping is not None:
            self._whole = _compiled(f"{event_type}: data_mapping", mapping)

    def applied(self, event: Event) -> Event:
        """The event with its new type and data."""
        transformed: Event = msgspec.structs.replace(
            event, event_type=self._new_type, data=self._mapped(event.data)
        )
        return transformed

    def _mapped(self, data: dict[str, Any]) -> dict[str, Any]:
        if self._fields is not None:
            return {
                field: self._searched(expression, data, f"data_mapping.{field}")
                for field, expression in self._fields.items()
            }
        if self._whole is None:
            return data
        found = self._searched(self._whole, data, "data_mapping")
        if not isinstance(found, dict):
            problem = f"data_mapping comes to {found!r:.80}, and data is an object"
            raise ValueError(f"{self._of}: {problem}")
        return found

    def _searched(self, expression: Any, data: dict[str, Any], place: str) -> Any:
        try:
            return expression.search(data)
        except JMESPathError as error:
            raise ValueError(f"{self._of}: {place}: {error}") from error


def _new_type(event_type: str, rule: Mapping[str, Any]) -> str:
    new_type = rule.get("new_type", event_type)
    try:
        return checked_type_name(new_type)
    except (InvalidName, TypeError) as error:
        raise _invalid(f"{event_type}: new_type: {error}") from error


def _field(event_type: str, field: Any) -> str:
    if not isinstance(field, str):
        raise _invalid(f"{event_type}: data_mapping: a field's name is a text, not {field!r:.80}")
    return field


def _compiled(place: str, said: Any) -> Any:
    if not isinstance(said, str):
        raise _invalid(f"{place}: an expression of JMESPath is a text, not {said!r:.80}")
    try:
        return jmespath.compile(said)
    except ParseError as error:
        column = f"column {error.lex_position + 1}"
        raise _invalid(f"{place}: {column} of {said!r}: {_reason(error)}") from error
    except LexerError as error:
        column = f"column {error.lexer_position + 1}"
        raise _invalid(f"{place}: {column} of {said!r}: {_reason(error)}") from error
    except JMESPathError as error:
        raise _invalid(f"{place}: {said!r}: {_reason(error)}") from error


def _reason(error: JMESPathError) -> str:
    """What is wrong, without the picture of the place below it."""
    first, _, _ = str(error).partition("\n")
    return first.partition("expression: ")[2].rstrip(":.") or first


def _invalid(problem: str) -> InvalidProgram:
    return InvalidProgram("EventTransformer", problem)


class BatchEventProcessor:
    """Gathers events, and processes them together: `batch_size` of one key or, where event time
    passes without so many, those that there are `batch_timeout` after the first. Derive from it and
    define `process_batch`. It is a pipeline's one stage with a state, so its events are kept like
    any state, and none is lost with a process.
    """

    def __init__(self, batch_size: int, batch_timeout: timedelta | None = None) -> None:
        said: object = batch_size
        if type(said) is not int or said < 1:
            raise ValueError(f"a batch has at least one event, not {batch_size!r:.40}")
        self.batch_size = batch_size
        self.batch_timeout_us = (
            None if batch_timeout is None else span_us(batch_timeout, "the timeout of a batch")
        )

    def process_batch(self, events: list[Any]) -> Iterable[Any]:
        """What the events of one batch come to; by default themselves."""
        return events

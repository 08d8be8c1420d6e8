"""CloudEvents 1.0, the JSON format: from the text of one event to a twin's report.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md, with
these decisions where the specification leaves room or devices do not keep to it:

- `specversion` may be missing, and is then taken for 1.0; any other is refused.
- `source` is any text, the device's name as it is; that it is a URI is not checked.
- An attribute that is null is absent, as the specification says.
- Without `time` (it is optional) the event happened when it was read.
- `data` that is an object has the properties; any other value is one property, `value`;
  without data the report has none. Binary data (`data_base64`) is refused.
- Further attributes (`subject`, `dataschema`, extensions) are let pass and not stored.
"""

import math
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import from_json

from actors.devices import DeviceTwin, Report
from actors.errors import InvalidName
from actors.ids import derived_id
from actors.naming import source_of

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_PLACE = re.compile(r" at line 1 column (\d+)$")


class BadEvent(ValueError):
    """This is no CloudEvent that a log could keep; the text says why."""


def _instant(value: object) -> datetime:
    if isinstance(value, str) and _RFC3339.fullmatch(value.upper()):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{value} is no time: {error}") from error
    raise ValueError("an RFC 3339 time with a zone is expected, like 2026-07-01T12:00:00Z")


Text = Annotated[str, Field(min_length=1)]


# Not the package `cloudevents` (2.2): its reader takes NaN, infinities and unpaired
# surrogates from Python's json and any ISO 8601 form for a time, and all of them would
# have to be looked for again here. pydantic's own JSON reader refuses them.
class CloudEvent(BaseModel):
    """One event: its attributes that a twin has a use for, and its data."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    source: Text
    id: Text
    type: Text
    specversion: Literal["1.0"] = "1.0"
    time: Annotated[datetime, BeforeValidator(_instant)] | None = None
    data: JsonValue = None

    @property
    def command_id(self) -> bytes:
        """The idempotency key: a hash of source and id, which name an event together.

        Its time part is 0 for every event. The event's own time would give a copy with
        another time (or without one) another key, and a hash in its place would scatter
        the new rows over the index of the whole log instead of a range of their own.
        """
        return derived_id(0, f"{self.source}\0{self.id}".encode())

    @property
    def report(self) -> Report:
        """What the device's twin is told."""
        return Report(event_id=self.id, event_type=self.type, properties=self._properties)

    @property
    def _properties(self) -> dict[str, JsonValue]:
        if self.data is None:
            return {}
        return self.data if isinstance(self.data, dict) else {"value": self.data}


def parse(text: bytes) -> CloudEvent:
    """The event of its JSON text. Raises BadEvent with the reason."""
    return event_of(_read(text.removeprefix(BOM_UTF8)))


def event_of(found: object) -> CloudEvent:
    """The event of its members, as JSON has them. Raises BadEvent with the reason."""
    if not isinstance(found, dict):
        raise BadEvent(f"not a JSON object but {_named(found)}")
    members = {name: value for name, value in found.items() if value is not None}
    if "data_base64" in members:
        raise BadEvent("data_base64: binary data has no properties to merge")
    try:
        event = CloudEvent.model_validate(members)
        source_of(DeviceTwin.actor_type, event.source)
    except ValidationError as error:
        raise BadEvent("; ".join(map(_problem, error.errors(include_url=False)))) from error
    except InvalidName as error:
        raise BadEvent(f"source: {error.problem}") from error
    for name in ("source", "id", "type", "data"):
        if problem := _unstorable(getattr(event, name)):
            raise BadEvent(f"{name}: {problem}")
    return event


def _read(text: bytes) -> object:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise BadEvent(f"not UTF-8: {error.reason} at byte {error.start + 1}") from error
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise BadEvent("not JSON: " + _PLACE.sub(r" at column \1", str(error))) from error


def _problem(found: Mapping[str, Any]) -> str:
    name = str(found["loc"][0])
    match found["type"]:
        case "missing":
            problem = "missing"
        case "string_too_short":
            problem = "empty"
        case "value_error":
            problem = str(found["ctx"]["error"])
        case "string_type":
            problem = f"a text is expected, not {_named(found['input'])}"
        case _:
            problem = str(found["msg"])
    return f"{name}: {problem}"


def _named(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    return names.get(type(value), "null" if value is None else "a number")


def _unstorable(value: object) -> str | None:
    """Why Postgres' jsonb could not give this value back, if so."""
    match value:
        case str():
            return "NUL characters cannot be stored" if "\0" in value else None
        case float():
            return None if math.isfinite(value) else "a number beyond the range of doubles"
        case dict():
            return _first_problem([*value, *value.values()])
        case list():
            return _first_problem(value)
        case _:
            return None


def _first_problem(values: list[Any]) -> str | None:
    return next(filter(None, map(_unstorable, values)), None)

"""Schemas of events: how the data of an older release becomes that of today's class.

    class Charged(DeviceEvent):
        schema_version = 2
        kwh: float

        @upcasts(1)
        @staticmethod
        def in_kilowatt_hours(data: dict[str, Any]) -> dict[str, Any]:
            data["kwh"] = data.pop("energy") / 1_000
            return data

A row says of which schema its data is, in its metadata; one that says nothing is of the first one,
as all are that were written before there were schemas. Rows are never written again: whoever reads
one as typed data has it go through the upcasters, one version after another. The idea is that of
Axon's and Marten's upcasters.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from actors.errors import InvalidEvent, UnreadableEvent
from actors.openness import event_reader

Upcaster = TypeVar("Upcaster", bound=Callable[[dict[str, Any]], dict[str, Any]])

#: Under this name an event's metadata says of which schema its data is, if it is not the first one.
SCHEMA = "thornback.schema"
#: No class needs more, and a few digits are enough to write it.
MAX_SCHEMA = 9_999
#: What an event says of its schema that says what nobody can read.
UNKNOWN = 0

_VERSION = re.compile(r"[1-9][0-9]{0,3}")


def upcasts(version: int) -> Callable[[Upcaster], Upcaster]:
    """Mark a static method of an event's class as what takes data of that schema version to the
    next one: it is given the data, which is its own, and returns data, all in JSON's types. A
    plain function that takes the data alone is made a static method. Raises TypeError for what is
    no version and no function."""
    if not _is_version(version):
        raise TypeError(
            f"@upcasts names the version that it takes data from, @upcasts(1), not {version!r:.80}"
        )

    def mark(method: Upcaster) -> Upcaster:
        function = getattr(method, "__func__", method)
        if not inspect.isfunction(function):
            raise TypeError(f"@upcasts({version}) stands above a method, not {method!r:.80}")
        function.__upcasts__ = version  # type: ignore[attr-defined]
        if method is function:
            return staticmethod(function)  # type: ignore[return-value]
        return method

    return mark


def schema_of(metadata: Mapping[str, str]) -> int:
    """Of which schema the data of an event with this metadata is; UNKNOWN where it says what is
    no version."""
    said = metadata.get(SCHEMA)
    if said is None:
        return 1
    return int(said) if _VERSION.fullmatch(said) else UNKNOWN


def metadata_of(version: int) -> dict[str, str]:
    """The metadata of an event of that schema."""
    return {SCHEMA: str(version)} if version > 1 else {}


def with_schema(metadata: Mapping[str, str], version: int) -> dict[str, str]:
    """This metadata as that of an event of that schema, whatever it says of another one."""
    rest = dict(metadata)
    rest.pop(SCHEMA, None)
    return {**rest, **metadata_of(version)}


def version_of(model: Any) -> int:
    """The schema version that a class of events writes. A class that has a field of this name, from
    before there were schemas, has the first one."""
    return 1 if "schema_version" in model.model_fields else model.schema_version


def check_schema(model: Any) -> None:
    """Raises InvalidEvent for a class of events whose schema version is none, or to which no
    chain of upcasters leads."""
    _steps(model)


class EventSchema:
    """How stored events of one class are read."""

    __slots__ = ("_name", "_steps", "event_type", "read", "version")

    def __init__(self, model: Any) -> None:
        """Raises InvalidEvent."""
        self.event_type: str = model.event_type
        self.version = version_of(model)
        self._name: str = model.__name__
        self._steps = _steps(model)
        #: Makes an event of JSON text of this very version. Raises pydantic's ValidationError.
        self.read: Callable[[bytes], Any] = event_reader(model)

    def read_stored(self, data: bytes, schema: int) -> Any:
        """The event of JSON text that is of some schema version. Raises UnreadableEvent for one
        that this class does not know, and where an upcaster fails; pydantic's ValidationError for
        what does not fit the class then."""
        return self.read(data if schema == self.version else self.brought_up(data, schema))

    def brought_up(self, data: bytes, schema: int) -> bytes:
        """The text of data of an older schema, as today's. Raises UnreadableEvent."""
        if schema == UNKNOWN:
            raise UnreadableEvent(self.event_type, schema, "its metadata names no schema version")
        if schema > self.version:
            problem = (
                f"{self._name} here reads schemas up to {self.version}: run the release that has "
                "written it, or a newer one"
            )
            raise UnreadableEvent(self.event_type, schema, problem)
        found: Any = json.loads(data)
        for version in range(schema, self.version):
            found = self._stepped(version, found, schema)
        try:
            return json.dumps(found).encode()
        except (TypeError, ValueError, RecursionError) as error:
            problem = f"what its upcasters return is no JSON: {_text(error)}"
            raise UnreadableEvent(self.event_type, schema, problem) from error

    def _stepped(self, version: int, data: Any, schema: int) -> Any:
        step = self._steps[version]
        named = f"{self._name}.{step.__name__}, which upcasts {version},"
        try:
            found: object = step(data)
        except Exception as error:
            problem = f"{named} fails: {_text(error)}"
            raise UnreadableEvent(self.event_type, schema, problem) from error
        if not isinstance(found, dict):
            problem = f"{named} returns {found!r:.80}, and no data: return the dict"
            raise UnreadableEvent(self.event_type, schema, problem)
        return found


def _steps(model: Any) -> dict[int, Callable[[Any], Any]]:
    """The upcasters of a class, its own and those that it inherits. Raises InvalidEvent."""
    version = version_of(model)
    if not _is_version(version):
        problem = f"schema_version is a number from 1 on, and counts up, not {version!r:.80}"
        raise InvalidEvent(model.__name__, problem)
    found: dict[int, Callable[[Any], Any]] = {}
    for step in _marked(model):
        number: int = step.__upcasts__  # type: ignore[attr-defined]
        if number in found:
            both = f"{found[number].__name__} and {step.__name__}"
            raise InvalidEvent(model.__name__, f"{both} both upcast {number}: one leads on")
        found[number] = step
    for number in range(1, version):
        if number not in found:
            raise InvalidEvent(
                model.__name__,
                f"schema_version is {version}, and nothing takes data of version {number} to "
                f"{number + 1}: mark a static method @upcasts({number})",
            )
    if beyond := sorted(number for number in found if number >= version):
        raise InvalidEvent(
            model.__name__,
            f"{found[beyond[0]].__name__} upcasts {beyond[0]}, and schema_version is {version}: "
            f"say schema_version = {beyond[-1] + 1}",
        )
    return found


def _marked(model: Any) -> Iterator[Callable[[Any], Any]]:
    for name in dir(model):
        attribute = inspect.getattr_static(model, name, None)
        function = attribute
        while isinstance(function, (staticmethod, classmethod)):  # one may be within another
            function = function.__func__
        if not inspect.isfunction(function) or not hasattr(function, "__upcasts__"):
            continue
        if isinstance(attribute, classmethod) or not _takes_one(function):
            raise InvalidEvent(model.__name__, _not_alone(name, function))
        yield function


def _not_alone(name: str, function: Callable[..., Any]) -> str:
    problem = f"{name} upcasts: it is a static method that takes the data alone"
    first = next(iter(inspect.signature(function).parameters), "")
    if first in ("self", "cls"):
        problem += f", and so has no {first!r}: there is no event yet, and no state"
    return problem


def _is_version(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= MAX_SCHEMA


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind({})
    except TypeError:
        return False
    return not inspect.iscoroutinefunction(function) and not inspect.isgeneratorfunction(function)


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"

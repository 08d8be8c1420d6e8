"""Columns of a table, made of the fields of a class: a projection's rows, or an actor's state.

A field's annotation says the column's type. What no column has a type for is kept as JSON.
"""

import dataclasses
import inspect
import types
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, Flag, StrEnum
from functools import partial
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import BaseModel, TypeAdapter

_FIRST, _BEYOND = -(2**63), 2**63
#: Digits that a number of PostgreSQL may have, before the point and behind it.
_BEFORE_POINT, _BEHIND_POINT = 131_072, 16_383
#: So many bytes of text, or digits of a number, an index takes: PostgreSQL has 2,704 bytes for all
#: of an entry, and what compression saves of them nobody can tell beforehand.
INDEXED_BYTES = 2_600
#: Columns that every table of PostgreSQL has.
_SYSTEM_COLUMNS = frozenset(("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"))


class ColumnType(StrEnum):
    """What a column holds, by PostgreSQL's names."""

    BOOL = "boolean"
    INT = "bigint"
    FLOAT = "double precision"
    TEXT = "text"
    MOMENT = "timestamptz"
    DAY = "date"
    UUID = "uuid"
    DECIMAL = "numeric"
    JSON = "jsonb"


_TYPES: dict[Any, ColumnType] = {
    bool: ColumnType.BOOL,
    int: ColumnType.INT,
    float: ColumnType.FLOAT,
    str: ColumnType.TEXT,
    datetime: ColumnType.MOMENT,
    date: ColumnType.DAY,
    UUID: ColumnType.UUID,
    Decimal: ColumnType.DECIMAL,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """One of a table."""

    name: str
    type: ColumnType
    nullable: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.type}{'' if self.nullable else ' NOT NULL'}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TableSchema:
    """A projection's table: beside these columns it has `key`, which is its primary key."""

    name: str  #: of the projection
    columns: tuple[Column, ...]
    indexes: tuple[str, ...] = ()  #: columns that have an index


class UnfitValue(ValueError):
    """A column cannot hold this value; the message says which, and why."""


class ColumnField:
    """A field of a class as a column: what becomes of its values there and back."""

    __slots__ = ("_indexed", "_read", "_to", "choices", "column", "name")

    def __init__(self, name: str, annotation: Any, *, indexed: bool = False) -> None:
        """`indexed`: its values have to fit into an index. Raises ValueError for an annotation that
        means nothing."""
        inner, nullable = _without_none(annotation)
        kind, self._to, self._read = _form_of(inner)
        self.name = name
        self.column = Column(name, kind, nullable)
        self.choices = _choices(inner)  #: all values that it may have; None: any of its type
        self._indexed = indexed and kind in (ColumnType.TEXT, ColumnType.DECIMAL)

    def value(self, value: Any) -> Any:
        """What the column holds of a value. JSON is a plain value, which the store writes. Raises
        UnfitValue."""
        if value is None:
            if self.column.nullable:
                return None
            raise UnfitValue(f"{self.name} is None, and its annotation does not say that it may be")
        try:
            held = self._to(value)
            if self._indexed:
                _check_indexed(held)
            return held
        except (ValueError, ArithmeticError) as error:  # also pydantic's
            raise UnfitValue(f"{self.name} is {value!r:.80}: {error}") from error

    def field(self, value: Any) -> Any:
        """The value that the column holds."""
        return None if value is None else self._read(value)


class RowForm:
    """The rows of a class, a dataclass or a pydantic model: as tuples of what columns hold."""

    def __init__(self, row: Any, indexes: Sequence[str] = ()) -> None:
        """Raises ValueError for a class that cannot be a row."""
        self.row_class = row
        self.fields = [
            ColumnField(name, kind, indexed=name in indexes)
            for name, kind in annotated_fields(row).items()
        ]
        _check_made_of_fields(row, [field.name for field in self.fields])
        self.columns = tuple(field.column for field in self.fields)
        #: Is every row whose values are good made again of them, without trying?
        self.is_plain = _is_plain(row) and all(
            column.type is not ColumnType.JSON for column in self.columns
        )

    def values(self, row: Any) -> tuple[Any, ...]:
        """A row as a tuple. Raises UnfitValue, for what is no such row, too."""
        if not isinstance(row, self.row_class):
            raise UnfitValue(f"a row is a {self.row_class.__name__}, not {row!r:.80}")
        return tuple([field.value(getattr(row, field.name)) for field in self.fields])

    def row(self, values: tuple[Any, ...]) -> Any:
        """The row of a tuple."""
        read = zip(self.fields, values, strict=True)
        return self.row_class(**{field.name: field.field(value) for field, value in read})


def mistake_in_indexes(state: Any, indexes: Sequence[str]) -> str | None:
    """What is wrong with the names of fields by which actors are to be found; None if nothing."""
    if not indexes:
        return None
    try:
        hints = annotated_fields(state)
    except ValueError as error:
        return f"indexes names fields of its state, and that {error}"
    if len(set(indexes)) < len(indexes):
        return f"indexes names a field twice: {', '.join(indexes)}"
    mistakes = (_mistake_in_index(name, hints) for name in indexes)
    return next((f"indexes names {name}" for name in mistakes if name is not None), None)


def _mistake_in_index(name: str, hints: dict[str, Any]) -> str | None:
    if name not in hints:
        return f"{name!r}, and its state has {', '.join(hints)}"
    if name == "key" or name.startswith("_") or not fits_sql(name):
        return f"{name!r}, which is no name for a column: call the field something else"
    if ColumnField(name, hints[name]).column.type is ColumnType.JSON:
        return (
            f"{name!r}, which is a {_shown(hints[name])}: what is asked for is a number, a text, a "
            "bool, a moment, a day, a UUID, or an enumeration of such values"
        )
    return None


def fits_sql(name: str) -> bool:
    """Can a column be called so?"""
    return name.isascii() and len(name) <= 63 and name not in _SYSTEM_COLUMNS


def checked_value(column: Column, value: Any) -> Any:
    """A value that a column is compared with. Raises UnfitValue."""
    try:
        return _CHECKS[column.type](value.value if isinstance(value, Enum) else value)
    except (ValueError, ArithmeticError) as error:
        raise UnfitValue(f"{column.name} is a {column.type}, not {value!r:.80}: {error}") from error


def value_of_text(column: Column, text: str) -> Any:
    """A value as it stands in a URL. Raises UnfitValue."""
    try:
        return _READ[column.type](text)
    except (ValueError, ArithmeticError) as error:
        raise UnfitValue(f"{column.name} is a {column.type}, not {text!r:.80}") from error


def annotated_fields(cls: Any) -> dict[str, Any]:
    """The fields of a dataclass or of a pydantic model, each with its annotation. Raises ValueError
    for another class, and for an annotation that names nothing."""
    if not isinstance(cls, type) or not (
        dataclasses.is_dataclass(cls) or issubclass(cls, BaseModel)
    ):
        raise ValueError(f"is a dataclass or a pydantic model, not {_shown(cls)}")
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise ValueError(f"{cls.__name__} has an annotation that names nothing: {error}") from error
    if issubclass(cls, BaseModel):
        return {name: hints[name] for name in cls.model_fields}
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _check_made_of_fields(row: Any, names: Sequence[str]) -> None:
    """Raises ValueError for a class that is not made of its fields by their names: what the table
    holds of it could not be read back."""
    if issubclass(row, BaseModel):
        by_name = any(row.model_config.get(one) for one in ("populate_by_name", "validate_by_name"))
        for name, field in row.model_fields.items():
            if not by_name and field.validation_alias not in (None, name):
                raise ValueError(f"takes {name} by another name only: {field.validation_alias}")
        return
    try:
        inspect.signature(row).bind(**dict.fromkeys(names))
    except TypeError as error:
        raise ValueError(
            f"is made of its fields by their names, and {row.__name__}() does not allow that: "
            f"{error}"
        ) from error


def _is_plain(row: Any) -> bool:
    """Does making one run no code but what `dataclass` has written? That of a class derived from
    one may be anything."""
    made = row.__dict__.get("__dataclass_params__")
    if made is None or not made.init or hasattr(row, "__post_init__"):
        return False
    return row.__new__ is object.__new__ and (made.frozen or row.__setattr__ is object.__setattr__)


def _check_indexed(value: str | Decimal) -> None:
    if isinstance(value, str):
        size = len(value) if value.isascii() else len(value.encode())
        if size > INDEXED_BYTES:
            raise ValueError(f"it has {size:,} bytes, and an index takes {INDEXED_BYTES:,}")
    elif len(value.as_tuple().digits) > INDEXED_BYTES or abs(value.adjusted()) > INDEXED_BYTES:
        raise ValueError(f"it has more digits than an index takes, {INDEXED_BYTES:,}")


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """What it is beside None, and whether it may be None."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        others = [one for one in get_args(annotation) if one is not types.NoneType]
        nullable = len(others) < len(get_args(annotation))
        return (others[0] if len(others) == 1 else Any), nullable
    return annotation, annotation in (None, types.NoneType)


def _form_of(kind: Any) -> tuple[ColumnType, Callable[[Any], Any], Callable[[Any], Any]]:
    """The type of its column, and the way there and back."""
    if get_origin(kind) is Literal and all(type(one) is str for one in get_args(kind)):
        return ColumnType.TEXT, _text, _same
    if kind in _TYPES:
        found = _TYPES[kind]
        return found, _CHECKS[found], _same
    if isinstance(kind, type) and issubclass(kind, Enum):
        held = [type(member.value) for member in kind]
        if len(set(held)) == 1 and held[0] in _TYPES:
            found = _TYPES[held[0]]
            return found, partial(_of_enum, kind, _CHECKS[found]), kind
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
    except Exception as error:  # whatever pydantic raises for what it has no schema of
        raise ValueError(f"{_shown(kind)} has no column and no JSON: {error}") from error
    return ColumnType.JSON, partial(adapter.dump_python, mode="json"), adapter.validate_python


def _choices(kind: Any) -> tuple[Any, ...] | None:
    """What an enumeration, or a Literal, holds."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum) and not issubclass(kind, Flag):
        return tuple(member.value for member in kind)
    return None


def _shown(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else f"{kind!r:.80}"


def _same(value: Any) -> Any:
    return value


def _of_enum(kind: type[Enum], check: Callable[[Any], Any], value: Any) -> Any:
    return check(kind(value).value)


def _bool(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise ValueError("no bool")


def _int(value: Any) -> int:
    if type(value) is not int:
        raise ValueError("no int")
    if _FIRST <= value < _BEYOND:
        return value
    raise ValueError("beyond 64 bits")


def _float(value: Any) -> float:
    if isinstance(value, (float, int)) and type(value) is not bool:
        return float(value)
    raise ValueError("no float")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("no str")
    if "\0" in value:
        raise ValueError("PostgreSQL cannot hold NUL characters")
    if not value.isascii():
        value.encode()  # half of a surrogate pair: a UnicodeEncodeError is a ValueError
    return value


def _moment(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise ValueError("no datetime")
    if value.tzinfo is None:
        raise ValueError("it says no time zone, so it is no moment")
    value.astimezone(UTC)  # an OverflowError beyond the years 1 to 9999
    return value


def _day(value: Any) -> date:
    if type(value) is date:
        return value
    raise ValueError("no date")


def _uuid(value: Any) -> UUID:
    if isinstance(value, UUID):
        return value
    raise ValueError("no UUID")


def _decimal(value: Any) -> Decimal:
    if not isinstance(value, Decimal):
        raise ValueError("no Decimal")
    if not value.is_finite():
        raise ValueError("it is no number")
    exponent = int(value.as_tuple().exponent)
    if value.adjusted() >= _BEFORE_POINT or exponent < -_BEHIND_POINT:
        raise ValueError(
            f"it has more than {_BEFORE_POINT:,} digits before the point, or {_BEHIND_POINT:,} "
            "behind it"
        )
    return value


_CHECKS: dict[ColumnType, Callable[[Any], Any]] = {
    ColumnType.BOOL: _bool,
    ColumnType.INT: _int,
    ColumnType.FLOAT: _float,
    ColumnType.TEXT: _text,
    ColumnType.MOMENT: _moment,
    ColumnType.DAY: _day,
    ColumnType.UUID: _uuid,
    ColumnType.DECIMAL: _decimal,
}


def _bool_of(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("neither true nor false")
    return text == "true"


def _int_of(text: str) -> int:
    if len(text) > 20:
        raise ValueError("too long")
    return int(text)


#: What the texts of values are.
_READ: dict[ColumnType, Callable[[str], Any]] = {
    ColumnType.BOOL: _bool_of,
    ColumnType.INT: _int_of,
    ColumnType.FLOAT: float,
    ColumnType.TEXT: str,
    ColumnType.MOMENT: datetime.fromisoformat,
    ColumnType.DAY: date.fromisoformat,
    ColumnType.UUID: UUID,
    ColumnType.DECIMAL: Decimal,
}

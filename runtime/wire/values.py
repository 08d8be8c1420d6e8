"""Plain values as msgpack."""

from datetime import UTC, datetime
from typing import Any

import msgpack
import msgspec
from pydantic import BaseModel, RootModel
from pydantic_core import to_jsonable_python

_BIG_INTEGER = 1


def pack_value(value: Any) -> bytes:
    """Any msgpack value."""
    packed: bytes = msgpack.packb(value, default=plain_form)
    return packed


def unpack_value(packed: bytes) -> Any:
    """The value of its bytes."""
    return _decode_value(packed)


encode = msgspec.msgpack.Encoder().encode

decode_any = msgspec.msgpack.Decoder().decode

#: What a key may be as it is.
_KEYS = frozenset((str, int, float, bool, bytes, type(None)))


def check_keys(value: Any) -> None:
    """Raises ValueError for a mapping, however deep inside, with a key that is neither a
    text nor a number: on the wire it would be a list or a mapping itself."""
    if isinstance(value, dict):
        for key, member in value.items():
            _check_key(key)
            check_keys(member)
    elif isinstance(value, BaseModel):
        check_keys(members(value))
    elif isinstance(value, list | tuple | set | frozenset):
        for member in value:
            check_keys(member)


def _check_key(key: Any) -> None:
    if type(key) in _KEYS:
        return
    if not isinstance(key, tuple | list | frozenset | dict | BaseModel):
        form = plain_form(key)  # of an enumeration, a UUID, a date
        if isinstance(form, str | int | float | msgpack.ExtType):
            return
    raise ValueError(f"the key of a mapping is a text or a number, not {key!r:.80}")


def members(model: BaseModel) -> dict[str, Any]:
    """What a model has, by the names of its fields, as it travels: also what it was given
    beside its fields, where it takes that."""
    extra = model.__pydantic_extra__
    return {**model.__dict__, **extra} if extra else model.__dict__


def plain_form(value: Any) -> Any:
    """What stands for a value that msgpack does not know. Raises what pydantic does for one
    that has no plain form."""
    if isinstance(value, datetime) and (offset := value.utcoffset()) is not None:
        # Pydantic would drop the seconds of an offset, and name another moment.
        value = value.astimezone(UTC) if offset.total_seconds() % 60 else value
    if isinstance(value, int):  # beyond 64 bits
        return msgpack.ExtType(_BIG_INTEGER, str(value).encode())
    if isinstance(value, BaseModel):
        return value.root if isinstance(value, RootModel) else members(value)
    if isinstance(value, set | frozenset):
        return list(value)
    return to_jsonable_python(value, inf_nan_mode="constants", by_alias=False)


def extended_form(code: int, data: bytes | memoryview) -> Any:
    """The value of an extension of msgpack. Raises ValueError for one that is not ours."""
    if code == _BIG_INTEGER:
        return int(bytes(data))
    raise ValueError(f"unknown msgpack extension {code}")


_decode_value = msgspec.msgpack.Decoder(ext_hook=extended_form).decode

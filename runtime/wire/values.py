"""Plain values as msgpack."""

from typing import Any

import msgpack
import msgspec
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

_BIG_INTEGER = 1


def pack_value(value: Any) -> bytes:
    """Any msgpack value."""
    packed: bytes = msgpack.packb(value, default=plain_form)
    return packed


def unpack_value(packed: bytes) -> Any:
    """The value of its bytes."""
    return msgpack.unpackb(packed, ext_hook=extended_form)


encode = msgspec.msgpack.Encoder().encode

decode_any = msgspec.msgpack.Decoder().decode


def plain_form(value: Any) -> Any:
    if isinstance(value, int):  # beyond 64 bits
        return msgpack.ExtType(_BIG_INTEGER, str(value).encode())
    if isinstance(value, BaseModel):
        return value.__dict__
    if isinstance(value, set | frozenset):
        return list(value)
    return to_jsonable_python(value, inf_nan_mode="constants")


def extended_form(code: int, data: bytes) -> Any:
    if code == _BIG_INTEGER:
        return int(data)
    raise ValueError(f"unknown msgpack extension {code}")

"""The code of an actor class: what travels of it, and its fingerprint.

A fingerprint is of what the code is, not of where and when it was read: the same class in the
same modules has the same one in every process, whatever folder they lie in. So a host knows
code that it has, whichever driver brings it, and people see in `status` what runs where.
"""

import functools
import io
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dis import get_instructions
from hashlib import sha256
from types import CodeType
from typing import Any, TypeVar

from pydantic_core import SchemaSerializer, SchemaValidator
from ray import cloudpickle
from ray.cloudpickle.cloudpickle import _DYNAMIC_CLASS_TRACKER_BY_CLASS, _typevar_reduce

_HEADER = b"thornback-class-1\n"
_DIGEST = 64  # letters

#: How pydantic calls a class in a schema: by its name and its address.
_AT_ADDRESS = re.compile(r"([\w.]+):(\d{9,})")
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_CACHED = type(functools.lru_cache(int))


@dataclass(frozen=True, slots=True)
class ActorCode:
    """An actor class on its way: its fingerprint, and its pickle."""

    fingerprint: str
    pickled: bytes

    def pack(self) -> bytes:
        """As bytes."""
        return _HEADER + self.fingerprint.encode() + self.pickled

    @classmethod
    def unpack(cls, packed: bytes) -> "ActorCode":
        """Of its bytes. What is a mere pickle has the fingerprint of its bytes."""
        if not packed.startswith(_HEADER):
            return cls(sha256(packed).hexdigest(), packed)
        at = len(_HEADER)
        fingerprint = packed[at : at + _DIGEST].decode("ascii", "replace")
        return cls(fingerprint, packed[at + _DIGEST :])


class ImportsLate(Exception):
    """A function imports a module of the user's when it runs: nobody could send that along."""

    def __init__(self, function: str, module: str) -> None:
        super().__init__(function, module)
        self.function, self.module = function, module

    def __str__(self) -> str:
        return (
            f"{self.function} imports {self.module!r} when it runs, which its hosts may not have, "
            "or have in an older version: import it at the top of its module"
        )


def code_of(actor: Any, files: Mapping[str, str]) -> ActorCode:
    """The code of a class, with all that was registered to travel by value. `files` has the
    places of the user's own modules, each with its module's name. Raises ImportsLate, and
    whatever pickling the class comes to."""
    fingerprint = fingerprint_of(actor, files)
    file = io.BytesIO()
    # Classes of one fingerprint are the same ones wherever they are loaded; those of another
    # are others, and never what was loaded before with some parts exchanged.
    _Pickler(file, lambda number: f"{fingerprint}-{number}").dump(actor)
    return ActorCode(fingerprint, file.getvalue())


def fingerprint_of(actor: Any, files: Mapping[str, str]) -> str:
    """What tells a class's code from any other. Raises what `code_of` raises."""
    file = io.BytesIO()
    _Fingerprinting(file, files).dump(actor)
    return sha256(file.getvalue()).hexdigest()


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    """cloudpickle, but that classes made here are known by the order in which they come: it gives
    each of them a random name, by which it finds it again where it was loaded before."""

    def __init__(self, file: io.BytesIO, name_of: Callable[[int], str]) -> None:
        super().__init__(file)
        self._name_of = name_of
        self._numbers: dict[Any, int] = {}

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is _CACHED:
            # By itself it travels as the name of a function that its hosts do not have.
            return cached, (obj.__wrapped__, obj.cache_parameters())
        if isinstance(obj, TypeVar):
            return self._named(obj, _typevar_reduce(obj))
        reduced = super().reducer_override(obj)
        return self._named(obj, reduced) if isinstance(obj, type) else reduced

    def _named(self, obj: Any, reduced: Any) -> Any:
        random = _DYNAMIC_CLASS_TRACKER_BY_CLASS.get(obj)
        if random is None or not isinstance(reduced, tuple):
            return reduced
        name = self._name_of(self._numbers.setdefault(obj, len(self._numbers)))
        make, arguments, *rest = reduced
        return make, tuple(name if one == random else one for one in arguments), *rest


class _Fingerprinting(_Pickler):
    """A pickle that nobody loads: without what differs between processes that have the same
    code (the order of sets, addresses, folders, and which equal texts are one object)."""

    def __init__(self, file: io.BytesIO, files: Mapping[str, str]) -> None:
        super().__init__(file, str)
        self._files = files
        self._own = {name.partition(".")[0] for name in files.values()}

    def persistent_id(self, obj: Any) -> str | None:
        kind = type(obj)
        if kind is str:
            # Made anew each time: of a text that is one object with another the pickle would
            # say so.
            return f"text {self._text(obj)}"
        if kind is set or kind is frozenset:
            return f"set {sorted(map(_shown, obj))}"
        if kind is SchemaValidator or kind is SchemaSerializer:
            return "what pydantic made of the class"
        if kind is CodeType:
            self._check_imports(obj)
        return None

    def _text(self, text: str) -> str:
        if text in self._files:
            return f"the file of {self._files[text]}"
        found = _AT_ADDRESS.match(text)
        if found is not None and id(_class_at(found[1])) == int(found[2]):
            return found[1] + text[found.end() :]
        return text

    def _check_imports(self, code: CodeType) -> None:
        if self._own.isdisjoint(name.partition(".")[0] for name in code.co_names):
            return
        for step in get_instructions(code):
            if step.opname == "IMPORT_NAME" and step.argval.partition(".")[0] in self._own:
                raise ImportsLate(code.co_qualname, step.argval)


def cached(function: Any, parameters: Mapping[str, Any]) -> Any:
    """A function under `lru_cache`, with an empty cache."""
    return functools.lru_cache(**parameters)(function)


def _class_at(name: str) -> Any:
    """What stands in a module under a full name."""
    module, _, rest = name.rpartition(".")
    while module and module not in sys.modules:
        module, _, outer = module.rpartition(".")
        rest = f"{outer}.{rest}"
    found: Any = sys.modules.get(module)
    for part in rest.split("."):
        found = getattr(found, part, None)
    return found


def _shown(value: Any) -> str:
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return _ADDRESS.sub("", repr(value))

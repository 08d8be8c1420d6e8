"""What an applier's own code shows to be a mistake: a state that it returns, a field that is none.

Python lets a dataclass have any attribute; one that is no field is in no snapshot and in nobody's
answer, so a misspelt one would be lost without a word.
"""

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from actors.method_code import Method, definition, named, new_state, own, path_in_state


def mistake_in_applier(actor: Any, method: Method) -> str | None:
    """What is wrong with an applier's code: it makes the next state, which nobody takes."""
    function = definition(method)
    if function is None:
        return None
    for node in own(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
            made = named(actor, method, function, node.value.func)
            if made is not None and made in (actor.state_type, dataclasses.replace):
                return "returns a state, which nobody takes: an applier changes self.state"
    return None


def no_field_in(actor: Any, method: Method) -> str | None:
    """What an applier sets that its state does not have, and what to do; None where nothing is
    known. The state's class is well formed."""
    function = definition(method)
    return None if function is None else next(_no_fields(actor, function), None)


def _no_fields(actor: Any, function: ast.FunctionDef) -> Iterator[str]:
    state = actor.state_type
    if not _takes_anything_in_silence(state):
        return
    for node in own(function):
        if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Store):
            continue
        path = path_in_state(function, node)
        if path == ():
            return  # it takes another state, whose class may be another one
        if path is None or len(path) > 1 or _has(actor, path[0]):
            continue
        fields = [each for each in _fields(state) if not each.startswith("_")]
        near = get_close_matches(path[0], fields, n=1)
        hint = f"did you mean {near[0]}?" if near else "add it, annotated and with a default"
        yield f"sets {ast.unparse(node)}, and {state.__name__} has no such field: {hint}"


def _takes_anything_in_silence(state: Any) -> bool:
    """Is it a class with fields whose attributes are set as Python does, or as pydantic does?"""
    if not isinstance(state, type):
        return False
    if issubclass(state, BaseModel):
        own_way = state.__setattr__ is not BaseModel.__setattr__
        return not own_way and state.model_config.get("extra") != "allow"
    return dataclasses.is_dataclass(state) and state.__setattr__ is object.__setattr__


def _fields(state: Any) -> list[str]:
    if issubclass(state, BaseModel):
        return [*state.model_fields, *state.__private_attributes__]
    return [field.name for field in dataclasses.fields(state)]


def _has(actor: Any, name: str) -> bool:
    """Is it a field, what a property or another descriptor takes, or what `__init__` has set?
    A subclass of the state's class may stand in its place."""
    if name in getattr(new_state(actor), "__dict__", ()):
        return True
    classes = [actor.state_type]
    for state in classes:
        classes.extend(state.__subclasses__())
        if name in _fields(state):
            return True
        if hasattr(inspect.getattr_static(state, name, None), "__get__"):
            return True
        if hasattr(inspect.getattr_static(state, name, None), "__set__"):
            return True
    return False

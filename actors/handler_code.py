"""What a handler's own code shows to be a mistake: an event that is dropped, a refusal that is
not raised, a state that is changed.

A handler that yields nothing is legal: it may check, and reject. One that makes an event and
does nothing with it, or that promises events and can have none, would be accepted, store nothing
and say nothing. So the code is read, once, when its class is described: what is found is surely a
mistake, and what is not certain (source that is not there, an event made only to see whether it
can be made) is no finding.
"""

import ast
import dis
import inspect
from collections.abc import (
    Generator,
    Iterable,
    Iterator,
    MutableMapping,
    MutableSequence,
    MutableSet,
)
from itertools import chain
from typing import Any, get_origin

from actors.event import Payload
from actors.messages import Yielded
from actors.method_code import ANY_ITEM, Method, definition, named, new_state, own, path_in_state

_RETURNS = {"RETURN_VALUE", "RETURN_CONST"}
#: What looks at local names from below: in its presence no name is unread.
_LOOKS_AT_NAMES = {"eval", "exec", "locals", "vars"}
#: What an annotation begins with that promises events.
_MANY = (Iterator, Iterable, Generator)
#: What changes a list, a dict, a set or a deque.
_MUTATORS = {
    "add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft",
    "insert", "intersection_update", "pop", "popitem", "popleft", "remove", "reverse", "rotate",
    "setdefault", "sort", "symmetric_difference_update", "update",
}  # fmt: skip
_CONTAINERS = (MutableMapping, MutableSequence, MutableSet)


def mistake_in(actor: type, method: Method, returned: Any) -> str | None:
    """What is wrong with a handler's code and what to do; None where nothing is known to be.

    `returned` is what its annotation says that it returns.
    """
    function = definition(method)
    if function is None:
        return None
    found = chain(
        _dropped(actor, method, function),
        _returned(method, actor, function),
        _returned_among_yields(method, function),
        _changed(actor, function),
    )
    return next(found, None) or _promised(method, function, returned)


def _dropped(actor: type, method: Method, function: ast.FunctionDef) -> Iterator[str]:
    read = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store)
    }
    for statement in own(function):
        match statement:
            case ast.Expr(value=ast.Call(func=made)):
                pass
            case ast.Return(value=ast.Call(func=made)) if inspect.isgeneratorfunction(method):
                pass  # among yields, what is returned goes nowhere
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=made)):
                if name in read or read & _LOOKS_AT_NAMES or _is_shared(function, name):
                    continue
            case _:
                continue
        if _is_tried(function, statement):
            continue  # perhaps to see whether the event can be made
        what = named(actor, method, function, made)
        if isinstance(what, type) and issubclass(what, Payload | Yielded):
            yield f"makes {what.__name__} and drops it: yield it, `yield {what.__name__}(...)`"
        elif inspect.isgeneratorfunction(what):
            call = ast.unparse(made)
            yield f"calls {call}, which yields, and drops what comes: `yield from {call}(...)`"


def _changed(actor: Any, function: ast.FunctionDef) -> Iterator[str]:
    for what in changed_state(actor, function):
        yield (
            f"changes {what}, which no event would tell: yield an event, and change the state in "
            "the method that applies it"
        )


def changed_state(actor: Any, function: ast.FunctionDef) -> Iterator[str]:
    """Where it changes its actor's state itself: no event would have that."""
    changed: bool | None
    for node in own(function):
        match node:
            case (
                ast.Attribute(ctx=ast.Store() | ast.Del())
                | ast.Subscript(ctx=ast.Store() | ast.Del())
            ):
                changed = path_in_state(function, node) is not None
            case ast.Call(func=ast.Attribute(value=holder, attr=method)) if method in _MUTATORS:
                changed = _is_container(actor, function, holder)
            case ast.Expr(
                value=ast.Call(func=ast.Attribute(value=holder, attr=method)) as node
            ) if method in _MUTATORS:
                # What it would return is dropped: it is called for what it changes.
                changed = _is_container(actor, function, holder) is not False
            case _:
                continue
        if changed:
            yield f"{ast.unparse(node):.80}"


def _is_container(actor: Any, function: ast.FunctionDef, node: ast.expr) -> bool | None:
    """Is what stands there a list, a dict or the like inside the state? None where it is
    inside the state, and what it is cannot be known."""
    path = path_in_state(function, node)
    if not path:
        return False
    value = new_state(actor)
    for name in path:
        if value is None or name == ANY_ITEM:
            return None
        value = getattr(value, name, None)
    return None if value is None else isinstance(value, _CONTAINERS)


def _returned(method: Method, actor: type, function: ast.FunctionDef) -> Iterator[str]:
    """Where it makes an exception that it does not raise: the command would be accepted."""
    for statement in own(function):
        match statement:
            case ast.Return(value=ast.expr() as value):
                does = "returns"
            case ast.Expr(value=ast.Call() as value):
                does = "makes"
            case _:
                continue
        for one in _alternatives(value):
            made = named(actor, method, function, one.func if isinstance(one, ast.Call) else one)
            if isinstance(made, type) and issubclass(made, BaseException):
                name = made.__name__
                yield f"{does} {name} and does not raise it: `raise {ast.unparse(one):.80}`"


def _returned_among_yields(method: Method, function: ast.FunctionDef) -> Iterator[str]:
    """Where it returns something beside what it yields: nobody takes that."""
    if not inspect.isgeneratorfunction(method):
        return
    for statement in own(function):
        match statement:
            case ast.Return(value=None | ast.Constant(value=None) | ast.YieldFrom() | ast.Yield()):
                continue  # which only ends it
            case ast.Return(value=ast.expr() as value):
                shown = ast.unparse(value)
                each = " from" if isinstance(value, ast.List | ast.Tuple) else ""
                yield (
                    f"returns {shown:.80} among its yields, where nobody takes it: "
                    f"`yield{each} {shown:.80}`, and `return` behind it"
                )


def _alternatives(node: ast.expr) -> Iterator[ast.expr]:
    """What an expression may give: `a if b else c` gives a or c."""
    if isinstance(node, ast.IfExp):
        yield from _alternatives(node.body)
        yield from _alternatives(node.orelse)
    else:
        yield node


def _promised(method: Method, function: ast.FunctionDef, returned: Any) -> str | None:
    """Does it say that it yields events, and can have none?"""
    if get_origin(returned) not in _MANY or inspect.isgeneratorfunction(method):
        return None
    for node in own(function):
        if isinstance(node, ast.Return) and node.value is not None:
            return None
    ends = any(each.opname in _RETURNS for each in dis.get_instructions(method))
    if not ends or all(isinstance(each, ast.Pass) or _is_text(each) for each in function.body):
        return None  # it always raises, or is there for subclasses to fill in
    shown = ast.unparse(function.returns) if function.returns else "Iterator"
    return (
        f"says that it yields (-> {shown}) and never does: yield its events, or annotate "
        "`-> None` where it only checks"
    )


def _is_text(statement: ast.stmt) -> bool:
    """A docstring, or `...`."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_shared(function: ast.FunctionDef, name: str) -> bool:
    """Is a name not the function's own?"""
    return any(
        isinstance(node, ast.Global | ast.Nonlocal) and name in node.names
        for node in ast.walk(function)
    )


def _is_tried(function: ast.FunctionDef, statement: ast.AST) -> bool:
    """Is something done where it fails?"""
    return any(
        isinstance(node, ast.Try | ast.TryStar | ast.With)
        and any(statement is each for inner in node.body for each in (inner, *own(inner)))
        for node in own(function)
    )

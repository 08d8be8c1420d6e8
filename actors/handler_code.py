"""What a handler's own code shows to be a mistake: events that are made and dropped.

A handler that yields nothing is legal: it may check, and reject. One that makes an event and
does nothing with it, or that promises events and can have none, would be accepted, store nothing
and say nothing. So the code is read, once, when its class is described: what is found is surely a
mistake, and what is not certain (source that is not there, an event made only to see whether it
can be made) is no finding.
"""

import ast
import dataclasses
import dis
import inspect
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, get_origin

from actors.event import Payload

Method = Callable[..., Any]

_RETURNS = {"RETURN_VALUE", "RETURN_CONST"}
#: What looks at local names from below: in its presence no name is unread.
_LOOKS_AT_NAMES = {"eval", "exec", "locals", "vars"}
#: What an annotation begins with that promises events.
_MANY = (Iterator, Iterable, Generator)


def mistake_in(actor: type, method: Method, returned: Any) -> str | None:
    """What is wrong with a handler's code and what to do; None where nothing is known to be.

    `returned` is what its annotation says that it returns.
    """
    function = _definition(method)
    if function is None:
        return None
    found = next(_dropped(actor, method, function), None) or next(_changed(function), None)
    return found or _promised(method, function, returned)


def mistake_in_applier(actor: Any, method: Method) -> str | None:
    """What is wrong with an applier's code: it makes the next state, which nobody takes."""
    function = _definition(method)
    if function is None:
        return None
    for node in _own(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
            made = _named(actor, method, function, node.value.func)
            if made is not None and made in (actor.state_type, dataclasses.replace):
                return "returns a state, which nobody takes: an applier changes self.state"
    return None


def _definition(method: Method) -> ast.FunctionDef | None:
    """Its code as it was written; None where that is not there, or may be that of another one."""
    module = sys.modules.get(method.__module__)
    if not inspect.isfunction(method) or method.__globals__ is not getattr(module, "__dict__", {}):
        return None  # it has travelled here: whoever sent it has looked
    try:
        source = inspect.getsource(method)
        tree = ast.parse(f"if True:\n{source}" if source[:1].isspace() else source)
    except (OSError, TypeError, SyntaxError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yields = any(isinstance(each, ast.Yield | ast.YieldFrom) for each in _own(node))
            same = node.name == method.__code__.co_name
            return node if same and yields == inspect.isgeneratorfunction(method) else None
    return None


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function that run when it does: not those of functions inside of it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield node
            yield from _own(node)


def _dropped(actor: type, method: Method, function: ast.FunctionDef) -> Iterator[str]:
    read = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store)
    }
    for statement in _own(function):
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
        what = _named(actor, method, function, made)
        if isinstance(what, type) and issubclass(what, Payload):
            yield f"makes {what.__name__} and drops it: yield it, `yield {what.__name__}(...)`"
        elif inspect.isgeneratorfunction(what):
            call = ast.unparse(made)
            yield f"calls {call}, which yields, and drops what comes: `yield from {call}(...)`"


def _changed(function: ast.FunctionDef) -> Iterator[str]:
    """Where it changes its actor's state itself: no event would have that."""
    own = function.args.args[0].arg if function.args.args else ""
    for node in _own(function):
        if not isinstance(node, ast.Attribute | ast.Subscript):
            continue
        if isinstance(node.ctx, ast.Load):
            continue
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute | ast.Subscript):
            if ast.unparse(inner) == f"{own}.state":
                yield (
                    f"changes {ast.unparse(node)}, which no event would tell: yield an event, and "
                    "change the state in the method that applies it"
                )
                break
            inner = inner.value


def _promised(method: Method, function: ast.FunctionDef, returned: Any) -> str | None:
    """Does it say that it yields events, and can have none?"""
    if get_origin(returned) not in _MANY or inspect.isgeneratorfunction(method):
        return None
    for node in _own(function):
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
        and any(statement is each for inner in node.body for each in (inner, *_own(inner)))
        for node in _own(function)
    )


def _named(actor: type, method: Method, function: ast.FunctionDef, node: ast.expr) -> Any:
    """What a dotted name stands for; None where that is not certain."""
    match node:
        case ast.Name(id=name):
            if name in method.__code__.co_varnames or name in method.__code__.co_cellvars:
                return None
            try:
                known = inspect.getclosurevars(method)
            except ValueError:
                return None  # something that it uses is defined further down
            return known.nonlocals.get(name, known.globals.get(name))
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if (
            function.args.args and name == function.args.args[0].arg
        ):
            return inspect.getattr_static(actor, attribute, None)
        case ast.Attribute(value=inner, attr=attribute):
            holder = _named(actor, method, function, inner)
            if inspect.ismodule(holder) or inspect.isclass(holder):
                return inspect.getattr_static(holder, attribute, None)
    return None

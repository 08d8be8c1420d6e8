"""The code of a class's methods, as it was written: read where it is certain to be theirs.

A class that has travelled comes without its source, or to a machine whose file of that name is
another one. Then nothing is known, and whoever asks says nothing.
"""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

Method = Callable[..., Any]

#: In a path: some item of what stands before it.
ANY_ITEM = "[]"


def definition(method: Method) -> ast.FunctionDef | None:
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
            yields = any(isinstance(each, ast.Yield | ast.YieldFrom) for each in own(node))
            same = node.name == method.__code__.co_name
            return node if same and yields == inspect.isgeneratorfunction(method) else None
    return None


def own(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function that run when it does: not those of functions inside of it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield node
            yield from own(node)


def named(actor: type, method: Method, function: ast.FunctionDef, node: ast.expr) -> Any:
    """What a dotted name stands for; None where that is not certain."""
    match node:
        case ast.Name(id=name):
            if name in method.__code__.co_varnames or name in method.__code__.co_cellvars:
                return None
            try:
                known = inspect.getclosurevars(method)
            except ValueError:
                return None  # something that it uses is defined further down
            return {**known.builtins, **known.globals, **known.nonlocals}.get(name)
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if (
            function.args.args and name == function.args.args[0].arg
        ):
            return inspect.getattr_static(actor, attribute, None)
        case ast.Attribute(value=inner, attr=attribute):
            holder = named(actor, method, function, inner)
            if inspect.ismodule(holder) or inspect.isclass(holder):
                return inspect.getattr_static(holder, attribute, None)
    return None


def path_in_state(function: ast.FunctionDef, node: ast.AST) -> tuple[str, ...] | None:
    """`self.state.legs[3].delay` is `("legs", ANY_ITEM, "delay")`; None outside of the state."""
    this = function.args.args[0].arg if function.args.args else ""
    path: tuple[str, ...] = ()
    while isinstance(node, ast.Attribute | ast.Subscript):
        if ast.unparse(node) == f"{this}.state":
            return path
        path = (node.attr if isinstance(node, ast.Attribute) else ANY_ITEM, *path)
        node = node.value
    return None


def new_state(actor: Any) -> Any:
    """The state that an actor begins with; None where it cannot be made."""
    try:
        return actor.state_type()
    except Exception:  # what is wrong with it is told by the check of the state, or its first use
        return None

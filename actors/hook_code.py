"""What a class's hooks show to be a mistake: what would never run, or a state that is changed.

The host calls `on_start`, `on_stop` and `on_failure` by their names, and nobody waits for what
comes of it. So one that cannot be called, or yields, or decides something, would fail each time, or
be dropped without a word; and a state that one changes would be in the next snapshot, and in
nothing else.
"""

import ast
import inspect
from collections.abc import Iterator
from typing import Any

from actors.event import Payload
from actors.handler_code import changed_state
from actors.messages import Yielded
from actors.method_code import Method, definition, named, own

#: What each of them takes beside its actor.
HOOKS: dict[str, tuple[str, ...]] = {"on_start": (), "on_stop": (), "on_failure": ("error",)}


def mistake_in_hooks(actor: type) -> str | None:
    """What is wrong with a class's hooks and what to do; None where nothing is known to be."""
    for name, takes in HOOKS.items():
        hook = inspect.getattr_static(actor, name, None)
        if hook is not None and (problem := _mistake_in(actor, name, hook, takes)):
            return f"{name} {problem}"
    return None


def _mistake_in(actor: type, name: str, hook: Any, takes: tuple[str, ...]) -> str | None:
    wanted = f"def {name}({', '.join(('self', *takes))})"
    if not inspect.isfunction(hook):
        shown = type(hook).__name__ if hasattr(hook, "__func__") else f"{hook!r:.80}"
        return f"is a hook, and so a plain method, `{wanted}`, not {shown}"
    if mark := getattr(hook, "__thornback__", None):
        return (
            f"is marked @{mark}, and is a hook, which its host runs by itself: give the method "
            "that is marked another name"
        )
    if inspect.iscoroutinefunction(hook) or inspect.isasyncgenfunction(hook):
        return f"is async: a hook runs without waiting; make it a plain `{wanted}`"
    if inspect.isgeneratorfunction(hook):
        return "yields, so it would never run: a hook decides nothing, a handler yields events"
    try:
        inspect.signature(hook).bind(None, *takes)
    except TypeError as error:
        return f"is a hook, and its host could not call it ({error}): write `{wanted}`"
    function = definition(hook)
    return None if function is None else next(_in_code(actor, hook, function), None)


def _in_code(actor: type, hook: Method, function: ast.FunctionDef) -> Iterator[str]:
    for changed in changed_state(actor, function):
        yield (
            f"changes {changed}, which no event would tell: a hook looks at the state; yield an "
            "event in a handler, and change the state in the method that applies it"
        )
    for statement in own(function):
        if not isinstance(statement, ast.Expr | ast.Return):
            continue
        for call in _alone(statement.value):
            made = named(actor, hook, function, call.func)
            if isinstance(made, type) and issubclass(made, Payload | Yielded):
                yield (
                    f"makes {made.__name__}, which nobody takes: a hook decides nothing; have a "
                    "handler yield it"
                )
            elif inspect.isgeneratorfunction(made):
                called = ast.unparse(call.func)
                yield f"calls {called}, which yields, so it would never run: make it plain"


def _alone(value: ast.expr | None) -> Iterator[ast.Call]:
    """The calls that are a statement's value, or stand in the list that is."""
    for one in value.elts if isinstance(value, ast.List | ast.Tuple) else (value,):
        if isinstance(one, ast.Call):
            yield one

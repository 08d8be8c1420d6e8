"""What a class's own code shows to be a mistake: a method that another one of its name hides.

Python keeps the second of two methods and forgets the first, so its command would be unknown,
and its event not applied, with nothing to say why.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from typing import Any

_MARKS = {"handles", "applies"}


def hidden_method(actor: Any) -> str | None:
    """What is wrong with a class, or one of its bases, that has a marked method and later on
    another of the same name; None where nothing is known to be."""
    for base in actor.__mro__:
        if (body := _body(base)) is not None:
            for first, second in _twice(body):
                if _is_meant(base, body, second):
                    return (
                        f"{first.name} is defined twice in {base.__name__}, and the second hides "
                        f"the one marked @{_mark(first)}: give each a name of its own"
                    )
    return None


def _body(actor: type) -> ast.ClassDef | None:
    """Its code, with the lines of its file; None where that is not there."""
    functions = [each for each in vars(actor).values() if inspect.isfunction(each)]
    module = getattr(sys.modules.get(actor.__module__), "__dict__", None)
    if not any(each.__globals__ is module and hasattr(each, "__thornback__") for each in functions):
        return None  # it has no methods of ours, or has travelled here: whoever sent it has looked
    try:
        lines, start = inspect.getsourcelines(actor)
        source = "".join(lines)
        tree = ast.parse(f"if True:\n{source}" if source[:1].isspace() else source)
    except (OSError, TypeError, SyntaxError):
        return None
    ast.increment_lineno(tree, start - (2 if source[:1].isspace() else 1))
    return next((node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)), None)


def _twice(body: ast.ClassDef) -> Iterator[tuple[ast.FunctionDef, ast.FunctionDef]]:
    """Its methods that are marked, each with the one that hides it."""
    used = {node.id for node in _outside_of_methods(body) if not isinstance(node.ctx, ast.Store)}
    known: dict[str, ast.FunctionDef] = {}
    for node in body.body:
        if isinstance(node, ast.FunctionDef):
            first = known.get(node.name)
            if first is not None and _mark(first) and node.name not in used:
                yield first, node
            known[node.name] = node


def _outside_of_methods(body: ast.ClassDef) -> Iterator[ast.Name]:
    """The names in what runs when the class is made: `again = read`, `@read.register`."""
    for statement in body.body:
        parts: list[ast.AST] = [statement]
        if isinstance(statement, ast.FunctionDef):
            parts = [*statement.decorator_list, *statement.args.defaults]
        for part in parts:
            yield from (node for node in ast.walk(part) if isinstance(node, ast.Name))


def _is_meant(actor: type, body: ast.ClassDef, method: ast.FunctionDef) -> bool:
    """Is the method that was read the one that the class has? Its line shows it."""
    has = vars(actor).get(method.name)
    line = min([method.lineno, *(each.lineno for each in method.decorator_list)])
    return inspect.isfunction(has) and has.__code__.co_firstlineno == line


def _mark(method: ast.FunctionDef) -> str | None:
    for decorator in method.decorator_list:
        last = ast.unparse(decorator).rpartition(".")[2]
        if last in _MARKS:
            return last
    return None

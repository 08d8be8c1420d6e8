"""What of a class looks as if it said what becomes of its actors that fail, and does not.

A host reads `supervision` of the class, and nothing else. Under another name, or said of one actor,
it would never apply, and nobody would hear of it before an actor fails in production.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Any

from actors.method_code import definition, own
from actors.supervision import RestartPolicy, Scope, Strategy, Supervision

NAME = "supervision"
_PARTS = (Supervision, RestartPolicy, Strategy, Scope)
#: Names under which a plain text is taken for one of these.
_TEXTS: dict[str, type[Strategy | Scope]] = {
    "strategy": Strategy,
    "supervisor_strategy": Strategy,
    "scope": Scope,
}
_TYPE_ALONE = re.compile(r"(\w+\.)*(ClassVar\[)?(\w+\.)*Supervision\]?")


def mistake_in_supervision(actor: Any) -> str | None:
    """What of a class would never apply, and what to do; None where nothing is known to be."""
    for base in actor.__mro__:
        for problem in (*_other_names(actor, base), *_type_alone(actor, base), *_assigned(base)):
            return problem
        if vars(base).get(NAME, actor) is None:
            return None  # Actor itself, or whoever takes back what those above it say
    return None


def says_supervision(cls: type) -> str | None:
    """The name of a class's attribute that is one, or a policy of one."""
    names = (name for name in dir(cls) if not name.startswith("__"))
    return next(
        (
            name
            for name in names
            if isinstance(inspect.getattr_static(cls, name, None), Supervision | RestartPolicy)
        ),
        None,
    )


def _other_names(actor: Any, base: type) -> Iterator[str]:
    said: Supervision | None = actor.supervision
    applied = (said, said.policy, said.strategy, said.scope) if said else ()
    for name, value in vars(base).items():
        # What the supervision is made of may have a name of its own.
        if name != NAME and _is_part(name, value) and value not in applied:
            shown = f"{value!r:.80}"
            yield (
                f"{name} = {shown} never applies: a class says what becomes of its actors that "
                f"fail as `{NAME} = Supervision(...)`"
            )


def _is_part(name: str, value: Any) -> bool:
    if isinstance(value, _PARTS):
        return True
    return name in _TEXTS and isinstance(value, str) and value in list(_TEXTS[name])


def _type_alone(actor: Any, base: type) -> Iterator[str]:
    annotation = inspect.get_annotations(base).get(NAME)
    if annotation is None or actor.supervision is not None:
        return
    shown = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    if _TYPE_ALONE.fullmatch(shown):
        yield f"{NAME} has a type and no value, so it never applies: `{NAME} = Supervision(...)`"


def _assigned(base: type) -> Iterator[str]:
    for method in vars(base).values():
        if not inspect.isfunction(method) or NAME not in method.__code__.co_names:
            continue
        function = definition(method)
        if function is None or not function.args.args:
            continue
        this = function.args.args[0].arg
        whose = {this, f"type({this})", f"{this}.__class__"}
        for node in own(function):
            match node:
                case ast.Attribute(value=holder, attr="supervision", ctx=ast.Store()) if (
                    ast.unparse(holder) in whose
                ):
                    yield (
                        f"{method.__name__} sets {ast.unparse(node)}, which never applies: its "
                        f"class says it for all of them, `{NAME} = Supervision(...)`"
                    )

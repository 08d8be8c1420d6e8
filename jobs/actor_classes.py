"""The class of an actor type, where its name is all that is given."""

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from actors.actor import Actor
from runtime.errors import NotPossible

#: Devices that come along.
_OURS = "actors.devices"


def class_in(actor_type: str, modules: Iterable[str]) -> type[Actor[Any]] | None:
    """The class of an actor type, out of the first of these modules that has one, or of the devices
    that come along; None where there is none. Raises NotPossible for a module that cannot be
    imported."""
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` would
    found = (_in_module(name, actor_type) for name in (*modules, _OURS))
    return next((one for one in found if one is not None), None)


def class_of(actor_type: str, module: str | None, modules: Iterable[str]) -> type[Actor[Any]]:
    """The class of an actor type, out of a module or else out of these `modules` of the settings.
    Raises NotPossible."""
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` would
    searched = [module] if module is not None else [*modules, _OURS]
    for name in searched:
        if (found := _in_module(name, actor_type)) is not None:
            return found
    hint = (
        "" if module is not None else ": say in which one it is, --module (like chargers.charger)"
    )
    raise NotPossible(f"no class of the type {actor_type!r} is in {', '.join(searched)}{hint}")


def _in_module(module: str, actor_type: str) -> type[Actor[Any]] | None:
    try:
        values = vars(import_module(module)).values()
    except ImportError as error:
        raise NotPossible(f"the module {module!r} cannot be imported here: {error}") from error
    actors = (one for one in values if isinstance(one, type) and issubclass(one, Actor))
    return next((one for one in actors if getattr(one, "actor_type", "") == actor_type), None)

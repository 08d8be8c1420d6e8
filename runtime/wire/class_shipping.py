"""Actor classes on their way to hosts that cannot import them.

Commands and events never travel as pickles; classes have to, as code, like every Ray
task. Who may send one may run code in the cluster already.

A class travels with all that it uses of the user's own modules, whichever of them that
is in. What is installed (the standard library, Thornback, what lies in site-packages)
does not travel: hosts import it, and where one cannot, it says which module it misses.
"""

import copyreg
import dataclasses
import logging
import os
import site
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ray import cloudpickle

from actors.actor import Actor
from runtime.wire.actor_code import code_of, fingerprint_of

logger = logging.getLogger("thornback.driver")

# The dataclasses module tells its sentinels apart by identity; pickled with a class of a
# driver script they would arrive as strangers, and no default would be one any more.
copyreg.pickle(type(dataclasses.MISSING), lambda _: "MISSING")
copyreg.pickle(dataclasses._FIELD_BASE, lambda sentinel: sentinel.name)  # type: ignore[attr-defined]

#: Hosts have these, wherever they lie: an editable installation is beside the user's own.
_THORNBACK = frozenset(
    ("actors", "gateways", "jobs", "runtime", "store", "streams", "thornback")
)  # fmt: skip

#: Names of the folders that installers fill, in any environment.
_INSTALLED = frozenset(("site-packages", "dist-packages"))


class _Registering:
    """What is registered is so for the whole process: one class at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def left_behind(self) -> None:
        """This process was forked: whoever has the lock is in its parent."""
        self.lock = threading.Lock()


_registering = _Registering()
os.register_at_fork(after_in_child=_registering.left_behind)


def pickled_class(actor: type[Actor[Any]]) -> bytes:
    """A class with the code of the user's own modules (an ActorCode): a host runs in another
    process and perhaps on another machine, where they cannot be imported. Raises ImportsLate
    for one that would need them later, and whatever pickling the class comes to."""
    return pickled_with_own_modules(actor)


def pickled_with_own_modules(code: Any) -> bytes:
    """The same of anything that is code, or has some."""
    own = own_modules()
    with _registering.lock, _by_value(own), _undescribed():
        return code_of(code, _files_of(own)).pack()


def fingerprint_here(actor: type[Actor[Any]]) -> str:
    """The fingerprint of a class that this process has imported; "unknown" where its code has
    no form that could be told from another."""
    module = sys.modules.get(actor.__module__)
    own = own_modules() + ([module] if module is not None else [])
    with _registering.lock, _by_value(own), _undescribed():
        try:
            return fingerprint_of(actor, _files_of(own))
        except Exception as error:  # of a module of the user's, which was never to travel
            logger.debug("%s has no fingerprint: %s", actor.class_name(), error)
            return "unknown"


def _files_of(own: list[ModuleType]) -> dict[str, str]:
    """Where the user's own modules lie, each with its module's name."""
    roots = {module.__name__.partition(".")[0] for module in own} | {"__main__"}
    files: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in roots:
            places = (getattr(module, attribute, None) for attribute in ("__file__", "__cached__"))
            for place in (*places, *getattr(module, "__path__", ())):
                if isinstance(place, str):
                    files[place] = files[str(Path(place).absolute())] = name
    return files


def name_of_main(actor: type[Actor[Any]]) -> None:
    """A class of the program itself says which program that is: by the name that its module has
    for whoever imports it. All programs call it `__main__`."""
    if actor.__module__ == "__main__":
        actor._module = _main_module()  # type: ignore[attr-defined]


def _main_module() -> str:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return str(spec.name).removesuffix(".__main__")
    place = _place_of(main)
    if place is None:
        return "__main__"  # typed in, or a notebook's
    names, folder = [place.stem], place.parent
    while (folder / "__init__.py").exists():
        names, folder = [folder.name, *names], folder.parent
    return ".".join(names)


def own_modules() -> list[ModuleType]:
    """The top-level modules that only this program has; each stands for all within it."""
    return [
        module
        for name, module in list(sys.modules.items())
        if "." not in name and _is_own(name, module)
    ]


@contextmanager
def _by_value(modules: list[ModuleType]) -> Iterator[None]:
    # What is registered already was so by the user, and stays so.
    known = cloudpickle.list_registry_pickle_by_value()
    added = [module for module in modules if module.__name__ not in known]
    for module in added:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in added:
            cloudpickle.unregister_pickle_by_value(module)


@contextmanager
def _undescribed() -> Iterator[None]:
    """Without what classes have been found to say of themselves: whoever receives one reads
    it anew, and a class is the same bytes whether or not it has been used here before. Hosts
    tell by its bytes that they know it already."""
    described = {
        actor: actor.__dict__["_described"]
        for actor in _subclasses(Actor)
        if "_described" in actor.__dict__
    }
    for actor in described:
        del actor._described
    try:
        yield
    finally:
        for actor, description in described.items():
            actor._described = description


def _subclasses(actor: Any) -> Iterator[Any]:
    for derived in actor.__subclasses__():
        yield derived
        yield from _subclasses(derived)


def _is_own(name: str, module: ModuleType) -> bool:
    if name in _THORNBACK or name in sys.stdlib_module_names or name == "__main__":
        return False  # of `__main__`, cloudpickle knows by itself
    place = _place_of(module)
    return place is not None and module.__name__ == name and not _is_installed(place)


def _place_of(module: ModuleType) -> Path | None:
    """Its file, or its folder if it is a package without a file; None for what has neither."""
    file = getattr(module, "__file__", None)
    if file is None:
        file = next(iter(getattr(module, "__path__", ())), None)
    return Path(file).absolute() if isinstance(file, str) else None


def _is_installed(place: Path) -> bool:
    if not _INSTALLED.isdisjoint(place.parts):
        return True
    return any(place.is_relative_to(folder) for folder in _installation())


@cache
def _installation() -> tuple[Path, ...]:
    """Where this interpreter and what is installed for it lie."""
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [sysconfig.get_path(kind) for kind in kinds]
    return tuple(Path(folder) for folder in (*folders, site.getusersitepackages()))

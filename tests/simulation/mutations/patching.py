"""Source that is changed as it is imported: an exact snippet for another.

A snippet that is not there exactly once is an error: the code has moved, and the mutation has
to move with it.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Change:
    """One snippet of a module, and what stands there instead."""

    module: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    """A fault of the path: what is wrong, and the changes that make it so."""

    name: str
    says: str
    changes: tuple[Change, ...]


def mutation(
    name: str, says: str, path: str, *snippets: str, module: str = "", old: str = "", new: str = ""
) -> Mutation:
    """A mutation of one module, of pairs of snippets; and of another one where `module` is."""
    pairs = zip(snippets[::2], snippets[1::2], strict=True)
    changes = [Change(path, one, other) for one, other in pairs]
    if module:
        changes.append(Change(module, old, new))
    return Mutation(name, says, tuple(changes))


class SnippetMissing(Exception):
    """The code that a mutation changes is not what it was."""


def changed_source(source: str, changes: Sequence[Change]) -> str:
    """A module's source with its changes. Raises SnippetMissing."""
    for change in changes:
        found = source.count(change.old)
        if found != 1:
            raise SnippetMissing(f"{change.module} has {found} times:\n{change.old}")
        source = source.replace(change.old, change.new)
    return source


def put_in(mutation: Mutation) -> None:
    """From now on its modules are imported changed. None of them may be imported already."""
    for change in mutation.changes:
        if change.module in sys.modules:
            raise RuntimeError(f"{change.module} is imported already")
    sys.meta_path.insert(0, _Finder(mutation.changes))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        changes = [change for change in self._changes if change.module == name]
        if not changes:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path, target)
        if found is None or found.origin is None:
            raise SnippetMissing(f"there is no module {name}")
        return importlib.util.spec_from_file_location(
            name, found.origin, loader=_Loader(name, found.origin, changes)
        )


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, changes: Sequence[Change]) -> None:
        super().__init__(name, path)
        self._changes = changes

    def get_code(self, fullname: str) -> Any:
        source = self.get_data(self.path).decode()
        return compile(changed_source(source, self._changes), self.path, "exec")

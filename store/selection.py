"""Which events a reader wants, by event type, kind and source."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from actors.event import Kind
from actors.moments import FIRST_US, LAST_US
from store.rows.layout import event_type_at, kind_at, moment_at, source_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events a reader wants. `*` stands for any text; an empty tuple for all."""

    event_types: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    #: Of event time, Unix microseconds: from the first one, and before the second; for reading the
    #: log alone.
    moments_us: tuple[int, int] | None = None

    def __str__(self) -> str:
        """What people read: the first patterns of each."""
        if not self.event_types and not self.sources and not self.kinds:
            return "everything"
        types, sources, kinds = map(_shown, (self.event_types, self.sources, self.kinds))
        which = f"{types or 'all events'}{f' of {sources}' if sources else ''}"
        return f"{which}{f' (kind: {kinds})' if kinds else ''}"


EVERYTHING = Selection()


def row_filter(selection: Selection) -> Callable[[bytes], bool]:
    """A predicate on encoded rows that says what a Selection says."""
    types, sources = pattern(selection.event_types), pattern(selection.sources)
    kinds = encoded_kinds(selection)
    first, before = selection.moments_us or (FIRST_US, LAST_US + 1)

    def match(row: bytes) -> bool:
        if selection.moments_us and not first <= moment_at(row, 0) < before:
            return False
        if types is not None and not types.fullmatch(event_type_at(row, 0)):
            return False
        if kinds and kind_at(row, 0) not in kinds:
            return False
        return sources is None or bool(sources.fullmatch(source_at(row, 0)))

    return match


def encoded_kinds(selection: Selection) -> frozenset[bytes]:
    """The wanted kinds, as rows have them; none: all."""
    return frozenset(kind.value.encode() for kind in selection.kinds)


def pattern(globs: tuple[str, ...]) -> re.Pattern[bytes] | None:
    """What matches encoded texts that one of the globs stands for; None matches all."""
    if not globs or "*" in globs:
        return None
    return re.compile(b"|".join(map(_expression, globs)), re.DOTALL)


def literal_prefix(glob: str) -> bytes:
    """What every encoded text begins with that the glob stands for."""
    return glob.partition("*")[0].encode()


def _shown(globs: tuple[str, ...]) -> str:
    return ", ".join(globs[:3]) + (", ..." if len(globs) > 3 else "")


def _expression(glob: str) -> bytes:
    """A glob as a regular expression that looks at no part of a text twice: between two
    stars the first place that fits is as good as any later one (an atomic group)."""
    first, *others = (re.escape(part.encode()) for part in glob.split("*"))
    if not others:
        return first
    between = (rb"(?>.*?" + part + rb")" for part in others[:-1] if part)
    return first + b"".join(between) + rb".*" + others[-1]


def like(glob: str) -> str:
    """A glob as the pattern of SQL's LIKE."""
    return re.sub(r"([\\%_])", r"\\\1", glob).replace("*", "%")


def after_all_of(prefix: str) -> str:
    """The first text, in the order of UTF-8, that comes after all that begin with `prefix`, which
    is not empty and has a letter that is not the last of Unicode."""
    rest = prefix.rstrip("\U0010ffff")
    last = ord(rest[-1])
    return rest[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)  # there are no surrogates

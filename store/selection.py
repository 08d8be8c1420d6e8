"""Which events a reader wants, by event type and source."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from store.rows.layout import event_type_at, source_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events a reader wants. `*` stands for any text; an empty tuple for all."""

    event_types: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


EVERYTHING = Selection()


def row_filter(selection: Selection) -> Callable[[bytes], bool]:
    """A predicate on encoded rows that says what a Selection says."""
    types, sources = pattern(selection.event_types), pattern(selection.sources)

    def match(row: bytes) -> bool:
        if types is not None and not types.fullmatch(event_type_at(row, 0)):
            return False
        return sources is None or bool(sources.fullmatch(source_at(row, 0)))

    return match


def pattern(globs: tuple[str, ...]) -> re.Pattern[bytes] | None:
    """What matches encoded texts that one of the globs stands for; None matches all."""
    if not globs or "*" in globs:
        return None
    texts = (re.escape(glob.encode()).replace(rb"\*", b".*") for glob in globs)
    return re.compile(b"|".join(texts), re.DOTALL)


def like(glob: str) -> str:
    """A glob as the pattern of SQL's LIKE."""
    return re.sub(r"([\\%_])", r"\\\1", glob).replace("*", "%")

"""Patterns of event types and sources, as those of a subscription: `*` stands for any text."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from actors.event import Kind


def as_patterns(patterns: str | Sequence[str]) -> tuple[str, ...]:
    """One pattern or several, as several. Raises ValueError for what is none."""
    found: tuple[object, ...] = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    for each in found:
        if not isinstance(each, str) or not each:
            raise ValueError(f"a pattern is a text that is not empty, not {each!r:.80}")
    return tuple(map(str, found))


def as_kinds(kinds: str | Iterable[str]) -> tuple[Kind, ...]:
    """Kinds of events, each once, in the order in which they are defined; none stands for all, and
    so do all. Raises ValueError for what is none."""
    try:
        wanted = {Kind(kind) for kind in ((kinds,) if isinstance(kinds, str) else kinds)}
    except (TypeError, ValueError):
        known = ", ".join(f"'{kind}'" for kind in Kind)
        raise ValueError(f"a kind of event is one of {known}, not {kinds!r:.80}") from None
    return tuple(kind for kind in Kind if kind in wanted and len(wanted) < len(Kind))


def selection_problem(cls: Any) -> str | None:
    """What is wrong with the patterns and kinds that a class of programs names; None: nothing."""
    for name in ("event_types", "sources"):
        try:
            as_patterns(getattr(cls, name))
        except (ValueError, TypeError) as error:
            return f"{name} of {cls.__name__} is a list of patterns: {error}"
    try:
        cls.kinds = as_kinds(cls.kinds)
    except ValueError as error:
        return f"kinds of {cls.__name__}: {error}"
    return None


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """What says whether a text is one that a pattern stands for. No pattern stands for all."""
    return _matcher(tuple(patterns))


@lru_cache(maxsize=1024)
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    if not patterns or "*" in patterns:
        return _all
    matches = re.compile("|".join(map(_expression, patterns)), re.DOTALL).fullmatch
    return lambda text: matches(text) is not None


def _all(_: str) -> bool:
    return True


def _expression(pattern: str) -> str:
    """Between two stars the first place that fits is as good as any later one (an atomic group),
    so no part of a text is looked at twice."""
    first, *others = map(re.escape, pattern.split("*"))
    if not others:
        return first
    between = (f"(?>.*?{part})" for part in others[:-1] if part)
    return first + "".join(between) + ".*" + others[-1]

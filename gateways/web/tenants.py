"""Patterns of sources, narrowed to those that begin with a text."""

import re


def within(patterns: list[str], prefix: str) -> list[str]:
    """Patterns that together stand for the texts that one of `patterns` stands for and that begin
    with `prefix`, which has no `*`; none where there are no such texts."""
    if not prefix:
        return patterns
    return list(dict.fromkeys(prefix + rest for each in patterns for rest in _rests(each, prefix)))


def _rests(given: str, prefix: str) -> list[str]:
    """What a pattern has left for what follows on `prefix`: the places in it to which one can get
    by reading that, as an automaton does."""
    pattern = re.sub(r"\*+", "*", given)
    places = _settled(pattern, {0})
    for letter in prefix:
        read = {at for at in places if pattern[at : at + 1] == "*"}
        # Behind a star, where it stands for nothing more.
        behind = {at + 1 for at in read}
        read |= {at + 1 for at in places | behind if pattern[at : at + 1] == letter}
        places = _settled(pattern, read)
    return [pattern[at:] for at in sorted(places)]


def _settled(pattern: str, places: set[int]) -> set[int]:
    """Without the places before the last star that was reached: from there one gets to
    all that one gets to from them."""
    last = max((at for at in places if pattern[at : at + 1] == "*"), default=0)
    return {at for at in places if at >= last}

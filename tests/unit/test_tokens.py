"""What tokens look like, what they allow, and patterns narrowed to a tenant's sources."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.tokens import (
    Grant,
    InvalidToken,
    checked_prefix,
    checked_scopes,
    new_token,
    presented,
    redacted,
)
from gateways.web.tenants import within
from store.selection import pattern


def test_a_token_has_a_prefix_an_id_and_256_random_bits() -> None:
    asked: list[int] = []

    def random(size: int) -> bytes:
        asked.append(size)
        return os.urandom(size)

    text = new_token(random)
    assert re.fullmatch(r"thb_[a-z2-7]{8}_[A-Za-z0-9_-]{43}", text)
    assert max(asked) * 8 == 256
    shown = presented(text)
    assert shown is not None
    assert shown.id == text[4:12]
    assert len(shown.hash) == 32
    assert new_token(random) != text


@pytest.mark.parametrize("change", [str.upper, lambda text: text[:-1], lambda text: text + "="])
def test_what_is_no_token_shows_nothing(change: object) -> None:
    assert callable(change)
    assert presented(change(new_token(os.urandom))) is None


def test_a_token_is_redacted_wherever_it_stands() -> None:
    text = new_token(os.urandom)
    assert redacted(f"a {text}/b {text}") == "a thb_***/b thb_***"
    assert redacted("nothing here") == "nothing here"


@pytest.mark.parametrize(
    ("scopes", "needed", "allowed"),
    [
        (["read"], "read", True),
        (["read"], "command:oven", False),
        (["command"], "command:oven", True),
        (["command:oven"], "command:oven", True),
        (["command:oven"], "command:lamp", False),
        (["command:oven"], "command", False),
        (["command"], "read", False),
        (["publish"], "command:device-twin", False),
        (["admin"], "command:oven", True),
        (["admin"], "publish", True),
    ],
)
def test_a_scope_allows_what_it_says(scopes: list[str], needed: str, allowed: bool) -> None:
    assert Grant(frozenset(scopes)).allows(needed) is allowed


def test_a_prefix_covers_what_begins_with_it() -> None:
    grant = Grant(frozenset({"read"}), "oven/site-7-")
    assert grant.covers("oven/site-7-a")
    assert not grant.covers("oven/site-70")
    assert not grant.covers("lamp/site-7-a")


@pytest.mark.parametrize("scopes", [[], ["write"], ["command:"], ["command:Oven"], ["command:*"]])
def test_scopes_that_are_none_are_refused(scopes: list[str]) -> None:
    with pytest.raises(InvalidToken):
        checked_scopes(scopes)


@pytest.mark.parametrize("prefix", ["oven", "/", "Oven/a", "oven/a*", "oven/\0", "*", " "])
def test_a_prefix_that_is_none_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidToken):
        checked_prefix(prefix)
    assert checked_prefix("") == ""
    assert checked_prefix("oven/") == "oven/"


letters = st.text("ab/*", max_size=8)


@given(
    patterns=st.lists(letters.filter(bool), min_size=1, max_size=3),
    prefix=st.text("ab/", min_size=1, max_size=5),
    text=st.text("ab/", max_size=9),
)
def test_a_narrowed_pattern_stands_for_exactly_what_is_inside(
    patterns: list[str], prefix: str, text: str
) -> None:
    def matches(globs: list[str], source: str) -> bool:
        compiled = pattern(tuple(globs))
        return compiled is None or bool(compiled.fullmatch(source.encode()))

    narrowed = within(patterns, prefix)
    for source in (text, prefix + text, prefix):
        expected = source.startswith(prefix) and matches(patterns, source)
        assert (bool(narrowed) and matches(narrowed, source)) is expected, (narrowed, source)


def test_a_narrowed_pattern_says_no_more_than_it_has_to() -> None:
    assert within(["*"], "oven/a-") == ["oven/a-*"]
    assert within(["oven/*", "*"], "oven/a-") == ["oven/a-*"]
    assert within(["oven/a-1"], "oven/a-") == ["oven/a-1"]
    assert within(["lamp/*", "oven/b-*"], "oven/a-") == []
    assert within(["*-1"], "oven/a-") == ["oven/a-*-1", "oven/a-1"]

"""Mutations can be put into the path as it is, and are found."""

from itertools import groupby
from pathlib import Path

import pytest

from tests.simulation.mutations.catalogue import MUTATIONS
from tests.simulation.mutations.patching import (
    Change,
    Mutation,
    SnippetMissing,
    changed_source,
    mutation,
)
from tests.simulation.mutations.table import hunt

ROOT = Path(__file__).parents[2]


def test_there_are_enough_of_them_and_no_two_of_a_name() -> None:
    assert len(MUTATIONS) >= 25


@pytest.mark.parametrize("one", MUTATIONS.values(), ids=MUTATIONS)
def test_the_code_that_a_mutation_changes_is_what_it_was(one: Mutation) -> None:
    for module, changes in groupby(one.changes, key=lambda change: change.module):
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
        assert changed_source(source, list(changes)) != source


def test_a_snippet_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SnippetMissing, match="0 times"):
        changed_source("one\n", [Change("module", "two", "three")])
    with pytest.raises(SnippetMissing, match="2 times"):
        changed_source("one one\n", [Change("module", "one", "three")])


def test_a_mutation_of_two_modules_changes_both() -> None:
    both = mutation("a", "b", "one", "x", "y", module="two", old="p", new="q")
    assert [change.module for change in both.changes] == ["one", "two"]


@pytest.mark.parametrize(
    "name", ["undone is remembered", "a request's clock is ignored", "room is not given back"]
)
def test_a_mutation_is_found(name: str) -> None:
    assert hunt(name, 100) is not None


def test_without_a_mutation_the_same_seeds_find_nothing() -> None:
    assert hunt("", 5) is None

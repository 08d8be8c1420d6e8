"""Hypothesis strategies that several suites draw from."""

from typing import Any

from hypothesis import strategies as st

from actors.clock import VectorClock

#: Texts that Postgres can hold: no NUL, no half of a surrogate pair.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)

finite_floats = st.floats(allow_nan=False, allow_infinity=False)
integers = st.one_of(st.integers(), st.integers(min_value=-(10**60), max_value=10**60))
scalars = st.one_of(st.none(), st.booleans(), integers, finite_floats, texts)


def _containers(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(values, max_size=4), st.dictionaries(texts, values, max_size=4))


json_values: st.SearchStrategy[Any] = st.recursive(scalars, _containers, max_leaves=12)
json_object: st.SearchStrategy[dict[str, Any]] = st.dictionaries(texts, json_values, max_size=5)
json_objects: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    json_object, min_size=1, max_size=8
)

#: Few nodes and small counts, so that clocks are often comparable and often share a past.
clocks: st.SearchStrategy[VectorClock] = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]), st.integers(min_value=0, max_value=3), max_size=4
).map(VectorClock)
nodes: st.SearchStrategy[str] = st.sampled_from(["a", "b", "c", "d"])

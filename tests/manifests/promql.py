"""What an expression of PromQL asks for, as far as alerts and the dashboard go."""

import re

#: Words of PromQL that are no metrics.
_FUNCTION = re.compile(r"\b\w+(?=\s*\()")
_GROUPING = re.compile(r"\b(?:by|without)\s*\([^)]*\)")
_LABELS = re.compile(r"\{[^}]*\}|\[[^\]]*\]")
_OPERATORS = {"unless", "and", "or", "on", "ignoring"}


def metrics_in(expression: str) -> set[str]:
    """The names of the metrics that an expression asks for."""
    bare = _FUNCTION.sub("", _LABELS.sub("", _GROUPING.sub("", expression)))
    return set(re.findall(r"[a-z_]\w*", bare)) - _OPERATORS


def labels_in(expression: str) -> set[str]:
    """The names of the labels that it selects or groups by."""
    matched = re.findall(r"(\w+)\s*=~?\s*\"", expression)
    grouped = re.findall(r"by \(([^)]*)\)", expression)
    return {*matched, *(word.strip() for group in grouped for word in group.split(","))}

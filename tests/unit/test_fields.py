"""A class with more than fifteen fields is two, or says why not."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = (
    "actors", "benchmarks", "examples", "gateways", "jobs", "runtime", "store", "streams", "tests",
    "thornback",
)  # fmt: skip
MOST = 15
#: How a comment or docstring in the class begins that gives the reason.
REASON = "More than fifteen fields: "


def test_a_class_has_at_most_fifteen_fields_or_says_why() -> None:
    unexplained = [
        f"{path.relative_to(ROOT)}:{found.lineno}: {found.name} has {len(fields)} fields"
        for path in _ours()
        for found, fields in _classes(path.read_text())
        if len(fields) > MOST and REASON not in _source(path, found)
    ]
    assert unexplained == []


def test_fields_are_counted_wherever_they_are_set() -> None:
    [(found, fields)] = _classes(
        """
class Point:
    SIDES: ClassVar[int] = 4
    x: int = 0

    def __init__(self, other):
        self.y, self._z = 1, 2
        other.w = 3

    def move(self):
        self.y += 1
        self.moved: bool = True
        for self.step in ():
            pass
"""
    )
    assert (found.name, fields) == ("Point", {"x", "y", "_z", "moved", "step"})


def _ours() -> Iterator[Path]:
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))


def _classes(text: str) -> Iterator[tuple[ast.ClassDef, set[str]]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            yield node, set(_fields(node))


def _fields(of: ast.ClassDef) -> Iterator[str]:
    for node in of.body:
        if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation):
            yield ast.unparse(node.target)
    for each in ast.walk(of):
        if (
            isinstance(each, ast.Attribute)
            and isinstance(each.ctx, ast.Store)
            and isinstance(each.value, ast.Name)
            and each.value.id == "self"
        ):
            yield each.attr


def _source(path: Path, of: ast.ClassDef) -> str:
    return ast.get_source_segment(path.read_text(), of) or ""

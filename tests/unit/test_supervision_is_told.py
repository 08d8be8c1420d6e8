"""What the how-to of supervision says of defaults is what they are."""

import re
from dataclasses import asdict
from pathlib import Path

from actors.supervision import WITHOUT_LIMIT, RestartPolicy

_HOW_TO = Path(__file__).parents[2] / "docs" / "howto" / "supervision.md"


def test_the_how_to_has_the_defaults_of_a_policy() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", _HOW_TO.read_text(), re.MULTILINE)
    assert {name: float(default) for name, default in rows} == asdict(RestartPolicy())


def test_the_how_to_has_the_policy_of_a_class_without_a_word() -> None:
    [said] = re.findall(r"at once, is `(RestartPolicy\(.*?\))`", _HOW_TO.read_text())
    assert eval(said, {"RestartPolicy": RestartPolicy}) == WITHOUT_LIMIT

"""What the README says, for tests that do it."""

import re
import shlex

from tests.e2e.place import ROOT

README = (ROOT / "README.md").read_text()
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return [code for named, code in _BLOCK.findall(README) if named == language]


def files() -> dict[str, str]:
    """The files of the project of one's own: their names, which are the first lines of their
    code blocks, and what is in them."""
    named = (re.match(r"# (\S+\.py)\n", code) for code in blocks("python"))
    return {name[1]: name.string for name in named if name is not None}


def command(line: str) -> list[str]:
    """A command line that stands in the README, without its comment, as arguments."""
    lines = [each.strip() for block in blocks("sh") for each in block.splitlines()]
    known = {each.partition("  #")[0].strip() for each in lines}
    assert line in known, f"the README does not say: {line}"
    return shlex.split(line)

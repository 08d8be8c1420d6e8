"""The code blocks of README and docs, and what each says of how it is to be run.

Behind the language a block may say `run-by="tests/..."`, a test that runs its lines, or
`not-run="reason"`. Without either it is run here:

- `python` whose first line is a comment with a file name is that file of the page's project;
- other `python` is a module: it is imported, and each function that takes a `system` and nothing
  else is called with one;
- `sh` is run in the page's project; `toml` is loaded as settings; `json` is parsed, line by line;
- `sql` is asked of a log; `text` is what something printed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.place import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]

#: Told in order by a test of its own (test_tutorial.py): its commands depend on one another.
STORY = ROOT / "docs" / "tutorial.md"

_BLOCK = re.compile(r"^( *)```(\w*)([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\S+\.\w+)\n")
_MARK = re.compile(r'(run-by|not-run)="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Snippet:
    """One code block."""

    page: Path
    number: int  #: of the blocks of its page, from 1
    language: str
    mark: str  #: "run-by", "not-run" or nothing
    said: str  #: which test, or why not
    code: str

    @property
    def name(self) -> str:
        """Page and number, for the names of tests."""
        return f"{self.page.relative_to(ROOT)}:{self.number}"

    @property
    def file(self) -> str | None:
        """Which file of the page's project this is."""
        named = _FILE.match(self.code)
        return named[1] if named else None

    @property
    def lines(self) -> list[str]:
        """Command lines, without their comments."""
        lines = (re.split(r"\s+#\s", line)[0].strip() for line in self.code.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def snippets(page: Path) -> Iterator[Snippet]:
    """The code blocks of a page. Raises ValueError for words behind a language that say nothing."""
    for number, (indent, language, words, code) in enumerate(_BLOCK.findall(page.read_text()), 1):
        mark = _MARK.fullmatch(words.strip())
        if words.strip() and mark is None:
            raise ValueError(f"{page}: block {number} says {words!r}")
        plain = re.sub(f"^{indent}", "", code, flags=re.MULTILINE)
        kind, said = mark.groups() if mark else ("", "")
        yield Snippet(page, number, language, kind, said, plain)


ALL = [snippet for page in PAGES for snippet in snippets(page)]


def to_run(*languages: str) -> list[Snippet]:
    """Those of some languages that are run here; the README's commands and files are run, as a
    user would, by the other tests of this folder."""
    return [snippet for snippet in ALL if snippet.language in languages and not snippet.mark]

"""The documentation as a site: it builds without a warning, and says something of every name."""

import re
import sys
from pathlib import Path

import pytest

import thornback
from tests.e2e.place import ROOT, Place

pytestmark = pytest.mark.e2e

ERRORS = [
    name
    for name in thornback.__all__
    if isinstance(public := getattr(thornback, name), type) and issubclass(public, Exception)
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does: every link that leads nowhere ends the build."""
    folder = tmp_path_factory.mktemp("site")
    here = Place(folder, {"PATH": "", "HOME": str(folder), "NO_MKDOCS_2_WARNING": "1"})
    built = here.run(sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder / "docs"))
    assert built.returncode == 0, built.stdout
    assert "WARNING" not in built.stdout, built.stdout
    return folder / "docs"


def test_the_reference_has_every_public_name_once(site: Path) -> None:
    shown = [
        name
        for page in site.glob("reference/*.html")
        for name in re.findall(r'<h2 id="[\w.]+\.(\w+)" class="doc', page.read_text())
    ]
    assert sorted(shown) == sorted([*thornback.__all__, "Scenarios", "InProcessSystem"])


def test_every_page_can_be_reached(site: Path) -> None:
    start = (site / "index.html").read_text()
    pages = {str(page.relative_to(site)) for page in site.rglob("*.html")} - {"404.html"}
    assert {page for page in pages if f'href="{page}"' not in start} == set()


def test_each_error_that_users_can_import_has_an_answer() -> None:
    answered = re.findall(r"^### `(\w+)`$", (ROOT / "docs" / "faq.md").read_text(), re.MULTILINE)
    assert sorted(answered) == sorted(ERRORS), "docs/faq.md has one entry an error"

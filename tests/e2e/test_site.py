"""The documentation as a site: it builds without a warning, and says something of every name."""

import inspect
import re
import sys
from pathlib import Path

import pytest

import thornback
import thornback.simulation
from runtime.settings.configuration import ConfigurationError, Problem
from tests.e2e.place import ROOT, Place

pytestmark = pytest.mark.e2e

#: Errors that say nothing themselves: each is raised as one of its subclasses.
FAMILIES = {"ActorError", "StoreError", "ThornbackError", "SimulationError"}

ERRORS: dict[str, type[Exception]] = {
    name: public
    for module in (thornback, thornback.simulation)
    for name in module.__all__
    if isinstance(public := getattr(module, name), type) and issubclass(public, Exception)
}


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
    others = ["Scenarios", "InProcessSystem", *thornback.simulation.__all__]
    assert sorted(shown) == sorted([*thornback.__all__, *others])


def test_every_page_can_be_reached(site: Path) -> None:
    start = (site / "index.html").read_text()
    pages = {str(page.relative_to(site)) for page in site.rglob("*.html")} - {"404.html"}
    assert {page for page in pages if f'href="{page}"' not in start} == set()


def test_each_error_that_users_can_import_has_an_answer() -> None:
    answered = re.findall(r"^### `(\w+)`$", (ROOT / "docs" / "faq.md").read_text(), re.MULTILINE)
    assert sorted(answered) == sorted(ERRORS), "docs/faq.md has one entry an error"


@pytest.mark.parametrize("name", sorted({*ERRORS} - FAMILIES))
def test_an_answer_shows_what_its_error_says(name: str) -> None:
    page = (ROOT / "docs" / "faq.md").read_text()
    answer = page.partition(f"### `{name}`\n")[2].partition("\n#")[0]
    assert f"\n    {_message(ERRORS[name])}\n" in answer


class _Fact(str):
    """A fact of an error, by its name; it is shown as that, however it is to be formatted."""

    def __format__(self, _: str) -> str:
        return str(self)

    __repr__ = str.__str__


def _message(error: type[Exception]) -> str:
    """What an error says, with the names of its facts in capitals."""
    if error is ConfigurationError:
        facts = inspect.signature(Problem).parameters
        return str(Problem(*(_Fact(name.upper()) for name in facts)))
    parameters = inspect.signature(error).parameters.values()
    needed = [each.name.upper() for each in parameters if each.default is each.empty]
    return str(error(*map(_Fact, needed)))

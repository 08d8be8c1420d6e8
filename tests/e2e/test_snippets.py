"""Every code block of README and docs is run, or says why it is not."""

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from runtime.settings.settings import Settings
from tests.e2e.place import PATIENCE_S, ROOT
from tests.e2e.snippets import ALL, PAGES, STORY, Snippet, to_run
from thornback.testing.databases import query
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

pytestmark = pytest.mark.e2e

README_PAGE = ROOT / "README.md"

#: Blocks that no test runs, by page: a block more, or less, is a decision.
NOT_RUN = {
    "docs/howto/choose-placement.md": 1,  # commands of a system that is up
    "docs/deployment.md": 5,  # a cluster, a registry
    "docs/howto/call-between-machines.md": 1,  # writes keys
    "docs/howto/erase.md": 1,  # commands of a system that is up
    "docs/howto/evolve-events.md": 1,  # the database of another system
    "docs/howto/explain-an-event.md": 1,  # commands of a system that is up
    "docs/howto/export-the-log.md": 2,  # the same, and another database
    "docs/howto/look-into-the-past.md": 1,  # commands of a system that is up
    "docs/howto/query-the-log.md": 1,  # commands of a system that is up
    "docs/howto/scale.md": 1,  # commands of a system that is up
    "docs/howto/several-environments.md": 2,  # a second database; the end of another system
    "docs/howto/start-a-project.md": 1,  # the story of test_project.py
    "docs/http.md": 2,  # a token, which everybody is asked for from then on; an erasure
    "docs/reliability.md": 1,  # ten minutes of faults
    "docs/tutorial.md": 1,  # an environment is made
}

#: What is run elsewhere, as a user would: the README's commands, and the story.
TOLD = [each for each in ALL if each.language == "sh" and each.page in (README_PAGE, STORY)]

LANGUAGES = {"python", "sh", "toml", "json", "sql", "text"}

PYTHON = to_run("python")
PROJECTS = sorted({snippet.page for snippet in PYTHON if snippet.file})


def _named(snippets: list[Snippet]) -> list[object]:
    return [pytest.param(snippet, id=snippet.name) for snippet in snippets]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for each page, with the files of its project and its other modules in it."""
    root = tmp_path_factory.mktemp("snippets")
    for snippet in PYTHON:
        file = _place(snippet, root / _slug(snippet.page))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(snippet.code)
        if snippet.file and file.parent.name not in (_slug(snippet.page), "tests"):
            (file.parent / "__init__.py").touch()
    return_path = list(sys.path)
    sys.path[:0] = [str(root / _slug(page)) for page in PAGES]
    yield root
    sys.path[:] = return_path


@pytest.fixture(scope="module")
def system() -> Iterator[InProcessSystem]:
    """One system for all snippets, in memory."""
    with InProcessSystem(small_settings({}, type="memory")) as made:
        yield made


@pytest.fixture(scope="module")
def log(thornback_postgres: str) -> Iterator[str]:
    """A database with a log that has the events of a thermostat."""
    from examples.thermostat import ReportTemperature, Thermostat  # noqa: PLC0415
    from thornback.testing.databases import create_database, drop_database  # noqa: PLC0415

    url = create_database(thornback_postgres)
    with InProcessSystem(small_settings({}, connection_string=url)) as made:
        made.actor(Thermostat, "kitchen").ask(ReportTemperature(celsius=21.5)).result()
    yield url
    drop_database(url)


def test_all_languages_are_known() -> None:
    assert {snippet.name for snippet in ALL if snippet.language not in LANGUAGES} == set()


def test_what_is_not_run_says_so_and_is_counted() -> None:
    counted = Counter(
        str(snippet.page.relative_to(ROOT)) for snippet in ALL if snippet.mark == "not-run"
    )
    assert counted == NOT_RUN


@pytest.mark.parametrize("snippet", _named([each for each in ALL if each.mark == "run-by"]))
def test_the_test_that_is_said_to_run_a_block_has_its_lines(snippet: Snippet) -> None:
    test = (ROOT / snippet.said).read_text()
    assert [line for line in snippet.lines if line not in test] == []


def test_each_command_of_the_readme_is_in_a_test() -> None:
    tests = "".join(test.read_text() for test in ROOT.glob("tests/e2e/*.py"))
    # These are checked by name (test_docs.py), or stand for what every place has.
    known = re.compile(
        r"make \w+|\. \.venv/bin/activate|export RAY_\w+=.*|python -m pip install .*"
    )
    lines = [line for each in ALL if each.page == README_PAGE and each.language == "sh"
             for line in each.lines]  # fmt: skip
    assert [line for line in lines if f'"{line}"' not in tests and not known.fullmatch(line)] == []


@pytest.mark.parametrize("snippet", _named([each for each in PYTHON if not each.file]))
def test_a_module_runs(snippet: Snippet, folder: Path, system: InProcessSystem) -> None:
    module = importlib.import_module(_module(snippet))
    for function in _called_with_a_system(module):
        function(system)


@pytest.mark.parametrize("page", PROJECTS, ids=[page.stem for page in PROJECTS])
def test_the_tests_of_a_page_s_project_pass(page: Path, folder: Path) -> None:
    project = folder / _slug(page)
    code, said = _run(
        project, "python", "-m", "pytest", "-q", "-p", "thornback.testing", "-p", "no:asyncio"
    )
    assert code == 0, said


@pytest.mark.parametrize("page", sorted({each.page for each in PYTHON}), ids=lambda page: page.stem)
def test_what_a_page_shows_is_typed(page: Path, folder: Path) -> None:
    cache = ROOT / ".mypy_cache" / "snippets"
    code, said = _run(
        folder / _slug(page), "python", "-m", "mypy", "--strict", f"--cache-dir={cache}", "."
    )
    assert code == 0, said


@pytest.mark.parametrize(
    "snippet",
    _named([each for each in to_run("toml", "json", "sql", "sh") if each not in TOLD]),
)
def test_another_block_runs(snippet: Snippet, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue("folder") / _slug(snippet.page)
    folder.mkdir(exist_ok=True)
    match snippet.language:
        case "toml":
            (folder / "settings.toml").write_text(snippet.code)
            Settings.load(folder / "settings.toml", environ={})
        case "json":
            assert [json.loads(line) for line in snippet.code.splitlines()]
        case "sql":
            log = request.getfixturevalue("log")
            for statement in re.split(r";\s*$", snippet.code, flags=re.MULTILINE):
                if statement.strip():
                    query(log, statement)
        case "sh":
            for line in snippet.lines:
                code, said = _run(folder, "/bin/sh", "-c", line)
                assert code == 0, f"{line}\n{said}"


def _called_with_a_system(module: ModuleType) -> list[Callable[[InProcessSystem], object]]:
    functions = [each for _, each in inspect.getmembers(module, inspect.isfunction)
                 if each.__module__ == module.__name__]  # fmt: skip
    return [each for each in functions if list(inspect.signature(each).parameters) == ["system"]]


def _run(folder: Path, *command: str) -> tuple[int, str]:
    done = subprocess.run(
        command, cwd=folder, env=_environment(), text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE_S,
    )  # fmt: skip
    return done.returncode, done.stdout


def _environment() -> dict[str, str]:
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": scripts, "HOME": os.environ["HOME"], "PYTHONPATH": str(ROOT),
            "MYPYPATH": str(ROOT), "COLUMNS": "200"}  # fmt: skip


def _place(snippet: Snippet, folder: Path) -> Path:
    """Where it is written: a file that is shown again, changed, is a module of its own."""
    if snippet.file and not (folder / snippet.file).exists():
        return folder / snippet.file
    return folder / f"{_module(snippet)}.py"


def _slug(page: Path) -> str:
    return re.sub(r"\W+", "_", str(page.relative_to(ROOT)).removesuffix(".md"))


def _module(snippet: Snippet) -> str:
    return f"{_slug(snippet.page).lower()}_{snippet.number}"

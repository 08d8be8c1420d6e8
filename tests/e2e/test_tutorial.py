"""The tutorial, from its first block to its last, in one folder: what it says to write is written,
what it says to run is run, and what it says is printed is printed."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.place import ROOT, Place, place
from tests.e2e.snippets import STORY, Snippet, snippets

pytestmark = pytest.mark.e2e


@pytest.fixture
def reader() -> Iterator[Place]:
    """An empty folder, in an environment that has Thornback and pytest."""
    with place(PYTHONPATH=str(ROOT), PYTEST_PLUGINS="thornback.testing") as here:
        project, scripts = here.folder / "charging", here.folder / "scripts"
        for folder in (project, project / "chargers", scripts):
            folder.mkdir()
        (project / "chargers" / "__init__.py").touch()
        # Installed is what this checkout is, whichever environment these tests run in.
        _script(scripts / "thornback", "-m jobs.cli")
        _script(scripts / "python", "")
        variables = {**here.environment, "PATH": f"{scripts}:{here.environment['PATH']}"}
        own = replace(here, environment=variables, root=project)
        yield own
        own.run("thornback", "down")


def test_whoever_follows_it_gets_to_its_end(reader: Place) -> None:
    said = ""
    for snippet in snippets(STORY):
        match snippet.language:
            case "python" | "toml":
                _write(snippet, reader.root)
            case "sh" if not snippet.mark:
                said = "".join(_done(reader, line) for line in snippet.lines)
            case "text":
                assert said == snippet.code
    assert reader.left_running() == []


def _done(reader: Place, line: str) -> str:
    done = reader.run("/bin/sh", "-c", line)
    assert done.returncode == 0, f"{line}\n{done.stdout}"
    return done.stdout


def _write(snippet: Snippet, project: Path) -> None:
    assert snippet.file is not None, f"{snippet.name} says no file"
    file = project / snippet.file
    file.parent.mkdir(exist_ok=True)
    file.write_text(snippet.code)


def _script(file: Path, arguments: str) -> None:
    file.write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
    file.chmod(0o755)

"""`thornback init`: a project of one's own, ready to run."""

import keyword
import re
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions
from pathlib import Path

import click

from jobs.terminal import console
from runtime.errors import NotPossible

#: The example of chargers: what it is called in there is what a new project is called instead.
TEMPLATE = Path(__file__).parent / "template"
NAME = "chargers"

_PATTERNS = (".gitignore", "*.toml", "*.md", "*.sql", "*.py", "*/*.py")
#: Folders that a project has beside its package.
_FOLDERS = {"tests": "its tests", "data": "its database, and is not under version control"}


@click.command
@click.argument("name", metavar="NAME")
def command(name: str) -> int:
    """Make a project in a new folder NAME: an actor and its tests, a driver, a job, settings.

    It is the example of chargers for electric cars under another name, and runs as it is: its
    README has the five commands. Change it into what you need.
    """
    _check(name)
    folder = Path(name)
    if folder.exists():
        raise click.UsageError(f"{folder} is there already: name a new folder")
    try:
        for file, text in files(name):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
    except OSError as error:
        problem = f"{folder.absolute()} cannot be made: {error.strerror or error}"
        raise NotPossible(problem) from error
    console.print(f"{folder} is made; next:\n", markup=False)
    console.print(f"  cd {name}\n  cat README.md\n  thornback up", markup=False, highlight=False)
    return 0


def files(name: str) -> Iterator[tuple[Path, str]]:
    """The files of a project of that name, by their places in its folder."""
    for pattern in _PATTERNS:
        for file in sorted(TEMPLATE.glob(pattern)):
            text = file.read_text()
            place = file.relative_to(TEMPLATE)
            parts = (name if part == NAME else part for part in place.parts)
            yield (
                Path(*parts),
                re.sub(rf"\b{NAME}(?=\.charger\b|/charger\b)", name, text).replace(
                    f"# {NAME}\n", f"# {name}\n"
                ),
            )


def _check(name: str) -> None:
    """Raises UsageError for a name under which the project would not work."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise click.UsageError(
            f"{name!r} is to be the name of a Python package: lower-case letters, digits and _"
        )
    if (why := _taken(name)) is not None:
        raise click.UsageError(f"{name!r} {why}: choose another name")


def _taken(name: str) -> str | None:
    """Why a package of the project cannot have this name."""
    if keyword.iskeyword(name):
        return "is a keyword of Python, so nothing could import the package"
    if name in _FOLDERS:
        return f"is the folder in which a project has {_FOLDERS[name]}"
    if (TEMPLATE / f"{name}.py").exists():
        return f"is the name of a program of the project, {name}.py"
    if (module := _installed(name)) is not None:
        return f"is {module}, which the package would hide from every program of the project"
    return None


def _installed(name: str) -> str | None:
    """The module of this name that programs import already, if there is one."""
    if name in sys.stdlib_module_names:
        return "a module of Python's own"
    if distributions := packages_distributions().get(name):
        return f"a package of {distributions[0]}"
    # Not in the working directory, where the project's own folder may lie; and a folder without
    # an __init__.py, which may be anything, has no loader.
    path = [each for each in sys.path if Path(each).resolve() != Path.cwd()]
    found = PathFinder.find_spec(name, path)
    if found is not None and found.loader is not None:
        return f"a module that is installed here, {found.origin}"
    return None

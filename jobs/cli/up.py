"""`thornback up`: a system that runs on when the command has ended."""

import subprocess
import sys
from pathlib import Path

import click
import ray
from ray.exceptions import RayError

from actors.errors import ThornbackError
from jobs.cli import options
from jobs.cli.down import HowFar, drain_all, end_keeper
from jobs.cli.interruption import Interruption, noted_interruption
from jobs.cli.launch import launch_timeout
from jobs.launch import Launching, launch, say_other_settings
from jobs.terminal import INTERRUPTED, begun, console, problems
from runtime.cluster.preflight import check_machine
from runtime.cluster.project_ray import (
    FOLDER,
    await_end,
    folder_of_project,
    forget,
    note_ending,
    noted,
    one_at_a_time,
    ray_is_named,
    use_project_ray,
)
from runtime.cluster.ray_session import join_ray
from runtime.driver.directory_link import namespaces_there
from runtime.errors import NotPossible
from runtime.settings.settings import Settings

#: How long a process may take to finish what it has accepted when the start is undone.
_UNDO_S = 10.0


class CannotStart(NotPossible):
    """A Ray for the project does not start."""


@click.command
@options.take_over
@launch_timeout
@options.config
def command(take_over: bool, timeout: float, config: Path | None) -> int:
    """Start a system in this folder, with a Ray of its own on this machine; it runs on afterwards.

    Drivers and commands that are started in the same folder find it by themselves. What is up
    already is left alone. `thornback down` ends it. For a Ray of your own, or a cluster, use
    `thornback launch`. After Ctrl-C nothing is left of what this command has started.
    """
    settings = Settings.load(config)
    if (named := ray_is_named()) is not None:
        raise CannotStart(
            f"RAY_ADDRESS names a Ray of your own, {named}: start a system there with "
            "`thornback launch`, or unset RAY_ADDRESS"
        )
    if not FOLDER.exists():  # or one that is refused would be left with a folder for nothing
        check_machine(settings)
    with one_at_a_time() as lock:
        was_up = _is_up()
        if not was_up:
            check_machine(settings)
        what = "what was up before runs on" if was_up else "ending what was started"
        launching = Launching(take_over=take_over, timeout_s=timeout)
        with noted_interruption(f"interrupted: {what}") as interruption:
            try:
                _start(settings, interruption, launching, lock=None if was_up else lock)
            except KeyboardInterrupt:
                if was_up:
                    problems.print("`thornback down` ends it", markup=False)
                else:
                    _undo(settings)
                return INTERRUPTED
            except Exception:
                if not was_up:
                    end_keeper()
                raise
    return 0


def _is_up() -> bool:
    """Is the project's Ray up? Of one that has ended by itself nothing is left afterwards."""
    found = noted()
    if found is None:
        return False
    if found.keeper() is not None:
        if found.ending:  # said a `down` that did not come to its end
            note_ending(found, ending=False)
        return True
    said = "the Ray of this folder had ended by itself, with the system; starting anew"
    problems.print(f"{said} ({FOLDER}/ray.log may say why)", markup=False)
    await_end(found)
    forget()
    return False


def _start(
    settings: Settings, interruption: Interruption, launching: Launching, *, lock: int | None
) -> None:
    """`lock`: that of the folder, where no Ray is up."""
    if lock is not None:
        with begun("starting Ray"):
            _start_keeper(interruption, lock)
    with begun("joining Ray"):
        use_project_ray()
        join_ray()
    interruption.check()
    ran = settings.actor_system.namespace in namespaces_there()
    with launch(settings, launching, looked=interruption.check) as system:
        interruption.check()
        already = "it was up already" if ran else "up"
        console.print(f"{already}, in this folder; `thornback down` ends it", markup=False)
        say_other_settings(system, settings, "`thornback down` and `thornback up`")


def _undo(settings: Settings) -> None:
    """End what was started, with whatever runs of it by now."""
    try:
        if ray.is_initialized():
            drain_all(settings, _UNDO_S, HowFar())
    except (ThornbackError, RayError) as error:
        problems.print(f"ended without a drain: {error}", markup=False)
    finally:
        ray.shutdown()
        end_keeper()
    problems.print("it has ended again; nothing is up in this folder", markup=False)


def _start_keeper(interruption: Interruption, lock: int) -> None:
    """Start the process that keeps the project's Ray; it is nobody's child when this one ends.
    Raises CannotStart, and KeyboardInterrupt when it has ended because of that."""
    log = folder_of_project() / "ray.log"
    with log.open("w") as said:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "jobs.cli.keeper", str(lock)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True,
            start_new_session=True, pass_fds=(lock,),
        )  # fmt: skip
    assert keeper.stdout is not None
    with interruption.answered_by(keeper.terminate), keeper.stdout as pipe:
        ready = pipe.readline().strip() == "ready"  # or it has ended
    if interruption.came:
        keeper.wait()
    interruption.check()
    if not ready:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        raise CannotStart(f"Ray does not start; {FOLDER / log.name} ends:\n{tail}")

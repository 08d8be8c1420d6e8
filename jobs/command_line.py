"""What the jobs share: arguments, settings, connecting, and waiting."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.markup import escape

from jobs.terminal import INTERRUPTED as INTERRUPTED
from jobs.terminal import console as console
from jobs.terminal import problems as problems
from jobs.terminal import run as run
from runtime.cluster.ray_session import join_ray
from runtime.settings.settings import Settings
from runtime.system import ActorSystem, PartitionedSystem
from runtime.topology.status import Progress

CONFIG_HELP = (
    "settings file (default: THORNBACK_CONFIG, thornback.toml or config/event_driven.toml)"
)


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows the options of every job."""
    made = argparse.ArgumentParser(
        description=(description or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    made.add_argument("--config", type=Path, help=CONFIG_HELP)
    return made


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings of the file that the arguments name."""
    return Settings.load(arguments.config)


def connected(arguments: argparse.Namespace) -> ActorSystem:
    """The running system."""
    return connected_by(arguments.config)


def connected_by(config: Path | None) -> ActorSystem:
    """The running system that the settings in that file name."""
    settings = Settings.load(config)
    with problems.status("joining the system"):
        join_ray(stay=True)
        return ActorSystem.connect(settings=settings)


def parts_of(system: ActorSystem) -> Sequence[ActorSystem]:
    """Its partitions, each a system with one log; of a system of one, itself."""
    return system.parts if isinstance(system, PartitionedSystem) else (system,)


@contextmanager
def waiting(what: str, *, quiet: bool = False) -> Iterator[Callable[[Progress], None]]:
    """Show how far a long wait has come: on a terminal in one line that changes, elsewhere
    (the log of a job) in a line for every step that is new. `quiet`: not at all, because
    programs read what is printed."""
    if quiet:
        yield lambda now: None
        return
    said = ""

    def show(now: Progress) -> None:
        nonlocal said
        of = f" ({now.done} of {now.processes})" if now.processes else ""
        line = f"{what}: {now.doing}{of}"
        if console.is_terminal:
            status.update(escape(line))
        elif line != said:
            console.print(line, markup=False)
        said = line

    with console.status(what) as status:
        yield show

"""What the jobs share: arguments, settings, connecting, and one way to fail."""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from actors.errors import ThornbackError
from runtime.cluster.ray_session import join_ray
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.status import Progress

INTERRUPTED = 130  #: the exit code after Ctrl-C

console = Console(highlight=False)
problems = Console(stderr=True, highlight=False, soft_wrap=True)


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows the options of every job."""
    made = argparse.ArgumentParser(
        description=(description or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    made.add_argument("--config", type=Path, help="TOML file (default: config/event_driven.toml)")
    return made


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings of the file that the arguments name."""
    return Settings.load(arguments.config)


def connected(arguments: argparse.Namespace) -> ActorSystem:
    """The running system."""
    settings = settings_of(arguments)
    join_ray()
    return ActorSystem.connect(settings.actor_system.namespace)


@contextmanager
def waiting(what: str) -> Iterator[Callable[[Progress], None]]:
    """Show how far a long wait has come: on a terminal in one line that changes, elsewhere
    (the log of a job) in a line for every step that is new."""
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


def run(main: Callable[[], int]) -> None:
    """Run a job: its exit code, or 2 and one line for an error that has a name."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    try:
        code = main()
    except ThornbackError as error:
        problems.print(f"[red]error[/]: {error}", markup=True)
        code = 2
    except KeyboardInterrupt:
        problems.print("interrupted")
        code = INTERRUPTED
    sys.exit(code)

"""What the jobs share: arguments, settings, connecting, and one way to fail."""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from actors.errors import ThornbackError
from runtime.cluster.ray_session import join_ray
from runtime.settings.settings import Settings
from runtime.system import ActorSystem

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
        code = 130
    sys.exit(code)

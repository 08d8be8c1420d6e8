"""Launch the topology on the running Ray, as detached, named actors.

Launching twice is harmless: what runs already is left alone. The topology outlives this
job; `jobs/drain.py` stops it.
"""

import argparse

from jobs.command_line import INTERRUPTED, console, parser, problems, run, settings_of, waiting
from jobs.status import table
from runtime.cluster.ray_session import join_ray
from runtime.settings.settings import Settings
from runtime.system import ActorSystem


def add_take_over(options: argparse.ArgumentParser) -> None:
    """The option of whoever launches."""
    options.add_argument(
        "--take-over", action="store_true",
        help="take the database from the system that has it, which then ends",
    )  # fmt: skip


def launch(settings: Settings, *, take_over: bool = False) -> ActorSystem:
    """Launch, and show what runs."""
    with waiting("launching") as progress:
        system = ActorSystem.launch(settings, progress=progress, take_over=take_over)
    console.print(table(system.status().result()))
    console.print(f"running in namespace [bold]{system.namespace}[/]")
    return system


def main() -> int:
    options = parser(__doc__)
    add_take_over(options)
    arguments = options.parse_args()
    settings = settings_of(arguments)
    join_ray()
    try:
        launch(settings, take_over=arguments.take_over).close()
    except KeyboardInterrupt:
        problems.print("interrupted; the launch goes on without this job: see jobs/status.py")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    run(main)

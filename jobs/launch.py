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

#: Enough for a watch over the claim of another system, and for the start.
TIMEOUT_S = 90.0
TIMEOUT_HELP = "seconds that the launch may take; migrations of the database are not counted"


def add_launching(options: argparse.ArgumentParser) -> None:
    """The options of whoever launches."""
    options.add_argument("--timeout", type=float, default=TIMEOUT_S, metavar="S", help=TIMEOUT_HELP)
    options.add_argument(
        "--take-over", action="store_true",
        help="take the database from the system that has it, which then ends",
    )  # fmt: skip


def launch(
    settings: Settings, *, take_over: bool = False, timeout_s: float = TIMEOUT_S
) -> ActorSystem:
    """Launch, and show what runs."""
    with waiting("launching") as progress:
        system = ActorSystem.launch(
            settings, timeout_s=timeout_s, progress=progress, take_over=take_over
        )
    console.print(table(system.status().result()))
    console.print(f"running in namespace [bold]{system.namespace}[/]")
    return system


def main() -> int:
    options = parser(__doc__)
    add_launching(options)
    arguments = options.parse_args()
    settings = settings_of(arguments)
    join_ray()
    try:
        launch(settings, take_over=arguments.take_over, timeout_s=arguments.timeout).close()
    except KeyboardInterrupt:
        problems.print("interrupted; the launch goes on without this job: see jobs/status.py")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    run(main)

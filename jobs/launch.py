"""Launch the topology on the running Ray, as detached, named actors.

Launching twice is harmless: what runs already is left alone. The topology outlives this
job; `jobs/drain.py` stops it.
"""

from jobs.command_line import INTERRUPTED, console, parser, problems, run, settings_of, waiting
from jobs.status import table
from runtime.cluster.ray_session import join_ray
from runtime.settings.settings import Settings
from runtime.system import ActorSystem


def launch(settings: Settings) -> ActorSystem:
    """Launch, and show what runs."""
    with waiting("launching") as progress:
        system = ActorSystem.launch(settings, progress=progress)
    console.print(table(system.status().result()))
    console.print(f"running in namespace [bold]{system.namespace}[/]")
    return system


def main() -> int:
    arguments = parser(__doc__).parse_args()
    settings = settings_of(arguments)
    join_ray()
    try:
        launch(settings).close()
    except KeyboardInterrupt:
        problems.print("interrupted; the launch goes on without this job: see jobs/status.py")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    run(main)

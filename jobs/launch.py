"""Launch the topology on the running Ray, as detached, named actors.

Launching twice is harmless: what runs already is left alone. The topology outlives this
job; `jobs/drain.py` stops it.
"""

from jobs.command_line import console, parser, run, settings_of
from jobs.status import table
from runtime.cluster.ray_session import join_ray
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.status import Progress


def launch(settings: Settings) -> ActorSystem:
    """Launch, and show what runs."""
    with console.status("launching") as line:

        def progress(now: Progress) -> None:
            of = f" ({now.done} of {now.processes} are ready)" if now.processes else ""
            line.update(f"launching: {now.doing}{of}")

        system = ActorSystem.launch(settings, progress=progress)
    console.print(table(system.status().result()))
    console.print(f"running in namespace [bold]{system.namespace}[/]")
    return system


def main() -> int:
    arguments = parser(__doc__).parse_args()
    settings = settings_of(arguments)
    join_ray()
    launch(settings).close()
    return 0


if __name__ == "__main__":
    run(main)

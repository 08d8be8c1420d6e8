"""`thornback drain`: the end of a system whose Ray stays."""

from pathlib import Path

import click

from jobs.cli import options
from jobs.drain import drain_there
from jobs.terminal import INTERRUPTED, console
from runtime.cluster.project_ray import noted, ray_is_named
from runtime.settings.settings import Settings


@click.command
@options.drain_timeout
@options.config
@options.for_programs
def command(timeout: float, config: Path | None, for_programs: bool) -> int:
    """Finish what was accepted, then end every process of the system and its embedded database;
    its Ray stays. What `thornback up` has started, `thornback down` ends with its Ray.

    The system is the one of the namespace in the settings, on the Ray that RAY_ADDRESS names or
    that is up in this folder. The exit code is 1 when something did not end as it should.
    """
    of_the_folder = ray_is_named() is None and noted() is not None
    code = drain_there(Settings.load(config), timeout, for_programs=for_programs)
    if of_the_folder and code != INTERRUPTED and not for_programs:
        console.print("its Ray stays; `thornback down` ends it", markup=False)
    return code

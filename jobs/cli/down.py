"""`thornback down`: the end of what `thornback up` started, and of nothing else."""

from contextlib import suppress
from pathlib import Path

import click
import psutil

from jobs.cli import options
from jobs.command_line import connected_by
from jobs.drain import drain
from jobs.drain import show as show_drained
from jobs.terminal import UNWELL, console
from runtime.cluster.embedded_database import folder_of, wanted
from runtime.cluster.project_ray import forget, noted, use_project_ray
from runtime.errors import SystemNotFound
from runtime.settings.settings import Settings
from store.embedded.server import EmbeddedPostgres

#: How long Ray may take to end.
_END_S = 60.0


@click.command
@click.option(
    "--timeout", type=float, default=60.0, show_default=True, metavar="S",
    help="Seconds each process may take to finish what it has accepted.",
)  # fmt: skip
@options.config
def command(timeout: float, config: Path | None) -> int:
    """Drain the system that `thornback up` started in this folder, and end it with its Ray.

    Everything that was accepted is answered and durable first. The database stays for the next
    `up`. A system on another Ray is not touched. The exit code is 1 when something did not end
    as it should.
    """
    found = noted()
    if found is None:
        console.print("nothing is up in this folder")
        return 0
    if found.holder() is None:
        console.print("Ray has ended by itself, and all processes with it; what is committed stays")
        _stop_database(Settings.load(config))
        forget()
        return 0
    well = True
    if use_project_ray():
        with suppress(SystemNotFound):  # then its Ray alone is there
            report = drain(connected_by(config), timeout)
            show_drained(report)
            well = not report.problems
    end_holder()
    console.print("down")
    return 0 if well else UNWELL


def end_holder() -> None:
    """End the process that holds the project's Ray, and with it that Ray."""
    found = noted()
    holder = found.holder() if found else None
    if holder is not None:
        with suppress(psutil.NoSuchProcess):
            holder.terminate()
            try:
                holder.wait(_END_S)
            except psutil.TimeoutExpired:
                holder.kill()
                holder.wait()
    forget()


def _stop_database(settings: Settings) -> None:
    """An embedded PostgreSQL outlives the processes that started it."""
    if wanted(settings):
        EmbeddedPostgres(folder_of(settings)).stop()

"""`thornback scale`: more pooled hosts, or fewer, while the system runs."""

from pathlib import Path

import click

from jobs.cli import options
from jobs.command_line import connected_by
from jobs.scale import scale
from runtime.topology.names import MOST_HOSTS


class _WholeNumber(click.IntRange):
    """A range whose refusal of a word says what is wanted."""

    name = "whole number"


@click.command
@click.option(
    "--hosts", type=_WholeNumber(1, MOST_HOSTS), required=True, metavar="N",
    help="How many pooled hosts there are to be.",
)  # fmt: skip
@options.config
@options.for_programs
def command(hosts: int, config: Path | None, for_programs: bool) -> int:
    """Have N pooled hosts, and as much to do for each of them, while traffic runs.

    Hosts are added or ended, and actors move, a few shards at a time, those with most to do alone.
    No command fails because of it. Run again after an interruption, it goes on; with as many hosts
    as there are it evens out what they have to do. The next launch leaves it so, unless the
    settings have another number of hosts than before.
    """
    with connected_by(config) as system:
        return scale(system, hosts, for_programs=for_programs)

"""`thornback demote`: a device that was promoted goes back to the others."""

from pathlib import Path

import click

from jobs.cli import options
from jobs.cli.devices import ref_of
from jobs.cli.promote import said
from jobs.command_line import connected_by


@click.command
@options.source
@options.config
@options.for_programs
def command(source: str, config: Path | None, for_programs: bool) -> int:
    """Have a device, and its shard, be at a pooled host again, the one with least to do.

    SOURCE is its name in the log: `charger/c-17`. The host that it had for itself ends. No command
    fails because of it. Where it was not promoted, nothing moves.
    """
    with connected_by(config) as system:
        ref = ref_of(system, source)
        return said(ref, system.demote(ref), for_programs)

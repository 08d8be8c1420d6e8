"""`thornback promote`: a process of its own for a hot device, while the system runs."""

from pathlib import Path
from typing import Any

import click

from jobs.cli import options
from jobs.cli.devices import ref_of
from jobs.command_line import connected_by
from jobs.terminal import as_json, console
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply


@click.command
@options.source
@options.config
@options.for_programs
def command(source: str, config: Path | None, for_programs: bool) -> int:
    """Have a hot device have a process of its own, while traffic runs.

    SOURCE is its name in the log, the actor type and the device's name: `charger/c-17`. Its shard
    moves to a new host, and with it whatever else is of that shard: one in 4,096 of the other
    devices. No command fails because of it. It stays so over restarts and launches, until
    `thornback demote`, and `thornback scale` leaves it alone.
    """
    with connected_by(config) as system:
        ref = ref_of(system, source)
        return said(ref, system.promote(ref), for_programs)


def said(ref: ActorRef[Any], host: Reply[str], for_programs: bool) -> int:
    """Say where a device is then; the exit code."""
    if for_programs:
        print(as_json({"source": ref.source, "shard": ref.shard, "host": host.result()}))
    else:
        console.print(f"{ref.source} is at {host.result()}, with shard {ref.shard:,}", markup=False)
    return 0

"""`thornback tail`: events as they are committed."""

from pathlib import Path

import click

from jobs.cli import options
from jobs.cli.events import print_event
from jobs.command_line import connected_by
from runtime.driver.subscription import Subscription


@click.command
@click.argument("event_types", metavar="[EVENT-TYPE]...", nargs=-1)
@click.option(
    "--source", "sources", multiple=True, metavar="SOURCE",
    help="Only events of these devices, like 'charger/*'. May be given again.",
)  # fmt: skip
@click.option(
    "--after", type=click.IntRange(0), metavar="POSITION",
    help="First what is in the log after this position; 0: from its beginning.",
)  # fmt: skip
@click.option(
    "--last", type=click.IntRange(0), metavar="N",
    help="First what is among the last N events of the log.",
)  # fmt: skip
@click.option("--no-follow", is_flag=True, help="End where the log ends now.")
@options.config
@options.for_programs
def command(
    event_types: tuple[str, ...],
    sources: tuple[str, ...],
    after: int | None,
    last: int | None,
    no_follow: bool,
    config: Path | None,
    for_programs: bool,
) -> int:
    """Show events as they are committed, until Ctrl-C.

    EVENT-TYPE and --source say which; * stands for any text: `thornback tail 'energy-*'
    --source 'charger/*'`. Without --after or --last it begins now.
    """
    if after is not None and last is not None:
        raise click.UsageError("--after and --last both say where to begin: give one")
    with connected_by(config) as system:
        head = system.head().result()
        if last is not None:
            after = max(head - last, 0)
        if no_follow and after is None:
            after = 0
        stream = system.subscribe(event_types or "*", sources=sources or "*", after=after)
        with stream:
            _print(stream, head if no_follow else None, for_programs)
    return 0


def _print(stream: Subscription, until: int | None, for_programs: bool) -> None:
    if until is not None and stream.position >= until:
        return
    for page in stream.pages():
        for event in page:
            if until is None or (event.position or 0) <= until:
                print_event(event, for_programs=for_programs)
        if until is not None and stream.position >= until:
            return

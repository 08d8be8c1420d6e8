"""`thornback tail`: events as they are committed."""

import asyncio
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

import click

from actors.event import Kind
from jobs.as_of import moment_of_text
from jobs.cli import options
from jobs.cli.devices import FORM
from jobs.command_line import connected_by
from jobs.event_lines import print_event
from jobs.terminal import UNWELL, problems
from runtime.driver.selecting import selection_of
from runtime.system import ActorSystem
from store.rows.decoding import Decoder
from store.selection import Selection

#: Positions that are looked through at a time.
_PAGE = 10_000


@click.command
@click.argument("event_types", metavar="[EVENT-TYPE]...", nargs=-1)
@click.option(
    "--source", "sources", multiple=True, metavar="SOURCE",
    help="Only events of these devices, like 'charger/*'. May be given again.",
)  # fmt: skip
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice([str(kind) for kind in Kind]),
    help="Only events of this kind. May be given again.",
)  # fmt: skip
@click.option(
    "--since", metavar="T",
    help="First what was committed from then on, like 2026-02-08T12:00; UTC without a zone.",
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
    kinds: tuple[str, ...],
    since: str | None,
    after: int | None,
    last: int | None,
    no_follow: bool,
    config: Path | None,
    for_programs: bool,
) -> int:
    """Show events as they are committed, until Ctrl-C.

    EVENT-TYPE and --source say which; * stands for any text: `thornback tail 'energy-*'
    --source 'charger/*'`. Without --since, --after or --last it begins now, and with --no-follow at
    the beginning of the log; the exit code is then 1 when no event fits.
    """
    if sum(begin is not None for begin in (since, after, last)) > 1:
        raise click.UsageError("--since, --after and --last all say where to begin: give one")
    try:
        moment = None if since is None else moment_of_text(since)
    except ValueError as error:
        raise click.UsageError(f"--since: {error}") from error
    selection = selection_of(event_types or "*", sources or "*", kinds)
    with connected_by(config) as system:
        head = system.head().result()
        if last is not None:
            after = max(head - last, 0)
        if moment is not None:
            after = system.position_at(moment).result()
        if no_follow:
            return asyncio.run(_print_log(system, selection, after or 0, head, for_programs))
        with system.subscribe(
            event_types or "*", sources=sources or "*", kinds=kinds, after=after
        ) as stream:
            for event in stream:
                print_event(event, for_programs=for_programs)
    return 0


async def _print_log(
    system: ActorSystem, selection: Selection, after: int, until: int, for_programs: bool
) -> int:
    """What of the log fits, up to a position: read there, because a subscription to what is rare
    hears now and then only how far it has come. The exit code."""
    store, decoder, found = await system.open_store(), Decoder(), False
    try:
        while after < until:
            page = await store.read(after, min(_PAGE, until - after), selection=selection)
            for event in decoder.events(page.rows):
                print_event(event, for_programs=for_programs)
                found = True
            after = page.through
        if not found:
            said = _nothing(selection, await store.event_types())
            beyond = f"; the log ends at position {until:,}" if after > until else ""
            problems.print(f"{said}{beyond}", markup=False)
    finally:
        await store.close()
    return 0 if found else UNWELL


def _nothing(selection: Selection, known: Collection[str]) -> str:
    hints = []
    for name in selection.event_types:
        if "*" not in name and name not in known:
            close = get_close_matches(name, sorted(known), n=1)
            hints.append(f"; did you mean {close[0]!r}?" if close else f"; nothing is a {name!r}")
    if any("*" not in source and "/" not in source for source in selection.sources):
        hints.append(f"; a device is named {FORM}")
    return "no event fits" + "".join(hints)

"""`thornback tail`: events as they are committed."""

import asyncio
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import click

from actors.event import Kind
from jobs.as_of import moment_of_text
from jobs.cli import options
from jobs.cli.devices import FORM
from jobs.command_line import connected_by, parts_of
from jobs.event_lines import print_event
from jobs.terminal import UNWELL, problems
from runtime.driver.selecting import selection_of
from runtime.errors import NotPossible
from runtime.system import ActorSystem
from store.event_store import EventStore
from store.rows.decoding import Decoder
from store.selection import Selection

#: Positions that are looked through at a time.
_PAGE = 10_000

_NO_POSITION = (
    "each of {} partitions has a log, and positions, of its own: begin at a moment (--since), or "
    "name the namespace of one, {}.partition-0 and so on"
)


class Log(NamedTuple):
    """The log of a system of one partition, or of one of several, and where it ends."""

    system: ActorSystem
    head: int


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
    help="First what is among the last N events of the log; of each, where there are partitions.",
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
    the beginning of the log; the exit code is then 1 when no event fits. Of several partitions the
    logs are then shown one after the other.
    """
    if sum(begin is not None for begin in (since, after, last)) > 1:
        raise click.UsageError("--since, --after and --last all say where to begin: give one")
    try:
        moment = None if since is None else moment_of_text(since)
    except ValueError as error:
        raise click.UsageError(f"--since: {error}") from error
    selection = selection_of(event_types or "*", sources or "*", kinds)
    with connected_by(config) as system:
        logs = [Log(part, part.head().result()) for part in parts_of(system)]
        if after and len(logs) > 1:
            raise NotPossible(_NO_POSITION.format(len(logs), system.namespace))
        if last is not None:
            begin: Any = [max(log.head - last, 0) for log in logs]
        elif moment is not None:
            begin = [log.system.position_at(moment).result() for log in logs]
        else:
            begin = None if after is None else [after] * len(logs)
        if no_follow:
            begin = begin or [0] * len(logs)
            return asyncio.run(_print_logs(logs, selection, begin, for_programs))
        if begin is not None and len(logs) == 1:
            [begin] = begin
        with system.subscribe(
            event_types or "*", sources=sources or "*", kinds=kinds, after=begin
        ) as stream:
            for event in stream:
                print_event(event, for_programs=for_programs)
    return 0


async def _print_logs(
    logs: Sequence[Log], selection: Selection, begin: Sequence[int], for_programs: bool
) -> int:
    """What of each log fits, up to its head, one log after the other; the exit code."""
    found, known, beyond = False, set[str](), ""
    for log, after in zip(logs, begin, strict=True):
        store = await log.system.open_store()
        try:
            found |= await _print_log(store, selection, after, log.head, for_programs)
            known |= set() if found else set(await store.event_types())
        finally:
            await store.close()
        if after > log.head:
            beyond = f"; the log ends at position {log.head:,}"
    if not found:
        problems.print(f"{_nothing(selection, known)}{beyond}", markup=False)
    return 0 if found else UNWELL


async def _print_log(
    store: EventStore, selection: Selection, after: int, until: int, for_programs: bool
) -> bool:
    """What of the log fits, up to a position: read there, because a subscription to what is rare
    hears now and then only how far it has come. Was there anything?"""
    decoder, found = Decoder(), False
    while after < until:
        page = await store.read(after, min(_PAGE, until - after), selection=selection)
        for event in decoder.events(page.rows):
            print_event(event, for_programs=for_programs)
            found = True
        after = page.through
    return found


def _nothing(selection: Selection, known: Collection[str]) -> str:
    hints = []
    for name in selection.event_types:
        if "*" not in name and name not in known:
            close = get_close_matches(name, sorted(known), n=1)
            hints.append(f"; did you mean {close[0]!r}?" if close else f"; nothing is a {name!r}")
    if any("*" not in source and "/" not in source for source in selection.sources):
        hints.append(f"; a device is named {FORM}")
    return "no event fits" + "".join(hints)

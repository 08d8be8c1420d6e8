"""Replay 2013's air traffic of New York into the running topology.

Every aircraft and weather station is an actor; commands go in by the time they happened.
Command ids come from the data, so a second replay changes nothing. The exit code is 0
when the log is exactly what was expected and every check holds.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from actors.actor import Actor
from actors.devices import Aircraft
from jobs.command_line import connected, console, parser, run
from jobs.flights import report
from jobs.flights.air_traffic import AirTraffic
from jobs.flights.late_reports import reported_late
from jobs.flights.local_time import DAYS
from jobs.flights.streams import run_examples
from jobs.status import show_statuses
from runtime.driver.bulk import BulkResult, Send
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem

Refs = dict[tuple[type[Actor[Any]], str], ActorRef[Any]]


def add_options(options: argparse.ArgumentParser, *, streams: bool = False) -> None:
    """The replay's own options; `streams` is what is done where nobody says."""
    options.add_argument("--days", type=_days, metavar="N", help="only the first N days of 2013")
    options.add_argument(
        "--streams", action=argparse.BooleanOptionalAction, default=streams,
        help="have programs and airports take the events, and prove what they come to",
    )  # fmt: skip
    options.add_argument(
        "--late", type=_late, default=0, metavar="DAYS",
        help="have a tenth of what flights and stations report come up to so many days late",
    )  # fmt: skip
    options.add_argument(
        "--patience", type=float, default=120.0, metavar="S",
        help="seconds that hosts or database may be away before commands fail",
    )  # fmt: skip


def _days(given: str) -> int:
    if not given.isdecimal() or not 1 <= int(given) <= DAYS:
        raise argparse.ArgumentTypeError(f"2013 has days 1 to {DAYS}, not {given}")
    return int(given)


def _late(given: str) -> int:
    if not given.isdecimal() or int(given) > DAYS:
        raise argparse.ArgumentTypeError(f"0 to {DAYS} days, not {given}")
    return int(given)


def replay(
    system: ActorSystem,
    days: int | None,
    patience_s: float,
    *,
    streams: bool = False,
    late_days: int = 0,
    refs: Refs | None = None,
    looked: Callable[[int, int], None] | None = None,
) -> bool:
    """Replay, with a tenth of it reported up to `late_days` late, have the programs of the examples
    run over it where `streams` says so, and report; does everything hold?

    `refs` gets a ref to each actor that is sent something, and `looked` is called when some more
    commands were answered: with how many are, and of how many.
    """
    began_s = time.monotonic()
    with console.status("reading flights and weather"):
        traffic = AirTraffic(days)
    console.print(
        f"{len(traffic.aircraft):,} aircraft, {traffic.total:,} commands; "
        f"{traffic.without_tail_number:,} flights without a tail number are left out: "
        "no aircraft is known for them",
        soft_wrap=True,
    )
    refs = {} if refs is None else refs
    result = _send(system, traffic, refs, patience_s, late_days, looked)
    seconds = time.monotonic() - began_s
    statuses = system.status().result()
    evidence = report.gather(
        system, traffic, [ref for ref in refs.values() if ref.actor is Aircraft]
    )
    holds = report.show(console, traffic.expected, result, seconds, evidence, statuses)
    if streams:
        holds &= run_examples(system, console)
        statuses = system.status().result()
    show_statuses(statuses)
    return holds


def sends(
    system: ActorSystem, traffic: AirTraffic, refs: Refs, late_days: int = 0
) -> Iterator[Send]:
    """Every occurrence, addressed; leaves a ref to each actor in `refs`."""
    occurrences = traffic.occurrences()
    if late_days:
        occurrences = reported_late(occurrences, late_days)
    for at_us, actor, name, command_id, message in occurrences:
        ref = refs.get((actor, name))
        if ref is None:
            ref = refs[actor, name] = system.actor(actor, name)
        yield Send(ref, message, command_id, at_us)


def _send(
    system: ActorSystem, traffic: AirTraffic, refs: Refs, patience_s: float, late_days: int,
    looked: Callable[[int, int], None] | None,
) -> BulkResult:  # fmt: skip
    bar = Progress(
        TextColumn("replaying"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TimeRemainingColumn(),
        console=console, refresh_per_second=4,
        disable=not sys.stdout.isatty(),
    )  # fmt: skip
    began_s, shown_s = time.monotonic(), time.monotonic()
    with bar:
        task = bar.add_task("replaying", total=traffic.total, rate="")

        def progress(result: BulkResult) -> None:
            nonlocal shown_s
            if looked is not None:
                looked(result.commands, traffic.total)
            now_s = time.monotonic()
            rate = f"{result.commands / (now_s - began_s):,.0f}/s"
            bar.update(task, completed=result.commands, rate=rate)
            if bar.disable and now_s - shown_s > 5:
                shown_s = now_s
                left_s = (traffic.total - result.commands) * (now_s - began_s) / result.commands
                console.print(
                    f"{result.commands:,} of {traffic.total:,}, {rate}, {left_s:.0f} s left"
                )

        return system.tell_many(
            sends(system, traffic, refs, late_days), patience_s=patience_s, progress=progress
        )


def main() -> int:
    options = parser(__doc__)
    add_options(options)
    arguments = options.parse_args()
    with connected(arguments) as system:
        done = replay(
            system, arguments.days, arguments.patience,
            streams=arguments.streams, late_days=arguments.late,
        )  # fmt: skip
        return 0 if done else 1


if __name__ == "__main__":
    run(main)

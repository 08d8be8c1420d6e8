"""Launch the topology on the running Ray, as detached, named actors.

Launching twice is harmless: what runs already is left alone. The topology outlives this
job; `jobs/drain.py` stops it.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from jobs.command_line import INTERRUPTED, console, parser, problems, run, settings_of, waiting
from jobs.status import show_statuses
from jobs.tokens import wait_for_one
from runtime.cluster.embedded_database import as_launched
from runtime.cluster.ray_session import join_ray
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.names import ProcessKind
from runtime.topology.status import GatewayFacts, HostFacts, ProcessStatus, Progress, Status

#: Enough for a watch over the claim of another system, and for the start.
TIMEOUT_S = 90.0
TIMEOUT_HELP = "seconds that the launch may take; migrations of the database are not counted"


def add_launching(options: argparse.ArgumentParser) -> None:
    """The options of whoever launches."""
    options.add_argument("--timeout", type=float, default=TIMEOUT_S, metavar="S", help=TIMEOUT_HELP)
    options.add_argument(
        "--take-over", action="store_true",
        help="take the database from the system that has it, which then ends",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Launching:
    """How a launch is to go."""

    take_over: bool = False  #: take the database from the system that has it?
    timeout_s: float = TIMEOUT_S


def launch(
    settings: Settings,
    how: Launching,
    *,
    looked: Callable[[], None] | None = None,
    for_programs: bool = False,
) -> ActorSystem:
    """Launch, and show what runs. `looked` is called several times a second meanwhile; what it
    raises ends the wait, and is raised here."""
    with waiting("launching", quiet=for_programs) as show_progress:

        def progress(now: Progress) -> None:
            if looked is not None:
                looked()
            show_progress(now)

        system = ActorSystem.launch(
            settings, timeout_s=how.timeout_s, progress=progress, take_over=how.take_over
        )
    statuses = system.status().result()
    show_statuses(statuses, for_programs=for_programs)
    say_unknown_placements(system.settings, statuses)
    say_scaled(system.settings, statuses)
    if not for_programs:
        for each in statuses:
            if isinstance(each, ProcessStatus) and isinstance(each.facts, GatewayFacts):
                console.print(f"HTTP at {each.facts.address}, a page to try it at /docs")
        console.print(f"running in namespace [bold]{system.namespace}[/]")
    return system


def say_unknown_placements(settings: Settings, statuses: Iterable[Status]) -> None:
    """Say so where an actor type is placed of which no host knows a class: a driver may bring it,
    or the name is misspelt, and its actors would be placed like all others."""
    facts = (each.facts for each in statuses if isinstance(each, ProcessStatus))
    known = {name for each in facts if isinstance(each, HostFacts) for name in each.actor_types}
    if not known:
        return  # no host answers, and that is shown
    for actor_type in sorted(settings.actor_system.placement.keys() - known):
        close = get_close_matches(actor_type, sorted(known), n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        problems.print(
            f"actor_system.placement names {actor_type!r}, of which no host has a class "
            f"yet{meant}: it counts once a driver brings one",
            markup=False,
        )


def say_scaled(settings: Settings, statuses: Iterable[Status]) -> None:
    """Say so where there are not as many pooled hosts as the settings say: somebody has scaled the
    system, and a launch leaves that as it is; or some were stopped, and scaling has them again."""
    there = sum(each.kind is ProcessKind.POOLED_HOST for each in statuses)
    if there != (wanted := settings.actor_system.hosts):
        problems.print(
            f"{there} pooled hosts run, and actor_system.hosts says {wanted}: `thornback scale` "
            "has changed that, and a launch leaves it so; "
            f"`thornback scale --hosts {wanted}` makes it {wanted} again",
            markup=False,
        )


def say_other_settings(system: ActorSystem, settings: Settings, remedy: str) -> None:
    """Say so where a system that ran before was not launched with these settings."""
    if as_launched(system.settings) != settings:
        problems.print(
            "the settings here are not those that it runs with: `thornback settings --running` "
            f"shows what differs; {remedy} make them count",
            markup=False,
        )


def launching_of(arguments: argparse.Namespace) -> Launching:
    """How these options want it."""
    return Launching(take_over=arguments.take_over, timeout_s=arguments.timeout)


def launch_there(settings: Settings, how: Launching, *, for_programs: bool = False) -> int:
    """Launch on the Ray that is meant; the exit code. Ctrl-C does not undo it, and that is said."""
    join_ray()
    try:
        with launch(settings, how, for_programs=for_programs) as system:
            if not for_programs:
                say_other_settings(system, settings, "`thornback drain` and `thornback launch`")
    except KeyboardInterrupt:
        said = (
            "interrupted; the launch goes on by itself: `thornback status` shows it, and "
            "`thornback drain` ends it"
        )
        problems.print(said, markup=False)
        return INTERRUPTED
    return 0


def main() -> int:
    options = parser(__doc__)
    add_launching(options)
    options.add_argument(
        "--wait-for-token", action="store_true",
        help="wait, before anything is launched, until the database has a token that may be used",
    )  # fmt: skip
    arguments = options.parse_args()
    settings = settings_of(arguments)
    if arguments.wait_for_token:
        wait_for_one(settings)
    return launch_there(settings, launching_of(arguments))


if __name__ == "__main__":
    run(main)

"""`thornback state`: what a device is now."""

import asyncio
import sys
from dataclasses import asdict, is_dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from rich.pretty import Pretty

from actors.actor import Actor
from jobs.cli import options
from jobs.cli.devices import checked, has_events, unknown
from jobs.command_line import connected_by
from jobs.terminal import UNWELL, as_json, console, problems
from runtime.errors import NotPossible, UnknownActorType
from runtime.system import ActorSystem
from runtime.topology.status import ProcessStatus


class ClassAway(NotPossible):
    """No host has the class of this actor type, and the command was not told where it is."""

    def __init__(self, actor_type: str, close: str | None = None) -> None:
        hint = f"did you mean {close!r}? If not, say" if close else "say"
        super().__init__(
            f"no host knows the actor type {actor_type!r}: {hint} in which module its class is, "
            "--module MODULE (like chargers.charger)"
        )


@click.command
@options.source
@click.option(
    "--module", metavar="MODULE",
    help="Where the actor class is, like chargers.charger, for a system that has not met it.",
)  # fmt: skip
@options.config
@options.for_programs
def command(source: str, module: str | None, config: Path | None, for_programs: bool) -> int:
    """Show the present state of one device, after everything that is committed.

    SOURCE is its name in the log, the actor type and the device's name: `charger/c-17`. A device
    without events is shown as it begins; that it has none is said on standard error, and by the
    exit code, which is then 1. The hosts know the classes of the drivers that have
    spoken to them, and of `actor_system.actor_modules`; --module brings another.
    """
    actor_type, _, name = checked(source).partition("/")
    known = _class_in(module, actor_type) if module else actor_type
    with connected_by(config) as system:
        begun = asyncio.run(has_events(system, source))
        try:
            state = system.actor(known, name).state().result()
        except UnknownActorType as error:
            close = () if begun else get_close_matches(actor_type, sorted(_known(system)), n=1)
            raise ClassAway(actor_type, *close) from error
    if for_programs:
        print(as_json(asdict(state) if is_dataclass(state) else state))  # type: ignore[arg-type]
    else:
        console.print(Pretty(state, expand_all=True))
    if not begun:
        problems.print(f"{unknown(source)}: this is how one begins", markup=False)
    return 0 if begun else UNWELL


def _known(system: ActorSystem) -> set[str]:
    """The actor types whose classes hosts have."""
    return {
        actor_type
        for status in system.status().result()
        if isinstance(status, ProcessStatus)
        for actor_type in getattr(status.facts, "actor_types", ())
    }


def _class_in(module: str, actor_type: str) -> type[Actor[Any]]:
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` would
    try:
        values = vars(import_module(module)).values()
    except ImportError as error:
        raise click.UsageError(f"there is no module {module!r} here: {error}") from error
    actors = (one for one in values if isinstance(one, type) and issubclass(one, Actor))
    for actor in actors:
        if getattr(actor, "actor_type", None) == actor_type:
            return actor
    raise click.UsageError(f"module {module!r} has no actor of type {actor_type!r}")

"""What the commands about one device share: its name, and whether there is such a device."""

from typing import Any

import click

from actors.errors import InvalidName
from actors.naming import aggregate_id_of, checked_source
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem, PartitionedSystem

#: How one device is named.
FORM = "TYPE/NAME, like charger/c-17"


def checked(source: str, *, of_an_actor: bool = True) -> str:
    """A source that can be one; of an actor it has a type. Raises UsageError."""
    try:
        checked_source(source)
    except InvalidName as error:
        raise click.UsageError(str(error)) from error
    actor_type, _, name = source.partition("/")
    if of_an_actor and not (actor_type and name):
        raise click.UsageError(f"SOURCE is {FORM}; {source!r} is not")
    return source


def ref_of(system: ActorSystem, source: str) -> ActorRef[Any]:
    """The device of that name. Raises UsageError for what can be none."""
    actor_type, _, name = checked(source).partition("/")
    return system.actor(actor_type, name)


def unknown(source: str) -> str:
    """What there is to say of a source without events."""
    if not all(source.partition("/")):
        hint = f": a device is named {FORM}"
    elif "*" in source:
        hint = f": it is one device; of several, `thornback tail --source {source!r} --no-follow`"
    else:
        hint = ""
    return f"the log has no event of {source}{hint}"


async def has_events(system: ActorSystem, source: str) -> bool:
    """Is there an event of this source in the log?"""
    aggregate = aggregate_id_of(source)
    of_it = system.part_of(source) if isinstance(system, PartitionedSystem) else system
    store = await of_it.open_store()
    try:
        # Behind a snapshot are events; without one there are few.
        return await store.load_snapshot(aggregate) is not None or bool(
            await store.load_events(aggregate)
        )
    finally:
        await store.close()

"""A name in the log is that of one reader, of a group, of a stream program, or of actors that
listen."""

from collections.abc import Awaitable, Callable

from actors.errors import InvalidName
from store.event_store import EventStore

_INSTEAD = "take another name, or drop that one (thornback subscriptions --drop NAME)"


def check_single(name: str) -> Callable[[EventStore], Awaitable[None]]:
    """What raises InvalidName where a group or a program has this name, or where a new subscription
    would take that of an actor type, whose actors may come to listen."""

    async def check(store: EventStore) -> None:
        is_new = True
        for record in await store.subscriptions():
            is_new &= record.name != name
            if record.name.startswith(f"{name}/"):
                if record.member is not None:
                    problem = "a group of readers has this name: open it with group=True, or "
                    raise InvalidName(name, problem + _INSTEAD)
                raise InvalidName(name, f"a stream program has this name: {_INSTEAD}")
        if is_new and await _is_an_actor_type(name, store):
            problem = "an actor type has this name, and where its actors listen, so has their "
            raise InvalidName(name, f"{problem}checkpoint: take another name")

    return check


def check_group(name: str) -> Callable[[EventStore], Awaitable[None]]:
    """What raises InvalidName where a durable subscription with one reader, or a program, has this
    name, or an actor type whose actors listen."""

    async def check(store: EventStore) -> None:
        for record in await store.subscriptions():
            if record.name == name:
                if await _is_an_actor_type(name, store):
                    # Not: without group=True. Who opened it so would cut off actors that listen.
                    problem = "it is the checkpoint of actors of this type, which listen, or of a "
                    problem += "durable subscription with one reader: take another name"
                    raise InvalidName(name, problem)
                problem = "a durable subscription with one reader has this name: open it without "
                raise InvalidName(name, f"{problem}group=True, or {_INSTEAD}")
            if record.name.startswith(f"{name}/") and record.member is None:
                raise InvalidName(name, f"a stream program has this name: {_INSTEAD}")

    return check


async def _is_an_actor_type(name: str, store: EventStore) -> bool:
    record = (await store.type_records([name])).get(name)
    return record is not None and record.class_name is not None

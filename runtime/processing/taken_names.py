"""A name in the log is that of one reader, of a group, or of a stream program."""

from collections.abc import Awaitable, Callable

from actors.errors import InvalidName
from store.event_store import EventStore

_INSTEAD = "take another name, or drop that one (thornback subscriptions --drop NAME)"


def check_single(name: str) -> Callable[[EventStore], Awaitable[None]]:
    """What raises InvalidName where a group or a program has this name."""

    async def check(store: EventStore) -> None:
        for record in await store.subscriptions():
            if record.name.startswith(f"{name}/"):
                if record.member is not None:
                    problem = "a group of readers has this name: open it with group=True, or "
                    raise InvalidName(name, problem + _INSTEAD)
                raise InvalidName(name, f"a stream program has this name: {_INSTEAD}")

    return check


def check_group(name: str) -> Callable[[EventStore], Awaitable[None]]:
    """What raises InvalidName where a durable subscription with one reader, or a program, has this
    name."""

    async def check(store: EventStore) -> None:
        for record in await store.subscriptions():
            if record.name == name:
                problem = "a durable subscription with one reader has this name: open it without "
                raise InvalidName(name, f"{problem}group=True, or {_INSTEAD}")
            if record.name.startswith(f"{name}/") and record.member is None:
                raise InvalidName(name, f"a stream program has this name: {_INSTEAD}")

    return check

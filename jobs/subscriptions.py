"""Durable subscriptions, and those of stream programs: list them, or drop one. Needs the database,
and no Ray.

A program, or a group, has a subscription for each of its slots, NAME/0 and so on; people are shown
one, and of a group how many of its members that were heard of lately have a part of it."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from rich.markup import escape
from rich.table import Table

from actors.naming import check_not_ours
from jobs.databases import address_of, addresses_of, check_partition
from jobs.terminal import UNWELL, as_json, problems, run, show
from runtime.errors import NotPossible
from runtime.settings.settings import Settings
from runtime.topology.partitions import partition_of
from store.event_store import EventStore
from store.postgres.event_store import PostgresEventStore
from store.projected import REBUILD
from store.subscriptions import SubscriptionRecord

T = TypeVar("T")


def asked(settings: Settings, question: Callable[[EventStore], Awaitable[T]]) -> T:
    """What the event store of these settings answers. Raises NoDatabase, StoreUnavailable and
    SchemaMismatch, and NotPossible where there are several (see asked_each), or the log is of
    another partition."""
    return asyncio.run(_ask(address_of(settings), settings, question))


def asked_of(settings: Settings, source: str, question: Callable[[EventStore], Awaitable[T]]) -> T:
    """The same of the partition that a source is of, where these settings are of all."""
    each = addresses_of(settings)
    if len(each) == 1:
        return asked(settings, question)
    address, theirs = each[partition_of(source, len(each))]
    return asyncio.run(_ask(address, theirs, question))


def asked_each(settings: Settings, question: Callable[[EventStore], Awaitable[T]]) -> list[T]:
    """What the event store of each partition answers, in their order; of a system of one partition
    there is one. Nothing is asked before all logs have said that they are what the settings mean.
    Raises NoDatabase, StoreUnavailable, SchemaMismatch, and NotPossible where they do not."""
    return asyncio.run(_ask_each(addresses_of(settings), question))


async def _ask_each(
    each: Sequence[tuple[str, Settings]], question: Callable[[EventStore], Awaitable[T]]
) -> list[T]:
    for address, settings in each if len(each) > 1 else ():
        await _ask(address, settings, _nothing)
    return [await _ask(address, settings, question) for address, settings in each]


async def _nothing(_: EventStore) -> None:
    pass


async def _ask(
    address: str, settings: Settings, question: Callable[[EventStore], Awaitable[T]]
) -> T:
    store = await PostgresEventStore.connect(
        address, pool_size=1, timeout_s=settings.actor_system.actor_timeout_ms / 1000
    )
    try:
        async with store.connections.use() as connection:
            await check_partition(connection, settings)
        return await question(store)
    finally:
        await store.close()


def of_partition(partition: int, partitions: int) -> dict[str, int]:
    """What a line of JSON says of the partition that it is of, where there are several."""
    return {"partition": partition} if partitions > 1 else {}


class Head(NamedTuple):
    """Where a log stands, and the programs that read it with all others as one from there."""

    position: int
    merged: Mapping[str, int]  #: how many logs each of them reads


async def head_of(store: EventStore) -> Head:
    """That of one log."""
    merged = {each.program: len(each.began) for each in await store.merges()}
    return Head(await store.head(), merged)


def behind(name: str, position: int, head: Head, heads: Sequence[Head]) -> int | None:
    """How many positions somebody is behind the head of his log, or behind those of all, where he
    reads all. None: not all of these were asked."""
    logs = head.merged.get(name.partition("/")[0].removesuffix(REBUILD), 1)
    if logs == 1:
        return max(head.position - position, 0)
    return max(sum(each.position for each in heads) - position, 0) if len(heads) == logs else None


def in_table(count: int | None) -> str:
    """The same, as people read it."""
    return "?" if count is None else f"{count:,}"


def list_all(settings: Settings, *, for_programs: bool = False) -> int:
    """Show every one, and how far behind the head of the log it is; the exit code."""

    async def look(store: EventStore) -> tuple[list[SubscriptionRecord], Head]:
        return await store.subscriptions(), await head_of(store)

    found = asked_each(settings, look)
    heads = [head for _, head in found]
    if for_programs:
        for partition, (records, head) in enumerate(found):
            for record in records:
                said = in_json(record) | {
                    "behind": behind(record.name, record.position, head, heads)
                }
                print(as_json(said | of_partition(partition, len(found))))
        return 0
    if not any(records for records, _ in found):
        problems.print("there is none: subscribe(name='...') makes one")
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("name", "selects", "members", "finished", "checkpoint", "behind", "moved"):
        table.add_column(column, overflow="fold")
    if len(found) > 1:
        table.add_column("partition")
    for partition, (records, head) in enumerate(found):
        members = members_heard(records, settings.processing.member_timeout_ms / 1000)
        for record in folded(records):
            moved = record.moved_at
            table.add_row(
                record.name, escape(str(record.selection)), members.get(record.name, ""),
                f"{record.receipt.count:,}",
                f"{record.position:,}", in_table(behind(record.name, record.position, head, heads)),
                "never" if moved is None else moved.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
                *([str(partition)] if len(found) > 1 else ()),
            )  # fmt: skip
    show(table)
    return 0


def drop(settings: Settings, name: str) -> int:
    """Forget one, with its checkpoint, and all that a program keeps, or a group; the exit code,
    which says whether there was one. Raises NotPossible for one slot of it, and InvalidName for
    what the system itself keeps."""
    check_not_ours(name)
    if "/" in name:
        raise NotPossible(
            f"{name!r} is a slot of a stream program or of a group, and all of them go together: "
            f"--drop {name.partition('/')[0]}"
        )

    async def forget(store: EventStore) -> tuple[bool, bool]:
        return await store.drop_subscription(name), await store.drop_program(name)

    done = asked_each(settings, forget)
    read, kept = (any(each) for each in zip(*done, strict=True))
    if not read and not kept:
        problems.print(f"there is no durable subscription {name!r}", markup=False)
        return UNWELL
    said = "whoever reads it is told, and who opens that name begins anew"
    if kept:
        said = (
            "and with it all that the program keeps: its states, its table and its dead letters. "
            "Where it runs it ends with what it wants to commit next; run again, it begins anew"
        )
    problems.print(f"{name!r} is dropped: {said}", markup=False)
    return 0


def folded(records: Iterable[SubscriptionRecord]) -> list[SubscriptionRecord]:
    """The slots of each program, or group, as one, which is as far as the last of them."""
    found: dict[str, SubscriptionRecord] = {}
    for record in records:
        name = record.name.partition("/")[0]
        there = found.get(name)
        if there is None:
            found[name] = replace(record, name=name, member=None, silent_s=None)
            continue
        moved = [one.moved_at for one in (there, record) if one.moved_at is not None]
        found[name] = replace(
            there,
            position=min(there.position, record.position),
            receipt=there.receipt + record.receipt,
            moved_at=max(moved, default=None),
        )
    return list(found.values())


def members_heard(records: Iterable[SubscriptionRecord], within_s: float) -> dict[str, str]:
    """By group, how many of its members have slots of it, and were heard of in this time: nobody
    puts out the last one, where that was killed."""
    found: dict[str, set[int]] = {}
    for record in records:
        if record.member is not None:
            members = found.setdefault(record.name.partition("/")[0], set())
            if record.silent_s is not None and record.silent_s < within_s:
                members.add(record.member)
    return {name: str(len(members)) for name, members in found.items()}


def in_json(record: SubscriptionRecord) -> dict[str, object]:
    """A record as programs read it."""
    plain = asdict(record)
    del plain["epoch"], plain["selection"], plain["receipt"]
    return plain | {
        "member": None if record.member is None else str(record.member),  # beyond 2**53
        "event_types": record.selection.event_types,
        "sources": record.selection.sources,
        "kinds": [kind.value for kind in record.selection.kinds],
        "finished": record.receipt.count,
        "digest": record.receipt.digest.hex(),
    }


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--drop", metavar="NAME", help="forget this one, with its checkpoint")
    options.add_argument("--config", type=Path, help="settings file")
    options.add_argument("--json", action="store_true", help="print JSON, for programs")
    arguments = options.parse_args()
    settings = Settings.load(arguments.config)
    if arguments.drop is not None:
        return drop(settings, arguments.drop)
    return list_all(settings, for_programs=arguments.json)


if __name__ == "__main__":
    run(main)

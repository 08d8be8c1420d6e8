"""A directory deals shards out to the hosts that are to be, and leaves them where they are."""

import asyncio
from types import SimpleNamespace
from typing import Any

from runtime.cluster.directory import Directory
from runtime.process.world import World
from runtime.settings.settings import Settings
from store.event_store import EventStore
from store.memory import MemoryEventStore
from store.shards import dealt

THREE = ("host-0", "host-1", "host-2")


class OneStore(World):
    """What a directory that Ray has started anew acts on."""

    def __init__(self) -> None:
        super().__init__("n")
        self.store = MemoryEventStore()

    def restarted(self) -> bool:
        return True

    def system(self, settings: Settings) -> str | None:
        return None

    async def open_store(self, settings: Settings, *, migrate: bool = False) -> EventStore:
        return self.store


async def nothing(*arguments: Any, **named: Any) -> None:
    """Done."""


def directory_of(world: OneStore, hosts: int) -> Directory:
    """One of a system of so many hosts, all of which run."""
    settings = Settings.model_validate(
        {
            "actor_system": {"hosts": hosts},
            "event_store": {"type": "postgres", "connection_string": "postgresql://nowhere"},
        }
    )
    directory = Directory("directory", settings.model_dump_json(), None, world=world)
    parts: Any = directory
    parts._database = SimpleNamespace(ensure_started=nothing, claim=nothing)
    parts._metrics = SimpleNamespace(begun=True)
    parts._machines = SimpleNamespace(keep=nothing)
    parts._processes.start, parts._processes.others = nothing, dict
    parts.must_live = lambda lasting: lasting.close()
    return directory


async def test_one_that_is_started_anew_deals_out_what_the_one_before_did_not_come_to() -> None:
    world = OneStore()
    await world.store.open_shards(THREE)  # of a launch from before, with more hosts
    directory = directory_of(world, 1)
    await directory.start()
    assert directory._sharding.table == dealt(["host-0"], version=2)


async def test_one_that_is_started_anew_leaves_moved_shards_where_they_are() -> None:
    world = OneStore()
    await world.store.open_shards(THREE)
    epoch = await world.store.open_epoch("host-2")
    given = range(4096)
    moved = await world.store.move_shards(given, "host-2", "host-0", epoch, 1)
    directory = directory_of(world, 3)
    await directory.start()
    assert directory._sharding.table == moved.table
    assert "host-2" not in moved.table.hosts


async def test_one_that_waits_for_a_host_may_stop_it() -> None:
    directory = directory_of(OneStore(), 2)
    parts: Any = directory
    hangs = asyncio.Event()

    async def waits(*arguments: Any, **named: Any) -> None:
        assert named == {"again": True}
        await hangs.wait()

    async def ours() -> bool:
        return True

    parts._processes.start, parts._has_system = waits, ours
    may_stop = asyncio.ensure_future(directory._may_stop())
    await asyncio.sleep(0)
    assert not may_stop.done()  # the database may be another system's by now
    starting = asyncio.ensure_future(directory.start())
    async with asyncio.timeout(5):
        assert await may_stop
    assert not starting.done()
    hangs.set()
    starting.cancel()


async def test_who_promotes_asks_the_directory_which_knows_of_hosts_that_it_starts_and_ends() -> (
    None
):
    directory = directory_of(OneStore(), 2)
    parts: Any = directory
    parts.settings = directory.settings.model_copy(
        update={
            "actor_system": directory.settings.actor_system.model_copy(update={"promote_at": 1})
        }
    )
    await directory.start()
    [promoting] = parts._sharding._under_way
    asked = promoting.get_coro().cr_frame.f_locals["self"]._directory
    promoting.cancel()
    assert asked is directory
    name, parts.ensure_started = "promoted-7", nothing
    parts._sharding.add_host = parts._sharding.remove_host = nothing

    async def shared(timeout_s: float) -> Any:
        return parts._sharding.table, {}, ["host-0"]

    parts._sharding.sharing = shared
    parts._stopping.stopped[name] = "stopped"
    parts._stopping.stopped["host-9"] = "stopped"
    assert (await asked.sharing(1.0))[2] == ["host-0", "host-9"]  # who scales ends it, too
    await asked.remove_host("host-9", 1.0)
    await asked.remove_host(name, 1.0)
    assert directory._stopping.statuses() == []
    told: list[str] = []

    async def tell(host: str, *_: Any) -> None:
        told.append(host)

    parts._stopping.stopped[name], parts._stopping._tell = "stopped", tell
    await asked.add_host(name, 1.0)
    assert directory._stopping.statuses() == []
    await asyncio.gather(*directory._stopping._under_way)
    assert told == [name]

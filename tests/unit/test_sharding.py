"""The directory's part in moves and in scaling, of processes that are away, hang or never come."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
from ray.exceptions import ActorUnavailableError

from runtime.cluster.sharding import Sharding
from runtime.errors import HostUnavailable, StartFailed
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.names import ProcessKind, kind_of
from store.errors import StaleEpoch, StoreUnavailable
from store.event_store import Epoch, ShardsMoved
from store.shards import SHARDS, ShardTable, dealt

LIMIT_S = 30.0
#: Of what is not to come about.
SHORT_S = 0.3


class Method:
    """One of a host's, as a Ray handle has it."""

    def __init__(self, work: Any) -> None:
        self._work = work

    def remote(self, *arguments: Any) -> Any:
        return self._work(*arguments)


class PlayedHost:
    """A host that is away so many times, and comes to life when it may."""

    def __init__(self, system: "Played", name: str) -> None:
        self._system, self._name = system, name
        self.away = 0
        self.ready_now = asyncio.Event()
        self.ready_now.set()

    def __getattr__(self, method: str) -> Method:
        return Method(getattr(self, f"_{method}"))

    async def _ready(self) -> str:
        await self.ready_now.wait()
        return self._name

    async def _sent_classes(self) -> dict[str, bytes]:
        return {}

    async def _learn_shards(self) -> None:
        return None

    async def _drain(self) -> int:
        self._be_away()
        return 0

    async def _shard_loads(self) -> dict[int, float]:
        self._be_away()
        return {7: 3}

    async def _give_shards(self, shards: Iterable[int], to: str) -> ShardTable:
        self._be_away()
        self._system.table = self._system.table.given(list(shards), self._name, to)
        return self._system.table

    def _be_away(self) -> None:
        if self.away:
            self.away -= 1
            raise ActorUnavailableError("away", b"0" * 16)


class Played:
    """The processes of a system, and its store."""

    def __init__(self) -> None:
        self.table = dealt(["host-0", "host-1"], version=1)
        self.hosts = {name: PlayedHost(self, name) for name in ("host-0", "host-1")}
        self.next: PlayedHost | None = None  #: what is started next, if that is no plain one
        self.store_away = 0
        self.epochs = 0  #: the latest one of a host
        self.late = 0
        self.sharding = Sharding(self, lambda: Settings.model_validate({}), cast(World, self))

    # What a world is:

    async def open_store(self, settings: Settings) -> "Played":
        if self.store_away:
            self.store_away -= 1
            raise StoreUnavailable("the database", "on cue")
        return self

    async def aside(self, work: Callable[[], Any]) -> Any:
        return work()

    async def open_shards(self, hosts: list[str], *, anew: bool = False) -> ShardTable:
        return self.table

    async def close(self) -> None:
        return None

    async def open_epoch(self, node: str, holder: str) -> Epoch:
        self.epochs += 1
        return Epoch(name=node, number=self.epochs, counter=0)

    async def move_shards(
        self, shards: Iterable[int], host: str, to: str, epoch: Epoch, attempt: int
    ) -> ShardsMoved:
        if self.late:  # an incarnation that was begun before the host was ended
            self.late -= 1
            self.epochs += 1
        if epoch.number != self.epochs:
            raise StaleEpoch(epoch.name, epoch.number)
        self.table = self.table.given(list(shards), host, to)
        self.epochs += 1
        begun = Epoch(name=epoch.name, number=self.epochs, counter=0)
        return ShardsMoved(table=self.table, epoch=begun)

    def holder(self, settings: Settings) -> str:
        return "this system"

    def random(self, size: int) -> bytes:
        return bytes(size)

    # What the processes are:

    def sharded(self) -> list[str]:
        return sorted(set(self.table.hosts))

    def have_shards(self, hosts: Iterable[str]) -> None:
        assert set(hosts) == set(self.table.hosts)

    def others(self) -> dict[str, ProcessKind]:
        kinds = {name: kind_of(name, {}) for name in self.hosts}
        return {name: kind for name, kind in kinds.items() if kind is not None}

    def find(self, name: str) -> PlayedHost:
        if name not in self.hosts:
            raise ValueError(name)
        return self.hosts[name]

    async def start_host(self, name: str) -> PlayedHost:
        return self.hosts.setdefault(name, self.next or PlayedHost(self, name))

    def end(self, name: str) -> None:
        self.hosts.pop(name, None)


async def test_what_is_away_for_a_while_is_waited_for() -> None:
    played = Played()
    played.store_away, played.hosts["host-0"].away = 2, 2
    table = await played.sharding.move_shards([0, 2], "host-1", LIMIT_S)
    assert (table.hosts[0], table.hosts[2]) == ("host-1", "host-1")
    played.store_away = 1
    assert await played.sharding.known_within(LIMIT_S) == table


async def test_who_stays_away_is_named_with_the_reason() -> None:
    played = Played()
    played.hosts["host-0"].away = 1_000
    with pytest.raises(HostUnavailable, match=r"host-1 is not .*: shards have not come.*: .*away"):
        await played.sharding.move_shards([0], "host-1", SHORT_S)
    played.store_away = 1_000
    with pytest.raises(HostUnavailable, match=r"nobody says who has shards.*on cue"):
        await played.sharding.known_within(SHORT_S)


async def test_a_host_that_does_not_come_to_life_gets_no_shards() -> None:
    played = Played()
    played.next = PlayedHost(played, "host-2")
    played.next.ready_now.clear()
    with pytest.raises(HostUnavailable, match=r"host-2 is not .*: it is not ready within"):
        await played.sharding.add_host("host-2", SHORT_S)
    with pytest.raises(HostUnavailable, match="shards have not come within"):
        await played.sharding.move_shards([0], "host-2", SHORT_S)
    assert "host-2" not in played.table.hosts
    played.next.ready_now.set()
    await played.sharding.add_host("host-2", LIMIT_S)
    assert (await played.sharding.move_shards([0], "host-2", LIMIT_S)).of("host-2") == {0}


async def test_a_host_without_shards_is_ended_though_it_is_away() -> None:
    played = Played()
    await played.sharding.move_shards(range(4096), "host-0", LIMIT_S)
    played.hosts["host-1"].away = 1
    await played.sharding.remove_host("host-1", LIMIT_S)
    assert sorted(played.hosts) == ["host-0"]


async def test_shards_of_a_host_that_has_ended_are_given_by_one_that_is_started() -> None:
    played = Played()
    played.end("host-1")
    table = await played.sharding.move_shards(range(4096), "host-0", LIMIT_S)
    assert set(table.hosts) == {"host-0"}


async def test_of_a_host_that_is_away_nobody_says_what_its_shards_have_to_do() -> None:
    played = Played()
    played.hosts["host-0"].away = 1
    _, rates, _ = await played.sharding.sharing(LIMIT_S)
    assert {shard: rate for shard, rate in rates.items() if rate} == {7: 3}
    assert len(rates) == SHARDS // 2  # but for those of the one that is away
    _, rates, _ = await played.sharding.sharing(LIMIT_S)
    assert rates == {**dict.fromkeys(range(SHARDS), 0.0), 7: 6}


async def test_the_shards_of_a_host_that_is_stopped_are_taken_by_its_next_epoch() -> None:
    played = Played()
    await played.sharding.learn()
    assert played.sharding.others_than("host-1")
    assert not played.sharding.others_than("writer")
    table, taken = await played.sharding.take_shards("host-1", LIMIT_S)
    assert (taken, dict(table.by_host())) == (2_048, {"host-0": 4_096})
    assert set(played.hosts) == {"host-0"}
    assert played.epochs == 2  # opened once, and begun anew by the one move
    assert not played.sharding.others_than("host-0")
    with pytest.raises(HostUnavailable, match="no other host has shards"):
        await played.sharding.take_shards("host-0", SHORT_S)
    assert set(played.hosts) == {"host-0"}  # it is not ended


async def test_an_incarnation_that_was_begun_late_does_not_keep_its_shards() -> None:
    played = Played()
    played.late, played.store_away = 2, 2
    table, taken = await played.sharding.take_shards("host-1", LIMIT_S)
    assert (taken, dict(table.by_host())) == (2_048, {"host-0": 4_096})


async def test_shards_that_nobody_could_take_are_there_for_the_host_to_be_started_again() -> None:
    played = Played()
    played.late = 1_000
    with pytest.raises(HostUnavailable, match="its shards have not moved"):
        await played.sharding.take_shards("host-1", SHORT_S)
    assert set(played.hosts) == {"host-0"}
    await played.sharding.keep_host("host-1")
    assert set(played.hosts) == {"host-0", "host-1"}


class Counted(Played):
    """Counts how often its table is read."""

    read = 0

    async def open_shards(self, hosts: list[str], *, anew: bool = False) -> ShardTable:
        self.read += 1
        await asyncio.sleep(0)
        return self.table


async def test_all_who_ask_at_once_who_has_shards_are_told_by_one_look_at_the_store() -> None:
    played = Counted()
    tables = await asyncio.gather(*(played.sharding.told() for _ in range(9)))
    assert (set(map(id, tables)), played.read) == ({id(played.table)}, 1)
    played.store_away = 1
    failed = await asyncio.gather(
        *(played.sharding.told() for _ in range(3)), return_exceptions=True
    )
    assert [type(one) for one in failed] == [StoreUnavailable] * 3
    assert await played.sharding.told() is played.table  # whoever asks next is told anew
    await played.sharding.cancel()
    with pytest.raises(StartFailed):
        await played.sharding.told()

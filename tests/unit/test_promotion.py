"""A shard has a host of its own while it is hot: asked for, or by itself."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from runtime.cluster.promotion import Heat, Promotion
from runtime.driver.promoting import demote, pooled_shard, promote
from runtime.driver.scaling import scale
from runtime.errors import HostUnavailable, NotPossible
from runtime.topology.balancing import moves
from runtime.topology.names import MOST_PROMOTED, promoted_name
from runtime.topology.placement import node_that_decides, shard_of
from store.shards import ShardTable, dealt
from tests.unit.test_balancing import FOUR, TWO, Played
from tests.virtual_time import now_s, virtual_time

HOT = 7


class Asked(Played):
    """A directory whose shards are sent something."""

    def __init__(self) -> None:
        super().__init__(TWO)
        self.rates: Mapping[int, float] = {}

    def _sharing(self, _: float) -> tuple[ShardTable, dict[int, float], list[str]]:
        return self.table, dict(self.rates), list(self.there)


async def test_a_shard_goes_to_a_host_of_its_own_and_back_to_the_one_with_least_to_do() -> None:
    system = Asked()
    assert await promote(system.ask, HOT) == promoted_name(HOT)
    assert await promote(system.ask, HOT) == promoted_name(HOT)
    assert system.table.of(promoted_name(HOT)) == {HOT}
    assert system.asked["move_shards"] == system.asked["add_host"] == 1
    system.rates = {HOT: 900.0, 0: 5.0, 1: 3.0}
    assert await demote(system.ask, HOT) == "host-1"
    assert await demote(system.ask, HOT) == "host-1"
    assert system.there == TWO
    assert system.asked["remove_host"] == 1


@pytest.mark.parametrize("steps", range(5))
async def test_whoever_was_interrupted_at_any_step_goes_on(steps: int) -> None:
    system = Asked()
    system.left = steps
    if steps < 3:
        with pytest.raises(HostUnavailable):
            await promote(system.ask, HOT)
    system.left = 1_000
    assert await promote(system.ask, HOT) == promoted_name(HOT)
    system.left = steps
    if steps < 3:
        with pytest.raises(HostUnavailable):
            await demote(system.ask, HOT)
    system.left = 1_000
    assert await demote(system.ask, HOT) in TWO
    assert system.there == TWO


async def test_as_many_are_promoted_as_may_be_and_no_more() -> None:
    system = Asked()
    for shard in range(MOST_PROMOTED):
        await promote(system.ask, shard)
    with pytest.raises(NotPossible, match="demote one first"):
        await promote(system.ask, MOST_PROMOTED)
    assert await promote(system.ask, 0) == promoted_name(0)
    await demote(system.ask, 0)
    assert await promote(system.ask, MOST_PROMOTED) == promoted_name(MOST_PROMOTED)


async def test_scaling_leaves_what_is_promoted_alone_and_ends_what_was_left_over() -> None:
    system = Asked()
    await promote(system.ask, HOT)
    system.there.append(promoted_name(9))  # its demotion was interrupted
    system.rates = {HOT: 10_000.0}
    table = await scale(system.ask, 4, lambda _: None)
    assert set(system.there) == {*FOUR, promoted_name(HOT)}
    assert table.hosts[HOT] == promoted_name(HOT)
    shares = {host: len(table.of(host)) for host in FOUR}
    assert max(shares.values()) - min(shares.values()) < 120
    assert not list(moves(table, FOUR, {HOT: 1_000_000.0}))


def test_a_dedicated_actor_has_a_process_of_its_own_already() -> None:
    assert pooled_shard("meter/a", {}) == shard_of("meter/a")
    with pytest.raises(NotPossible, match="meter is dedicated"):
        pooled_shard("meter/a", {"meter": "dedicated"})


def test_all_promoted_hosts_are_one_node() -> None:
    shard = shard_of("meter/a")
    table = dealt(TWO, version=1).given([shard], TWO[shard % 2], promoted_name(shard))
    assert node_that_decides("n", table, {}, "meter/a") == "n.promoted"


def test_a_burst_promotes_nothing_and_what_stays_hot_is_promoted_hottest_first() -> None:
    heat, table = Heat(1_000), dealt(TWO, version=1)
    assert heat.look(table, {1: 5_000, 2: 1_000, 3: 999}) == ([], [])
    assert heat.look(table, {1: 5_000, 2: 6_000, 4: 9_000}) == ([2, 1], [])
    assert heat.look(table, {1: 0, 2: 0}) == ([], [])
    assert heat.look(table, {1: 5_000}) == ([], [])


def test_what_has_cooled_down_for_a_while_is_demoted() -> None:
    heat, table = Heat(1_000), dealt(TWO, version=1).given([1], "host-1", promoted_name(1))
    for _ in range(Heat.COLD_LOOKS - 1):
        assert heat.look(table, {1: 499}) == ([], [])
    assert heat.look(table, {1: 500}) == ([], [])  # neither hot nor cold
    looks = [heat.look(table, {1: 0}) for _ in range(Heat.COLD_LOOKS)]
    assert looks == [([], [])] * (Heat.COLD_LOOKS - 1) + [([], [1])]


def test_of_a_host_that_does_not_answer_nobody_knows_how_hot_it_is() -> None:
    heat, table = Heat(1_000), dealt(TWO, version=1).given([1], "host-1", promoted_name(1))
    for _ in range(3 * Heat.COLD_LOOKS):
        assert heat.look(table, {2: 0}) == ([], [])
    assert heat.look(table, {2: 5_000}) == ([], [])
    assert heat.look(table, {}) == ([], [])
    assert heat.look(table, {2: 5_000}) == ([2], [])


def test_a_promoted_host_that_has_no_shard_for_a_while_is_left_over() -> None:
    heat, table = Heat(1_000), dealt(TWO, version=1).given([1], "host-1", promoted_name(1))
    there = [*TWO, promoted_name(1), promoted_name(2)]
    looks = [heat.left_over(table, there) for _ in range(Heat.COLD_LOOKS)]
    assert looks == [[]] * (Heat.COLD_LOOKS - 1) + [[promoted_name(2)]]
    assert heat.left_over(table, there[:-1]) == []


class Sharding(Asked):
    """What Promotion asks, as methods."""

    def __init__(self) -> None:
        super().__init__()
        self.moved_s: list[float] = []
        self.never = ""  #: a host that does not come to life

    def _add_host(self, name: str, timeout_s: float) -> None:
        if name == self.never:
            raise HostUnavailable(name, "on cue")
        super()._add_host(name, timeout_s)

    async def move_shards(self, shards: list[int], to: str, timeout_s: float) -> ShardTable:
        self.moved_s.append(now_s())
        return self._move_shards(shards, to, timeout_s)

    def __getattr__(self, method: str) -> Any:
        async def call(*arguments: Any) -> Any:
            return await self.ask(method, *arguments)

        return call


@virtual_time
async def test_the_directory_looks_every_ten_seconds_also_behind_a_look_that_failed() -> None:
    sharding = Sharding()
    sharding.rates = {HOT: 2_000.0}
    keeping = asyncio.ensure_future(Promotion(sharding, 1_000, set).keep())
    sharding.left = 1  # the second look fails
    await asyncio.sleep(25)
    assert sharding.moved_s == []
    sharding.left = 1_000
    await asyncio.sleep(10)
    assert sharding.moved_s == [30.0]
    assert sharding.table.hosts[HOT] == promoted_name(HOT)
    sharding.rates = {HOT: 0.0}
    await asyncio.sleep(10 * Heat.COLD_LOOKS)
    assert sharding.moved_s == [30.0, 90.0]
    assert sharding.there == TWO
    keeping.cancel()


@virtual_time
async def test_what_fails_for_one_shard_and_what_was_stopped_keeps_no_other_from_its_turn() -> None:
    sharding = Sharding()
    sharding.rates = {HOT: 9_000.0, 8: 8_000.0, 9: 7_000.0}
    sharding.never = promoted_name(HOT)
    stopped = {promoted_name(8)}
    keeping = asyncio.ensure_future(Promotion(sharding, 1_000, lambda: stopped).keep())
    await asyncio.sleep(25)
    assert [sharding.table.hosts[shard] for shard in (HOT, 8)] == ["host-1", "host-0"]
    assert sharding.table.hosts[9] == promoted_name(9)
    keeping.cancel()

"""A host decides for the shards that it has, and gives them away behind all that it has decided."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.errors import ActorsMoved
from runtime.host.batch import Batch
from runtime.host.shards import State
from runtime.topology.placement import shard_of
from runtime.wire.answers import unpack_state
from runtime.wire.commands import STATE, Answer, unpack_answer
from runtime.wire.error_codec import decode_error
from store.errors import StaleEpoch, StoreUnavailable
from store.event_store import Epoch, ShardsMoved
from tests.unit.hosting import (
    NODE,
    SHARING,
    Add,
    AddOnce,
    Hosting,
    command,
    intrude,
    totals,
)
from tests.unit.writing import CuedStore


def sources(host: int) -> Iterator[str]:
    """Counters that one of the two has at first."""
    return (one for n in range(10_000) if shard_of(one := f"counter/{n}") % 2 == host)


MINE = next(sources(0))
THEIRS = next(sources(1))


def problem(answer: Answer) -> Exception | None:
    """Why a batch was turned away."""
    return None if answer.turned_away is None else decode_error(answer.turned_away)


async def answered(batch: Batch) -> Exception | None:
    return problem(unpack_answer(await batch.answer))


async def leave(host: Hosting, *moving: str) -> Any:
    """Have the shards of these go to the other one."""
    going = host.shards.leave([shard_of(one) for one in moving], "other")
    host.mailbox.wake()
    return await going


class LosingStore(CuedStore):
    """Moves shards, and says so only as often as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.losing: list[bool] = []  #: of the next moves the answers are lost: does it move?

    async def move_shards(
        self, shards: Any, host: str, to: str, epoch: Epoch, attempt: int
    ) -> ShardsMoved:
        if not self.losing:
            return await super().move_shards(shards, host, to, epoch, attempt)
        if self.losing.pop(0):
            await super().move_shards(shards, host, to, epoch, attempt)
        raise StoreUnavailable("memory", "on cue")


class SlowStore(CuedStore):
    """Moves shards away from this host, and is slow to say so."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = asyncio.Event()
        self.heard = asyncio.Event()

    async def move_shards(
        self, shards: Any, host: str, to: str, epoch: Epoch, attempt: int
    ) -> ShardsMoved:
        moved = await super().move_shards(shards, host, to, epoch, attempt)
        if host == NODE:
            self.moved.set()
            await self.heard.wait()
        return moved


async def give_back(host: Hosting, source: str) -> None:
    """The other one gives the shard of this source to this host."""
    other = await host.store.open_epoch("other")
    await host.store.move_shards([shard_of(source)], "other", NODE, other, 1)


async def test_a_command_for_an_actor_that_lives_elsewhere_turns_its_batch_away() -> None:
    host = await Hosting.begin(shards=True)
    for version in (0, 7):  # as nobody was told, and as nobody can know yet
        said = await answered(host.send(command(MINE, Add()), command(THEIRS, Add())))
        assert isinstance(said, ActorsMoved)
        assert (said.host, said.version) == (NODE, 1)
        host.begin_generation()
        assert version or not host.appends
    assert not host.appends
    assert totals(await host.ask(MINE, Add())) == [1]


async def test_where_the_version_says_that_the_way_was_right_no_command_is_looked_at() -> None:
    host = await Hosting.begin(shards=True)
    assert await answered(host.send(command(THEIRS, Add()), version=1)) is None


async def test_shards_that_others_have_given_it_are_found_when_somebody_knows_of_them() -> None:
    host = await Hosting.begin(shards=True)
    other = await host.store.open_epoch("other")
    await host.store.move_shards([shard_of(THEIRS)], "other", NODE, other, 1)
    assert isinstance(await answered(host.send(command(THEIRS, Add()))), ActorsMoved)
    host.begin_generation()
    assert await answered(host.send(command(THEIRS, Add()), version=2)) is None
    assert host.shards.table.version == 2
    # And those that it had, by a version from before that, are looked at.
    assert await answered(host.send(command(MINE, Add()), version=1)) is None


async def test_a_version_that_it_has_not_seen_is_no_way_to_it() -> None:
    host = await Hosting.begin(shards=True)
    other = await host.store.open_epoch("other")
    await host.store.move_shards([shard_of(THEIRS)], "other", NODE, other, 1)
    table = await leave(host, THEIRS)  # which it does not know that it has
    assert table.version == 3
    assert table.of(NODE) == (await Hosting.begin(shards=True)).shards.table.of(NODE)
    assert isinstance(await answered(host.send(command(THEIRS, Add()), version=2)), ActorsMoved)


async def test_what_came_before_a_move_is_decided_and_what_comes_behind_it_is_not() -> None:
    host = await Hosting.begin(shards=True)
    stays = [one for one in sources(0) if one != MINE][:1][0]
    before = host.send(command(MINE, Add(times=2)), command(stays, Add()))
    table = await leave(host, MINE, THEIRS)
    assert await answered(before) is None
    assert table.hosts[shard_of(MINE)] == table.hosts[shard_of(THEIRS)] == "other"
    assert host.residents.sources() == [stays]
    said = await answered(host.send(command(MINE, Add()), version=1))
    assert isinstance(said, ActorsMoved)
    assert said.version == table.version == 2
    host.begin_generation()
    assert totals(await host.ask(stays, Add())) == [2]
    assert host.appends[-1].epoch == host.appends[0].epoch + 1
    assert len(await host.log(MINE)) == 2


async def test_an_append_that_is_late_is_waited_for() -> None:
    host = await Hosting.begin(shards=True)
    gate, way = asyncio.Event(), host.way

    async def late(append: Any) -> Any:
        await gate.wait()
        return await way(append)

    host.way = late  # type: ignore[method-assign]
    before = host.send(command(MINE, Add()))
    going = asyncio.ensure_future(leave(host, MINE))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not going.done()
    assert (await host.store.open_shards(SHARING)).version == 1
    gate.set()
    await going
    assert await answered(before) is None
    assert len(await host.log(MINE)) == 1


async def test_a_move_behind_an_append_that_failed_waits_until_that_was_run_again() -> None:
    host = await Hosting.begin(shards=True)
    way, failing = host.way, [True]

    async def once(append: Any) -> Any:
        if failing:
            failing.clear()
            raise StoreUnavailable("memory", "on cue")
        return await way(append)

    host.way = once  # type: ignore[method-assign]
    before = host.send(command(MINE, Add()))
    table = await leave(host, MINE)
    assert isinstance(await answered(before), StoreUnavailable)
    assert table.hosts[shard_of(MINE)] == "other"
    assert not await host.log(MINE)


@pytest.mark.parametrize("moves", [True, False])
async def test_while_it_is_open_whether_shards_have_gone_nothing_is_decided(moves: bool) -> None:
    store = LosingStore()
    host = await Hosting.begin(store, shards=True)
    stays = [one for one in sources(0) if one != MINE][:1][0]
    store.losing = [moves, False, False]
    with pytest.raises(StoreUnavailable):
        await leave(host, MINE)
    assert host.shards.found_rightly(1) is False
    assert isinstance(await answered(host.send(command(stays, Add()), version=1)), StoreUnavailable)
    store.losing = []
    host.begin_generation()
    assert totals(await host.ask(stays, Add())) == [1]
    assert host.shards.state == State.HAVING
    assert host.shards.table.hosts[shard_of(MINE)] == "other"
    assert host.shards.table.version == 2


async def test_a_host_that_was_replaced_gives_nothing_away() -> None:
    host = await Hosting.begin(shards=True)
    await host.store.open_epoch(NODE)
    with pytest.raises(StaleEpoch):
        await leave(host, MINE)
    with pytest.raises(StaleEpoch):
        await host.running
    assert (await host.store.open_shards(SHARING)).version == 1


async def test_what_was_in_vain_is_not_remembered_of_actors_that_have_left() -> None:
    host = await Hosting.begin(shards=True)
    await host.ask(MINE, Add())
    rejected = command(MINE, AddOnce())
    await host.deliver(rejected)
    assert len(host.recent.in_vain) == 1
    await leave(host, MINE)
    assert not len(host.recent.in_vain)
    assert not host.recent.in_vain.bytes


async def test_an_actor_that_was_elsewhere_while_its_move_was_open_is_loaded_anew() -> None:
    store = LosingStore()
    host = await Hosting.begin(store, shards=True)
    await host.ask(MINE, Add(times=2))
    store.losing = [True]  # it moves, and the answer is lost
    with pytest.raises(StoreUnavailable):
        await leave(host, MINE)
    await intrude(host, MINE, 3)  # the other one has it, and decides for it
    await give_back(host, MINE)
    answer = unpack_answer(await host.send(command(MINE, STATE), version=3).answer)
    assert problem(answer) is None
    assert unpack_state(answer)["version"] == 3
    assert unpack_state(answer)["state"]["total"] == 3


async def test_so_it_is_where_its_coming_back_is_heard_of_before_its_leaving() -> None:
    store = SlowStore()
    host = await Hosting.begin(store, shards=True)
    await host.ask(MINE, Add())
    going = asyncio.ensure_future(leave(host, MINE))
    await store.moved.wait()
    await intrude(host, MINE, 2)
    await give_back(host, MINE)
    await host.shards.learn()
    store.heard.set()
    await going
    answer = unpack_answer(await host.send(command(MINE, STATE), version=3).answer)
    assert unpack_state(answer)["version"] == 2


async def test_what_was_sent_before_an_actor_left_is_not_decided_when_it_has_come_back() -> None:
    store = SlowStore()
    host = await Hosting.begin(store, shards=True)
    going = asyncio.ensure_future(leave(host, MINE))
    await store.moved.wait()
    # Its driver may give this copy up, send another one to where the actor is, and be refused.
    copy = host.send(command(MINE, AddOnce()), version=1)
    await give_back(host, MINE)
    await host.shards.learn()  # as the directory has it done
    store.heard.set()
    await going
    said = await answered(copy)
    assert isinstance(said, ActorsMoved)
    assert said.version == 3
    assert not await host.log(MINE)
    host.begin_generation()
    assert await answered(host.send(command(MINE, AddOnce()), version=3)) is None


async def test_a_move_that_waits_behind_one_in_doubt_is_told_when_the_store_is_away() -> None:
    """Nothing else wakes a host that has nothing to do: whoever asked asks again."""
    store = LosingStore()
    host = await Hosting.begin(store, shards=True)
    store.losing = [False, False]
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(leave(host, MINE), 5)
    await asyncio.wait_for(leave(host, MINE), 5)

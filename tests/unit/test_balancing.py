"""Shards are shared out by what they have to do: what is hot goes alone."""

from collections import Counter

import pytest

from runtime.driver.scaling import ScalingStep, checked_hosts, scale
from runtime.errors import HostUnavailable
from runtime.topology.balancing import TOGETHER, moves
from store.shards import SHARDS, ShardTable, dealt

TWO = ["host-0", "host-1"]
FOUR = ["host-0", "host-1", "host-2", "host-3"]


def moved(table: ShardTable, hosts: list[str], commands: dict[int, int]) -> ShardTable:
    """The table when all of it is done."""
    for shards, host, to in moves(table, hosts, commands):
        assert all(table.hosts[shard] == host for shard in shards)
        assert 0 < len(shards) <= TOGETHER
        table = table.given(shards, host, to)
    return table


def test_where_all_have_as_much_nothing_moves() -> None:
    assert not list(moves(dealt(TWO), TWO, {}))
    assert not list(moves(dealt(TWO), TWO, {2: 100, 3: 105}))


def test_hosts_that_are_added_get_their_share_and_no_shard_moves_twice() -> None:
    going = [shard for each in moves(dealt(TWO), FOUR, {}) for shard in each.shards]
    assert len(going) == len(set(going)) < SHARDS * 0.55
    shares = moved(dealt(TWO), FOUR, {}).by_host()
    assert all(abs(share - SHARDS / 4) < SHARDS / 4 * 0.11 for share in shares.values())


def test_hosts_that_are_to_go_have_nothing_left() -> None:
    shares = moved(dealt(FOUR), TWO, {7: 10}).by_host()
    assert set(shares) == set(TWO)
    assert sum(shares.values()) == SHARDS


def test_a_hot_shard_moves_alone_and_its_host_gets_little_else() -> None:
    commands = {0: 1_000, 2: 1_000, 4: 10, 1: 10}
    going = list(moves(dealt(TWO), TWO, commands))
    assert going[0].shards in ((0,), (2,))
    assert [len(each.shards) for each in going if {0, 2} & set(each.shards)] == [1]
    table = moved(dealt(TWO), TWO, commands)
    assert table.hosts[0] != table.hosts[2]


def test_one_shard_that_has_almost_everything_to_do_does_not_go_to_and_fro() -> None:
    commands = {0: 100_000}
    table = moved(dealt(TWO), TWO, commands)
    assert table.hosts[0] == "host-0"
    assert not list(moves(table, TWO, commands))


@pytest.mark.parametrize("wrong", [0, -1, 65, True, "2", 2.0, None])
def test_a_number_of_hosts_that_cannot_be_is_refused(wrong: object) -> None:
    with pytest.raises((ValueError, TypeError), match=r"host"):
        checked_hosts(wrong)  # type: ignore[arg-type]


class Played:
    """A directory that does what it is asked, until it does not."""

    def __init__(self, hosts: list[str]) -> None:
        self.table, self.there = dealt(hosts, version=1), list(hosts)
        self.asked: Counter[str] = Counter()
        self.left = 1_000_000  #: so many times it does

    async def ask(self, method: str, *arguments: object) -> object:
        if not self.left:
            raise HostUnavailable("host-0", "on cue")
        self.left -= 1
        self.asked[method] += 1
        return getattr(self, f"_{method}")(*arguments)

    def _sharing(self, _: float) -> tuple[ShardTable, dict[int, float], list[str]]:
        return self.table, {}, list(self.there)

    def _add_host(self, name: str, _: float) -> None:
        if name not in self.there:
            self.there.append(name)

    def _remove_host(self, name: str, _: float) -> None:
        assert not self.table.of(name)
        assert name in self.there
        self.there.remove(name)

    def _move_shards(self, shards: list[int], to: str, _: float) -> ShardTable:
        assert to in self.there
        for host in set(self.table.hosts):
            self.table = self.table.given(shards, host, to)
        return self.table


@pytest.mark.parametrize(("hosts", "goal"), [(TWO, 4), (FOUR, 2), (FOUR, 1)])
async def test_whoever_was_interrupted_at_any_step_goes_on_where_it_was(
    hosts: list[str], goal: int
) -> None:
    whole = Played(hosts)
    told: list[ScalingStep] = []
    table = await scale(whole.ask, goal, told.append)
    assert set(table.hosts) == set(whole.there) == set(FOUR[:goal])
    assert (
        told[-1].moved
        == told[-1].to_move
        == sum(before != now for before, now in zip(dealt(hosts).hosts, table.hosts, strict=True))
    )
    for steps in range(0, sum(whole.asked.values()), 3):
        again = Played(hosts)
        again.left = steps
        with pytest.raises(HostUnavailable):
            await scale(again.ask, goal, lambda _: None)
        again.left = 1_000_000
        assert set((await scale(again.ask, goal, lambda _: None)).hosts) == set(again.there)
        assert set(again.there) == set(FOUR[:goal])

"""What each shard is sent, told from a few commands of each batch."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from runtime.host.batch import Batch
from runtime.host.shard_loads import ShardLoads
from runtime.topology.placement import shard_of
from runtime.wire.commands import SOURCE


def _batch(number: int, *sources: str) -> Batch:
    commands = []
    for source in sources:
        command: list[Any] = [None] * (SOURCE + 1)
        command[SOURCE] = source
        commands.append(command)
    return cast(Batch, SimpleNamespace(number=number, commands=commands))


class Clock:
    """A clock that is set."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_rates_are_of_the_last_one_to_two_windows() -> None:
    clock = Clock()
    loads, shard = ShardLoads(clock), shard_of("meter/a")
    loads.note(_batch(0, *["meter/a"] * 10))
    assert loads.per_second() == {shard: 10.0}  # less than a second says nothing
    clock.now_s += 5
    assert loads.per_second() == {shard: 2.0}
    clock.now_s += 7  # the first window was of 12 seconds
    loads.note(_batch(1, *["meter/a"] * 48))
    clock.now_s += 3
    assert loads.per_second() == {shard: pytest.approx(58 / 15)}
    clock.now_s += 60
    assert loads.per_second() == {}


def test_what_is_hot_among_much_else_comes_out() -> None:
    clock = Clock()
    loads = ShardLoads(clock)
    others = [f"meter/{number}" for number in range(1_500)]
    for number in range(100):
        loads.note(_batch(number, *others, *["meter/hot"] * 500))
    clock.now_s += 9
    rates = loads.per_second()
    hottest = max(rates, key=lambda shard: rates[shard])
    assert hottest == shard_of("meter/hot")
    assert rates[hottest] == pytest.approx(100 * 500 / 9, rel=0.3)
    assert sum(rates.values()) == pytest.approx(100 * 2_000 / 9, rel=0.05)


def test_an_empty_batch_counts_nothing() -> None:
    loads = ShardLoads(Clock())
    loads.note(_batch(0))
    assert loads.per_second() == {}

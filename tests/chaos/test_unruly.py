"""A way on which requests come twice, late and in another order."""

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.chaos.reading import unruly_in
from tests.chaos.records import Record
from tests.chaos.unruly import Unruliness, make_unruly


class Host:
    """Answers each request with how many had come by then."""

    def __init__(self, failing: frozenset[int] = frozenset()) -> None:
        self.came: list[bytes] = []
        self.came_twice = asyncio.Event()
        self.closed = self.looked = False
        self._failing = failing

    async def call(self, method: str, request: bytes) -> bytes:
        self.came.append(request)
        number = len(self.came)
        if number == 2:
            self.came_twice.set()
        await asyncio.sleep(0)
        if number in self._failing:
            raise ConnectionResetError("gone")
        return str(number).encode()

    def look_again(self) -> None:
        self.looked = True

    def close(self) -> None:
        self.closed = True


class World:
    """Where there is one host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def caller(self, name: str) -> Host:
        return self._host


async def unruly(host: Host, folder: Path, *befalls: Unruliness) -> Any:
    """A way to it on which this befalls every request."""
    world: Any = World(host)
    make_unruly(world, _Fixed(befalls), Record(folder / "ways-of-me-0.jsonl"))
    return await world.caller("host-0")


class _Fixed(Random):
    """Has happen what is said, and nothing take longer than it has to."""

    def __init__(self, befalls: tuple[Unruliness, ...]) -> None:
        super().__init__(0)
        self._befalls, self._asked = befalls, 0

    def random(self) -> float:
        each = list(Unruliness)[self._asked % len(Unruliness)]
        self._asked += 1
        return 0.0 if each in self._befalls else 1.0

    def uniform(self, a: float, b: float) -> float:
        return a


async def test_what_nothing_befalls_comes_once(tmp_path: Path) -> None:
    host = Host()
    way = await unruly(host, tmp_path)

    assert await way.call("deliver", b"batch") == b"1"
    assert host.came == [b"batch"]
    assert unruly_in(tmp_path) == {}


async def test_one_that_is_held_up_is_overtaken(tmp_path: Path) -> None:
    host = Host()
    slow, fast = await unruly(host, tmp_path, Unruliness.HELD), await unruly(host, tmp_path)

    await asyncio.gather(slow.call("deliver", b"first"), fast.call("deliver", b"second"))

    assert host.came == [b"second", b"first"]
    assert unruly_in(tmp_path) == {"held": 1}


async def test_one_comes_twice_and_the_first_answer_counts(tmp_path: Path) -> None:
    host = Host()
    way = await unruly(host, tmp_path, Unruliness.TWICE)

    assert await way.call("deliver", b"batch") in (b"1", b"2")
    assert host.came == [b"batch", b"batch"]


async def test_a_copy_that_comes_to_nobody_is_no_answer(tmp_path: Path) -> None:
    host = Host(failing=frozenset({1}))  # where the copy is the faster one
    way = await unruly(host, tmp_path, Unruliness.TWICE)

    assert await way.call("deliver", b"batch") == b"2"


async def test_a_request_that_fails_is_answered_by_its_copy_or_fails(tmp_path: Path) -> None:
    host = Host(failing=frozenset({1, 2}))
    way = await unruly(host, tmp_path, Unruliness.TWICE)

    with pytest.raises(ConnectionResetError):
        await way.call("deliver", b"batch")


async def test_one_comes_again_when_it_has_long_been_answered(tmp_path: Path) -> None:
    host = Host()
    way = await unruly(host, tmp_path, Unruliness.AGAIN)

    assert await way.call("deliver", b"batch") == b"1"
    async with asyncio.timeout(60.0):
        await host.came_twice.wait()
    assert host.came == [b"batch", b"batch"]


async def test_questions_travel_as_they_always_do(tmp_path: Path) -> None:
    host = Host()
    way = await unruly(host, tmp_path, *Unruliness)

    assert await way.call("hello", b"question") == b"1"
    way.look_again()
    way.close()
    assert (host.came, host.looked, host.closed) == ([b"question"], True, True)


def test_what_befell_requests_is_counted(tmp_path: Path) -> None:
    lines = [json.dumps({"unruly": each}) for each in ("held", "twice", "held")]
    (tmp_path / "ways-of-driver-0-0.jsonl").write_text("\n".join(lines) + "\n")

    assert unruly_in(tmp_path) == {"held": 2, "twice": 1}

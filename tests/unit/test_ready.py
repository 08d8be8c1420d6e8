"""Waiting until a process is ready, one that rests as well."""

import pytest
from ray.exceptions import ActorUnavailableError

from runtime.cluster.system_processes import ready
from runtime.errors import StartFailed


class Resting:
    """A process that rests so many times, and then starts, or does not."""

    def __init__(self, rests: int, *, fails: bool = False) -> None:
        self._rests, self._fails, self.waited = rests, fails, 0
        self.away = 0

    @property
    def ready(self) -> "Called":
        return Called(self._ready)

    @property
    def rested(self) -> "Called":
        return Called(self._rested)

    async def _ready(self) -> str:
        if self.away:
            self.away -= 1
            raise ActorUnavailableError("away", b"0" * 16)
        if self._rests or self._fails:
            raise StartFailed("host-1", "it has ended 6 times in a row, and rests")
        return "node"

    async def _rested(self, wait: bool) -> bool:
        resting = self._rests > 0
        if resting and wait:
            self._rests -= 1
            self.waited += 1
        return resting


class Called:
    """A method, as a Ray handle has it."""

    def __init__(self, method: object) -> None:
        self.remote = method


async def test_a_rest_is_waited_out() -> None:
    process = Resting(3)
    process.away = 1
    await ready(process)
    assert process.waited == 3


async def test_who_does_not_start_says_why() -> None:
    with pytest.raises(StartFailed):
        await ready(Resting(1, fails=True))


async def test_a_directory_that_was_started_anew_does_not_wait_for_a_rest() -> None:
    process = Resting(3)
    await ready(process, or_rests=True)
    assert process.waited == 0

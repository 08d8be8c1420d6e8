"""Who is fenced off asks the store whether anybody else goes on with its work. While there is no
answer it neither ends, nor takes the work away from whoever may have it."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.processing.program_run import ProgramRun
from store.errors import StaleCheckpoint, StoreUnavailable
from tests.unit.test_posting import Posted
from tests.virtual_time import virtual_time

STALE = StaleCheckpoint("mine", 7)
AWAY = StoreUnavailable("database", "it restarts")


class Over(Exception):
    """It has begun anew."""


class Asked:
    """A store that is away at first."""

    def __init__(self, epoch: int) -> None:
        self.answers: Iterator[Any] = iter([AWAY, AWAY, epoch])

    async def subscriptions(self) -> list[Any]:
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return [SimpleNamespace(name="mine", epoch=answer)]


class FencedPosting(Posted):
    """Is fenced off at its first incarnation, and over at its second."""

    def __init__(self, store: Any) -> None:
        super().__init__()
        self.name, self._kept, self._store = "mine", 0, store
        self._ends: Iterator[Exception] = iter([STALE, Over()])

    async def _deliver(self) -> None:
        raise next(self._ends)


class FencedRun(ProgramRun):
    """Likewise."""

    slot_names = frozenset({"mine"})

    def __init__(self, store: Any) -> None:
        self.program: Any = SimpleNamespace(name="mine")
        self.facts: Any = SimpleNamespace(position=0, trouble=None)
        self._tabled, self._store = None, store
        self._ends: Iterator[Exception] = iter([STALE, Over()])
        self.said: list[str] = []

    def _say(self, **changes: Any) -> None:
        self.said.append(changes["trouble"])

    async def _work(self) -> None:
        raise next(self._ends)


@pytest.mark.parametrize("fenced", [FencedPosting, FencedRun])
@virtual_time
async def test_it_begins_anew_where_nobody_has_it_as_soon_as_the_store_says_so(
    fenced: Any,
) -> None:
    store = Asked(epoch=-3)
    with pytest.raises(Over):
        await fenced(store).run()
    assert list(store.answers) == []


@pytest.mark.parametrize("fenced", [FencedPosting, FencedRun])
@virtual_time
async def test_it_ends_where_somebody_else_has_it_as_soon_as_the_store_says_so(
    fenced: Any,
) -> None:
    with pytest.raises(StaleCheckpoint):
        await fenced(Asked(epoch=9)).run()

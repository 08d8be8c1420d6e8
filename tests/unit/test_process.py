"""What every process shares: one try to start at a time, again after a failure, and an end
for a process whose background work failed."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import pytest

from runtime.errors import StartFailed
from runtime.process.leave import ASKED_S, Leave
from runtime.process.process import Process
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.names import ProcessKind
from runtime.topology.status import HostFacts
from store.errors import StaleEpoch, StoreUnavailable
from store.event_store import Epoch
from store.memory import MemoryEventStore
from tests.virtual_time import now_s, settled, virtual_time


class Mortal(World):
    """A world in which the end of a process is noticed and nothing else happens."""

    ended = 0
    of_system: str | None = None
    directory: Any = None  #: who gives leave to begin again; None: it is away

    def __init__(self, *, lives: int = 1) -> None:
        super().__init__("n")
        self.lives = lives

    def restarted(self) -> bool:
        return self.lives > 1

    def ray_actor(self) -> str:
        return "this one"

    async def handle(self, name: str) -> Any:
        if self.directory is None:
            raise ValueError(name)
        return self.directory

    def system(self, settings: Settings) -> str | None:
        return self.of_system

    def machine(self) -> str:
        return "the one it is on"

    def end(self) -> None:
        self.ended += 1


class Sample(Process):
    """Fails to start for as long as `failure` says."""

    def __init__(self, *, lives: int = 1) -> None:
        self.mortal = Mortal(lives=lives)
        super().__init__("host-0", Settings().model_dump_json(), None, world=self.mortal)
        self.failure: Exception | None = None
        self.takes_s = 1.0
        self.tries = 0
        self.migrates_s = 0.0  #: of what a start takes
        self.drained = 0

    async def start(self) -> None:
        self.tries += 1
        await asyncio.sleep(self.takes_s)
        if self.failure is not None:
            raise self.failure

    async def facts(self) -> HostFacts | None:
        return None

    async def drain(self) -> int:
        self.drained += 1
        return 7

    def uncounted_s(self) -> float:
        return min(now_s(), self.migrates_s)


@virtual_time
async def test_all_who_wait_share_one_try_and_its_failure() -> None:
    process = Sample()
    process.failure = StoreUnavailable("127.0.0.1:5432", "refused")
    outcomes = await asyncio.gather(*(process.ready() for _ in range(50)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert (process.tries, now_s()) == (1, 1)


@virtual_time
async def test_the_next_call_after_a_failure_tries_again() -> None:
    process = Sample()
    process.failure = StoreUnavailable("127.0.0.1:5432", "refused")
    with pytest.raises(StoreUnavailable):
        await process.ready()
    assert "127.0.0.1:5432" in str(process.trouble)
    process.failure = None
    assert await process.ready() == "node-001.host-0"
    assert process.trouble is None
    await process.ready()
    assert process.tries == 2


@virtual_time
async def test_a_failure_without_a_type_of_ours_gets_one() -> None:
    process = Sample()
    process.failure = KeyError("what nobody thought of")
    with pytest.raises(StartFailed, match=r"host-0 does not start: .*what nobody thought of"):
        await process.ready()


@virtual_time
async def test_a_start_that_hangs_ends_in_a_typed_error_and_is_tried_again() -> None:
    process = Sample()
    process.takes_s = 1e9
    with pytest.raises(StartFailed, match="not done within 60 s"):
        await process.ready()
    assert now_s() == 60
    process.takes_s = 1.0
    await process.ready()


@virtual_time
async def test_a_start_that_migrates_has_the_time_that_this_takes_and_its_own() -> None:
    process = Sample()
    process.migrates_s, process.takes_s = 5_000.0, 5_059.0
    await process.ready()
    assert now_s() == 5_059


@virtual_time
async def test_who_gives_up_waiting_does_not_end_the_start_for_the_others() -> None:
    process = Sample()
    patient = asyncio.ensure_future(process.ready())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(process.ready(), 0.5)
    assert await patient == "node-001.host-0"
    assert process.tries == 1


@pytest.mark.parametrize(
    ("machine", "times"),
    [("the one it is on", 1), ("that of its predecessor", 0)],
    ids=["on-it", "elsewhere"],
)
@virtual_time
async def test_who_is_to_leave_a_machine_does_so_if_he_is_on_it(machine: str, times: int) -> None:
    process = Sample()
    assert await process.drain_on(machine) == 7 * times
    await process.move_away(machine)
    assert (process.drained, process.mortal.ended) == (times, times)


@virtual_time
async def test_background_work_that_fails_is_logged_and_ends_the_process(
    caplog: Any,
) -> None:
    process = Sample()

    async def work() -> None:
        await asyncio.sleep(1)
        raise KeyError("what nobody thought of")

    with caplog.at_level(logging.CRITICAL):
        process.must_live(work())
        await asyncio.sleep(2)
    assert process.mortal.ended == 1
    assert "what nobody thought of" in caplog.text


@virtual_time
async def test_background_work_that_is_done_or_cancelled_ends_nothing() -> None:
    process = Sample()
    process.must_live(asyncio.sleep(0))
    process.must_live(asyncio.sleep(9)).cancel()
    await settled()
    assert process.mortal.ended == 0


@virtual_time
async def test_the_status_says_what_a_process_is_and_why_it_does_not_start() -> None:
    process = Sample()
    process.failure = StoreUnavailable("127.0.0.1:5432", "refused")
    with pytest.raises(StoreUnavailable):
        await process.ready()
    status = await process.status()
    assert (status.name, status.kind, status.facts) == ("host-0", ProcessKind.POOLED_HOST, None)
    assert status.trouble == str(process.failure)


@virtual_time
async def test_a_process_that_ray_restarted_comes_to_life_without_a_call() -> None:
    process = Sample(lives=2)
    process.failure = StoreUnavailable("127.0.0.1:5432", "refused")
    await asyncio.sleep(10)
    assert process.tries > 1
    process.failure = None
    await asyncio.sleep(10)
    tries = process.tries
    assert await process.ready() == "node-001.host-0"
    assert process.tries == tries


@virtual_time
async def test_who_calls_is_not_told_the_failure_of_a_try_from_before_he_called() -> None:
    process = Sample(lives=2)
    process.failure = StoreUnavailable("127.0.0.1:5432", "refused")
    await asyncio.sleep(0.5)  # the first try is under way
    calls = [asyncio.ensure_future(process.ready()) for _ in range(50)]
    await asyncio.sleep(0.6)  # it has failed, and that of the callers is under way
    process.failure = None
    assert set(await asyncio.gather(*calls)) == {"node-001.host-0"}
    assert process.tries == 2


@virtual_time
async def test_a_process_in_its_first_life_waits_for_whoever_made_it() -> None:
    process = Sample()
    await asyncio.sleep(10)
    assert process.tries == 0


class AwayFirst(MemoryEventStore):
    """A memory store that cannot be reached at first."""

    away = 2

    async def epochs(self, names: Iterable[str]) -> dict[str, Epoch]:
        self.away -= 1
        if self.away >= 0:
            raise StoreUnavailable("127.0.0.1:5432", "refused")
        return await super().epochs(names)


@pytest.mark.parametrize(("holder", "ends"), [("this one", 1), ("another system's", 0)])
def test_a_process_ends_that_its_own_kin_fenced_off_and_lives_on_where_another_has_the_log(
    holder: str, ends: int
) -> None:
    @virtual_time
    async def test() -> None:
        process, store = Sample(), AwayFirst()
        await store.open_epoch("node", "this one")
        await store.open_epoch("node", holder)
        process.must_live(process.outlive_fence(store, StaleEpoch("node", 1)))
        await asyncio.sleep(10)
        assert store.away < 0
        assert process.mortal.ended == ends

    test()


@virtual_time
async def test_a_process_of_before_the_drain_that_opens_its_epoch_late_is_kin() -> None:
    before, process, store = Sample(), Sample(), MemoryEventStore()
    before.mortal.of_system = process.mortal.of_system = "this Ray/n"
    before.mortal.ray_actor = lambda: "of before"  # type: ignore[method-assign]
    await store.open_epoch("node", process.mortal.holder(process.settings))
    await store.open_epoch("node", before.mortal.holder(before.settings))
    process.must_live(process.outlive_fence(store, StaleEpoch("node", 1)))
    await settled()
    assert process.mortal.ended == 1


class Directory:
    """Says the same to all who ask for leave."""

    def __init__(self, leave: Leave, takes_s: float = 0.0) -> None:
        self._leave, self._takes_s = leave, takes_s
        self.asked: list[tuple[str, bytes]] = []

    @property
    def begins_again(self) -> Any:
        return self

    async def remote(self, name: str, mark: bytes) -> Leave:
        """What a call by Ray comes to."""
        self.asked.append((name, mark))
        await asyncio.sleep(self._takes_s)
        return self._leave


def begun_again(directory: Directory) -> Sample:
    process = Sample(lives=2)
    process.mortal.directory = directory
    return process


@virtual_time
async def test_who_begins_again_has_the_leave_of_the_directory_first() -> None:
    directory = Directory(Leave(), takes_s=0.3)
    process = begun_again(directory)
    assert await process.ready() == "node-001.host-0"  # who calls meanwhile waits
    assert now_s() == pytest.approx(1.3)
    assert {name for name, _ in directory.asked} == {"host-0"}
    assert len(directory.asked) > 1
    assert len({mark for _, mark in directory.asked}) == 1  # and is counted once


@virtual_time
async def test_who_is_to_rest_says_so_to_all_who_call_and_begins_behind_it() -> None:
    process = begun_again(Directory(Leave(5.0, "it has ended 3 times in a row")))
    with pytest.raises(StartFailed, match=r"ended 3 times in a row, and rests for 5\.0 s"):
        await process.ready()
    assert "in a row" in str(process.trouble)
    assert process.tries == 0
    assert await process.rested(False)
    assert now_s() < 5
    assert await process.rested(True)
    assert now_s() == 5
    assert not await process.rested(True)
    await asyncio.sleep(0.5)
    assert process.tries == 1
    assert await process.ready() == "node-001.host-0"
    assert process.trouble is None


@virtual_time
async def test_who_calls_waits_for_a_rest_that_is_shorter_than_calls_wait() -> None:
    """Calls wait for five seconds by default, and for half of that for what is away."""
    process = begun_again(Directory(Leave(2.4, "it has ended 9 times in a row")))
    await asyncio.gather(*(process.ensure_started() for _ in range(50)))
    assert now_s() == pytest.approx(2.4 + process.takes_s)
    assert process.tries == 1


@virtual_time
async def test_who_calls_is_told_at_once_of_a_rest_that_is_longer_than_calls_wait() -> None:
    process = begun_again(Directory(Leave(3.0, "it has ended 9 times in a row")))
    with pytest.raises(StartFailed, match=r"ended 9 times in a row, and rests for 3\.0 s"):
        await process.ensure_started()
    assert now_s() < 0.1
    await asyncio.sleep(1)  # what is left of it is shorter
    await process.ensure_started()
    assert now_s() == pytest.approx(3 + process.takes_s)


@virtual_time
async def test_who_asks_again_by_himself_is_told_at_once_of_every_rest() -> None:
    process = begun_again(Directory(Leave(0.2, "it has ended 2 times in a row")))
    for asked in (process.ready, process.ensure_at_work):
        with pytest.raises(StartFailed, match=r"rests for 0\.2 s"):
            await asked()
    assert now_s() < 0.1
    await asyncio.sleep(0.2)
    await process.ensure_at_work()
    assert process.tries == 1


@virtual_time
async def test_nobody_waits_for_a_directory_that_is_away_or_hangs() -> None:
    process = Sample(lives=2)
    await process.ready()
    assert now_s() == 1
    hanging = begun_again(Directory(Leave(), takes_s=60.0))
    await hanging.ready()
    assert now_s() == pytest.approx(2 + ASKED_S)


@virtual_time
async def test_a_first_life_asks_for_no_leave() -> None:
    process = Sample()
    process.mortal.directory = Directory(Leave(60.0, "never"))
    await process.ready()
    assert process.mortal.directory.asked == []

"""Hosts that are stopped: what is said of each, whatever becomes of those who are needed for it."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest

from actors.event import Event, SystemEvent
from actors.process_events import HostWasStarted, HostWasStopped
from runtime.cluster import host_stopping
from runtime.cluster.host_stopping import HostStopping
from runtime.cluster.process_supervision import Stop
from runtime.errors import HostUnavailable, PublishRefused
from runtime.process.world import World
from runtime.settings.settings import Settings
from store.errors import StoreUnavailable
from store.event_store import ShardsMoved
from tests.unit.test_sharding import Played
from tests.virtual_time import virtual_time

WHY = "it has ended 6 times within 30 s"


class Log(HostStopping):
    """One whose log is a list."""

    def __init__(self, system: Played) -> None:
        self.told: list[tuple[str, SystemEvent]] = []
        self.may = True
        super().__init__(
            system.sharding,
            lambda: Settings.model_validate({}),
            cast(World, system),
            may_act=self._asked,
        )

    async def _asked(self) -> bool:
        return self.may

    async def _tell(self, host: str, payload: SystemEvent) -> None:
        self.told.append((host, payload))

    async def whole(self) -> None:
        """Wait until nothing is under way."""
        await asyncio.gather(*self._under_way)


class Doubtful(Played):
    """The connection breaks behind a COMMIT, and the store stays away for a while."""

    async def move_shards(self, *arguments: object) -> ShardsMoved:
        await super().move_shards(*arguments)  # type: ignore[arg-type]
        self.store_away = 10_000
        raise StoreUnavailable("the database", "lost behind its COMMIT")


async def stopped(system: Played, log: Log) -> None:
    """`host-1` is, of which all are told."""
    assert set(system.hosts) == {"host-0"}
    assert system.table.of("host-1") == set()
    [status] = log.statuses()
    assert (status.name, WHY in status.reason) == ("host-1", True)
    assert "its 2,048 shards are with host-0" in status.reason
    assert log.told == [("host-1", HostWasStopped(host="host-1", reason=WHY, shards=2_048))]


async def test_a_stop_is_shown_and_told_and_so_is_a_start() -> None:
    system = Played()
    log = Log(system)
    log.stop(Stop("host-1", WHY))
    log.stop(Stop("host-1", WHY))  # it is being stopped
    await log.whole()
    await stopped(system, log)
    log.started("host-1")
    log.started("host-1")
    await log.whole()
    assert log.told[1:] == [("host-1", HostWasStarted(host="host-1"))]
    assert log.statuses() == []


async def moved_and_not_heard_of() -> tuple[Played, Log]:
    """`host-1` is stopped, and its heir hangs, who is to hear that it has its shards."""
    system = Played()
    log = Log(system)
    system.hosts["host-0"]._learn_shards = asyncio.Event().wait  # type: ignore[assignment, method-assign]
    log.stop(Stop("host-1", WHY))
    await asyncio.sleep(system.sharding.HEARS_S / 2)
    return system, log


@virtual_time
async def test_an_heir_that_hangs_keeps_nobody_waiting() -> None:
    system, log = await moved_and_not_heard_of()
    assert system.table.of("host-1") == set()
    # Nor any other move, which goes on at once.
    async with asyncio.timeout(0.1):
        await system.sharding.keep_host("host-9")
    await log.whole()
    await stopped(system, log)
    await system.sharding.add_host("host-1", 1.0)
    assert (await system.sharding.move_shards([0], "host-1", 5.0)).of("host-1") == {0}


@virtual_time
async def test_a_host_that_is_started_while_others_hear_of_its_shards_is_not_stopped() -> None:
    system, log = await moved_and_not_heard_of()
    await system.sharding.add_host("host-1", 1.0)
    log.started("host-1")
    await log.whole()
    await log.whole()
    stop = HostWasStopped(host="host-1", reason=WHY, shards=2_048)
    assert [said for _, said in log.told] == [stop, HostWasStarted(host="host-1")]
    assert log.statuses() == []
    log.stop(Stop("host-1", WHY))  # that start does not count any more
    await log.whole()
    assert [status.name for status in log.statuses()] == ["host-1"]


@virtual_time
async def test_a_host_that_is_removed_while_others_hear_of_its_shards_has_no_line() -> None:
    _, log = await moved_and_not_heard_of()
    log.removed("host-1")
    await log.whole()
    assert log.statuses() == []
    assert [host for host, _ in log.told] == ["host-1"]


@virtual_time
async def test_a_host_may_end_too_often_again_while_the_log_is_being_told() -> None:
    system = Played()
    log = Log(system)
    telling = asyncio.Event()
    tell = log._tell

    async def late(host: str, payload: SystemEvent) -> None:
        await telling.wait()
        await tell(host, payload)

    log._tell = late  # type: ignore[method-assign]
    log.stop(Stop("host-1", WHY))
    await asyncio.sleep(5)
    assert system.table.of("host-1") == set()
    await system.sharding.add_host("host-1", 1.0)
    log.started("host-1")
    await system.sharding.move_shards([0, 1], "host-1", 5.0)
    assert log.others_than("host-0")  # it is an heir again
    log.stop(Stop("host-1", WHY))
    await asyncio.sleep(5)
    assert system.table.of("host-1") == set()
    telling.set()
    await log.whole()
    assert [status.name for status in log.statuses()] == ["host-1"]


async def test_a_host_that_was_started_before_its_end_is_stopped() -> None:
    system = Played()
    log = Log(system)
    log.stop(Stop("host-1", WHY))
    log.started("host-1")
    await log.whole()
    await stopped(system, log)


@virtual_time
async def test_a_stop_that_came_about_unheard_is_told_once_the_store_is_back() -> None:
    system = Doubtful()
    log = Log(system)
    log.stop(Stop("host-1", WHY))
    await asyncio.sleep(2 * log.TAKEN_S)
    assert (log.statuses(), log.told) == ([], [])  # nobody knows
    system.store_away = 0
    await log.whole()
    await stopped(system, log)


@virtual_time
async def test_a_host_that_was_ended_and_has_its_shards_yet_is_started_again() -> None:
    system = Played()
    log = Log(system)
    system.late = 10_000  # there is always another incarnation
    log.stop(Stop("host-1", WHY))
    await log.whole()
    assert set(system.hosts) == {"host-0", "host-1"}
    assert (log.statuses(), log.told) == ([], [])


@virtual_time
async def test_what_is_under_way_ends_with_the_system() -> None:
    system = Played()
    log = Log(system)
    system.store_away = 10_000_000
    log.stop(Stop("host-1", WHY))
    await asyncio.sleep(3 * log.TAKEN_S)
    await log.cancel()
    assert set(system.hosts) == {"host-0", "host-1"}
    log.stop(Stop("host-1", WHY))
    assert (log.statuses(), log.told) == ([], [])


async def test_a_directory_that_has_the_system_no_more_stops_nobody() -> None:
    system = Played()
    log = Log(system)
    log.may = False
    log.stop(Stop("host-1", WHY))
    await log.whole()
    assert set(system.hosts) == {"host-0", "host-1"}


async def test_the_log_is_told_again_under_the_same_id_while_whoever_that_goes_to_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, away = Log(Played()), HostUnavailable("host-0", "away")
    log.AGAIN_S = 0.0
    seen, answers = list[Event](), iter([away, away, None, PublishRefused("process/a", "odd")])
    monkeypatch.setattr(host_stopping, "publish", _answering(seen, answers))
    started = HostWasStarted(host="host-1")
    event = Event.of(started, source="process/host-1", id=uuid4(), timestamp=datetime.now(UTC))
    await log._published(cast(Any, None), event)
    assert [one.id for one in seen] == [event.id] * 3
    with pytest.raises(PublishRefused):  # nothing would come of another try
        await log._published(cast(Any, None), event)


def _answering(seen: list[Event], answers: Iterator[Exception | None]) -> Any:
    async def publish(_: object, event: Event) -> None:
        seen.append(event)
        if (error := next(answers)) is not None:
            raise error

    return publish


@virtual_time
async def test_of_two_hosts_that_end_side_by_side_one_stays() -> None:
    system = Played()
    log = Log(system)
    await system.sharding.learn()
    assert log.others_than("host-0")
    system.store_away = 3
    log.stop(Stop("host-1", WHY))
    assert not log.others_than("host-0")  # host-1 has shards yet, and is about to lose them
    assert log.others_than("host-1")
    await log.whole()
    await stopped(system, log)
    assert not log.others_than("host-0")

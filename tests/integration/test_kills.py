"""kill -9 in the middle of 20,000 commands: nothing acknowledged is lost, nothing is twice."""

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from actors.event import Event
from actors.ids import event_id
from runtime.driver.bulk import BulkResult, Send
from runtime.system import ActorSystem
from store.embedded.server import EmbeddedPostgres
from tests.integration.devices import Add, Counter
from tests.integration.systems import (
    LIMIT_S,
    Collector,
    Launcher,
    assert_each_once_in_order,
    assert_log_is_whole,
    kill,
    log_of,
)

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

COMMANDS = 20_000
ACTORS = 40


def told_through(system: ActorSystem, strike: Callable[[], object]) -> None:
    """Tell all commands, strike when a third is in the log, and check every promise after it."""
    refs = [system.actor(Counter, str(number)) for number in range(ACTORS)]
    sends = [Send(refs[number % ACTORS], Add(), uuid4()) for number in range(COMMANDS)]
    collector = Collector(system.subscribe(after=0))
    third, struck, finished = threading.Event(), threading.Event(), threading.Event()
    told: list[BulkResult] = []

    def tell() -> None:
        told.append(system.tell_many(_paced(sends, collector, third, struck), patience_s=LIMIT_S))
        finished.set()

    teller = threading.Thread(target=tell)
    teller.start()
    assert third.wait(LIMIT_S)
    assert not finished.is_set()
    strike()
    struck.set()
    teller.join(2 * LIMIT_S)
    assert (told[0].commands, told[0].failed, told[0].errors) == (COMMANDS, 0, [])
    _assert_each_took_effect_once(system, sends)
    collector.wait_for(COMMANDS)
    seen = collector.close()
    assert len(seen) == COMMANDS
    assert_each_once_in_order(seen)
    _assert_states_agree(system, seen)


def _paced(
    sends: list[Send], collector: Collector, third: threading.Event, struck: threading.Event
) -> Iterator[Send]:
    """All of them, but the second half only once the strike is due, and the last quarter only
    once it has been made: however quick the system is, it hits the middle."""
    for number, send in enumerate(sends):
        if number == COMMANDS // 2:
            collector.wait_for(COMMANDS // 3)
            third.set()
        if number == COMMANDS * 3 // 4:
            assert struck.wait(LIMIT_S)
        yield send


def _assert_each_took_effect_once(system: ActorSystem, sends: list[Send]) -> None:
    rows = log_of(system, "SELECT id FROM events")
    wanted = {UUID(bytes=event_id(send.id.bytes, 0)) for send in sends if isinstance(send.id, UUID)}
    assert len(rows) == COMMANDS
    assert {row["id"] for row in rows} == wanted
    assert_log_is_whole(system)


def _assert_states_agree(system: ActorSystem, seen: list[Event]) -> None:
    for number in (0, ACTORS - 1):
        ref = system.actor(Counter, str(number))
        count = sum(event.source == ref.source for event in seen)
        assert ref.state().result(timeout_s=LIMIT_S).total == count == COMMANDS // ACTORS


@pytest.mark.parametrize("name", ["host-0", "writer", "bus"])
def test_a_process_killed_in_the_middle_costs_nothing_but_time(launch: Launcher, name: str) -> None:
    system = launch(actor_system={"hosts": 2})
    told_through(system, lambda: kill(system, name))


def test_a_dedicated_host_killed_in_the_middle_costs_nothing_but_time(launch: Launcher) -> None:
    system = launch(actor_system={"placement": {"counter": "dedicated"}})
    ref = system.actor(Counter, "a")
    sends = [Send(ref, Add(), uuid4()) for _ in range(5_000)]
    once = threading.Event()

    def strike(so_far: BulkResult) -> None:
        if not once.is_set():
            once.set()
            threading.Thread(target=lambda: kill(system, ref.source)).start()

    told = system.tell_many(sends, progress=strike)
    assert (told.commands, told.failed, told.errors) == (5_000, 0, [])
    assert log_of(system, "SELECT count(*) FROM events")[0][0] == 5_000
    assert_log_is_whole(system)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a system may keep its embedded database; gone afterwards."""
    made = Path(tempfile.mkdtemp(prefix="tb-data-", dir="/tmp"))
    made.chmod(0o711)  # root's server runs as another user, who has to get through
    yield made
    EmbeddedPostgres(made / "postgres").destroy()
    shutil.rmtree(made)


def test_a_postgres_killed_in_the_middle_costs_nothing_but_time(
    launch: Launcher, folder: Path
) -> None:
    system = launch(event_store={"data_folder": str(folder)})  # it starts its own again

    def strike() -> None:
        postmaster: Any = EmbeddedPostgres(folder / "postgres")._postmaster()
        os.kill(postmaster[0], signal.SIGKILL)

    told_through(system, strike)
    launch.drain(system)
    assert not EmbeddedPostgres(folder / "postgres").running()

"""What the integration tests do with systems: launch, look into the log, kill, wait."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import asyncpg
import psutil

from actors.event import Event
from runtime.driver.subscription import Subscription
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.names import ProcessKind
from runtime.topology.status import BusFacts, DrainReport, HostFacts, ProcessStatus, WriterFacts
from thornback.testing.databases import query
from thornback.testing.settings import small_settings

T = TypeVar("T")

LIMIT_S = 60.0  #: no test may wait longer than this for one thing


class Launcher:
    """Launches systems, each in a fresh namespace and database unless told otherwise."""

    def __init__(self, new_database: Callable[[], str]) -> None:
        self._new_database = new_database
        self._systems: list[ActorSystem] = []

    def settings(self, **sections: Mapping[str, Any]) -> Settings:
        """Settings of a small system, where `sections` do not say otherwise."""
        event_store = dict(sections.pop("event_store", {}))
        if not event_store.keys() & {"type", "connection_string", "data_folder"}:
            event_store["connection_string"] = self._new_database()
        return small_settings(sections, **event_store)

    def __call__(self, **sections: Mapping[str, Any]) -> ActorSystem:
        """Launch one; it is drained after the test."""
        return self.run(self.settings(**sections))

    def run(self, settings: Settings, *, take_over: bool = False) -> ActorSystem:
        """Launch with exactly these settings."""
        system = ActorSystem.launch(settings, timeout_s=LIMIT_S, take_over=take_over)
        self._systems.append(system)
        return system

    def drain(self, system: ActorSystem) -> DrainReport:
        """Drain one now."""
        self.forget(system)
        return system.drain(timeout_s=LIMIT_S).result()

    def forget(self, system: ActorSystem) -> None:
        """Its end is the test's affair."""
        self._systems.remove(system)

    def drain_all(self) -> None:
        """Drain what is left."""
        while self._systems:
            problems = self._systems.pop().drain(timeout_s=10.0).result().problems
            assert not problems, problems


def url_of(system: ActorSystem) -> str:
    """Where a system's log is."""
    return system.settings.event_store.connection_string.get_secret_value()


def log_of(system: ActorSystem, text: str, *arguments: Any) -> list[Any]:
    """Rows of an SQL query on a system's database."""
    return query(url_of(system), text, *arguments)


def stored(system: ActorSystem) -> int:
    """Events in the log."""
    return int(log_of(system, "SELECT count(*) FROM events")[0][0])


def assert_log_is_whole(system: ActorSystem) -> None:
    """Every aggregate's versions are 1..n, and the positions are 1..n, without gap or double."""
    broken = log_of(
        system,
        "SELECT source FROM events GROUP BY source"
        " HAVING min(version) <> 1 OR max(version) <> count(*)"
        " OR count(DISTINCT version) <> count(*)",
    )
    assert broken == []
    first, last, count = log_of(
        system,
        "SELECT coalesce(min(position), 1), coalesce(max(position), 0), count(*) FROM events",
    )[0]
    assert (first, last) == (1, count)


@contextmanager
def writes_held_up(url: str) -> Iterator[None]:
    """No commit gets through while this lasts; connections stay up."""
    held, release = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(url, timeout=LIMIT_S)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE events IN EXCLUSIVE MODE")
                held.set()
                await asyncio.to_thread(release.wait)
        finally:
            await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    try:
        assert held.wait(LIMIT_S)
        yield
    finally:
        release.set()
        thread.join(LIMIT_S)


def statuses_of(system: ActorSystem) -> dict[str, ProcessStatus]:
    """What the processes say of themselves that answer now."""
    return {one.name: one for one in system.status().result() if isinstance(one, ProcessStatus)}


def pids_of(system: ActorSystem) -> dict[str, int]:
    """Which processes answer now, and as which the operating system knows them."""
    return {name: status.pid for name, status in statuses_of(system).items()}


def pooled_hosts(system: ActorSystem) -> list[str]:
    """The names of the pooled hosts that answer now."""
    statuses = statuses_of(system).values()
    return [one.name for one in statuses if one.kind is ProcessKind.POOLED_HOST]


def host_of(system: ActorSystem, name: str) -> HostFacts:
    """What a host says of itself."""
    facts = statuses_of(system)[name].facts
    assert isinstance(facts, HostFacts)
    return facts


def writer_of(system: ActorSystem) -> WriterFacts:
    """What the writer says of itself."""
    facts = statuses_of(system)["writer"].facts
    assert isinstance(facts, WriterFacts)
    return facts


def bus_of(system: ActorSystem) -> BusFacts:
    """What the bus says of itself."""
    facts = statuses_of(system)["bus"].facts
    assert isinstance(facts, BusFacts)
    return facts


def kill(system: ActorSystem, name: str) -> int:
    """kill -9 one process of the system; its pid, when the process is gone."""
    pid = pids_of(system)[name]
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: _has_ended(process))
    return pid


def _has_ended(process: psutil.Process) -> bool:
    """It may go between two questions, too."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def back(system: ActorSystem, name: str, pid: int) -> None:
    """Wait until a process that was killed answers again."""
    eventually(lambda: pids_of(system).get(name) not in (None, pid))


def eventually(holds: Callable[[], T], limit_s: float = LIMIT_S) -> T:
    """Wait for what announces itself to nobody; what it became."""
    deadline = time.monotonic() + limit_s
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {limit_s:g} s"
        time.sleep(0.02)
    return found


def take(subscription: Subscription, count: int, limit_s: float = LIMIT_S) -> list[Event]:
    """The next `count` events of a subscription, which stays open."""
    taken: list[Event] = []
    watchdog = threading.Timer(limit_s, subscription.close)
    watchdog.start()
    try:
        for event in subscription if count else ():
            taken.append(event)
            if len(taken) == count:
                break
    finally:
        watchdog.cancel()
    assert len(taken) == count, f"{len(taken)} of {count} events within {limit_s:g} s"
    return taken


class Collector:
    """Reads a subscription in a thread until it is closed."""

    def __init__(self, subscription: Subscription) -> None:
        self.events: list[Event] = []
        self._subscription = subscription
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for event in self._subscription:
            self.events.append(event)

    def wait_for(self, count: int, limit_s: float = LIMIT_S) -> list[Event]:
        """All that came, once it is at least `count` events."""
        eventually(lambda: len(self.events) >= count, limit_s)
        return self.events

    def close(self) -> list[Event]:
        """End the subscription; all that came."""
        self._subscription.close()
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        return self.events


def assert_each_once_in_order(events: Iterable[Event]) -> None:
    """Positions 1, 2, 3 ... as they came, so nothing is missing and nothing came twice."""
    positions = [event.position for event in events]
    assert positions == list(range(1, len(positions) + 1))

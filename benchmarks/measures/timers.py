"""Durable timers: how many are set and fire in a second, how late they are, what they cost.

A timer is an event of its actor when it is set, a row of a table until it fires, and two events
when it has: that of the timer, and what its handler yields. What is timed ends when the last of
these is in the log, or the last row in the table.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from actors.moments import microseconds
from benchmarks.bed import Bed, one_value
from benchmarks.devices import Alarm, Meter, SetAlarm, TakeReading
from benchmarks.figures import Figure, Measure, at_least
from benchmarks.measures.commands import LIMIT_S, all_told
from benchmarks.sizes import require
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from runtime.topology.status import HostFacts, ProcessStatus, TimekeeperFacts

SCHEDULE, FIRE, LATE = "timer_schedule_per_s", "timer_fire_per_s", "timer_lateness_p99_ms"
PENDING = "timers_pending_bytes"
RESIDENT, PASSIVE = "timers_pending_actors_bytes", "timers_pending_passive_bytes"

#: Timers of one actor.
KEYS = 10
#: Timers a second, where their lateness is measured: half of what there is to be.
LOAD_PER_S = 5_000
#: So long before the first is due they are set.
AHEAD_S = 30.0

_FIRED = """
    SELECT count(*), extract(epoch FROM max(recorded_at))
    FROM events WHERE event_type = 'timer-fired' AND position > %s
"""
_LATE = """
    SELECT 1000 * percentile_disc(0.99) WITHIN GROUP (
        ORDER BY extract(epoch FROM timestamp) - (event_data->>'due_us')::bigint / 1000000.0
    ) FROM events WHERE event_type = 'timer-fired' AND position > %s
"""
_PENDING = "SELECT count(*) FROM timers"
_HEAD = "SELECT coalesce(max(position), 0) FROM events"


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """Timers are set, all for one moment, and fire; and once more, for one moment after another."""
    count = bed.sizes.timers
    # All of them stay in memory: what is measured is timers.
    with bed.database() as url, bed.system(url, max_actors=count) as system:
        _warm(system, url)
        head = one_value(url, _HEAD)
        started_s = time.perf_counter()
        due = datetime.now(UTC) + timedelta(seconds=AHEAD_S)
        all_told(system.tell_many(_alarms(system, count, [due] * count)), count)
        _wait(url, _PENDING, count)
        measured = {SCHEDULE: count / (time.perf_counter() - started_s)}
        require(datetime.now(UTC) < due, "they were due before all of them were set")
        measured[FIRE] = count / (_fired(url, head, count) - due.timestamp())
        if LATE in wanted:
            head = one_value(url, _HEAD)
            due = datetime.now(UTC) + timedelta(seconds=AHEAD_S)
            dues = [due + timedelta(seconds=number / LOAD_PER_S) for number in range(count)]
            all_told(system.tell_many(_alarms(system, count, dues)), count)
            require(datetime.now(UTC) < due, "they were due before all of them were set")
            _fired(url, head, count)
            with psycopg.connect(url, autocommit=True) as connection:
                row = connection.execute(_LATE, (head,)).fetchone()
            assert row is not None
            measured[LATE] = float(row[0])
    return {key: measured[key] for key in wanted}


def pending(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """Private memory of hosts and timekeeper, before and after so many timers are pending that are
    due in a year: with all their actors resident, with a tenth of them; and that of the same actors
    after as many commands, without any timer."""
    count = bed.sizes.million
    far = datetime.now(UTC) + timedelta(days=365)
    actors = count // KEYS

    def alarms(system: ActorSystem, first: int, size: int) -> Any:
        return _alarms(system, size, [far] * size, first=first)

    ways: dict[str, tuple[int, Told]] = {
        PENDING: (actors, alarms),
        RESIDENT: (actors, _readings),
        PASSIVE: (max(actors // 10 // HOSTS, 1), alarms),
    }
    measured = {}
    for key in wanted:
        most, told = ways[key]
        with bed.database() as url, bed.system(url, max_actors=most) as system:
            _warm(system, url)
            before = _private(system)
            for start in range(0, count, CHUNK):
                size = min(CHUNK, count - start)
                all_told(system.tell_many(told(system, start, size)), size)
            _wait(url, _PENDING, 0 if told is _readings else count)
            hosts = [one.facts for one in _theirs(system) if isinstance(one.facts, HostFacts)]
            require(len(hosts) == HOSTS, f"there are {len(hosts)} hosts")
            residents = sum(one.residents for one in hosts)
            if key == PASSIVE:
                require(residents <= 2 * HOSTS * most, f"{residents:,} actors are resident")
            else:
                require(residents >= actors, f"{residents:,} of {actors:,} actors are resident")
            measured[key] = float(_private(system) - before)
    return measured


Told = Callable[[ActorSystem, int, int], Iterable[tuple[ActorRef[Any], Any]]]
#: Of the settings that the bench runs by.
HOSTS = 2
CHUNK = 100_000


def _alarms(
    system: ActorSystem, count: int, dues: list[datetime], first: int = 0
) -> Iterator[tuple[ActorRef[Any], SetAlarm]]:
    for number in range(count):
        ref = system.actor(Alarm.actor_type, f"{(first + number) // KEYS:06}")
        yield ref, SetAlarm(key=f"k{number % KEYS}", due_us=microseconds(dues[number]))


def _readings(
    system: ActorSystem, first: int, size: int
) -> Iterator[tuple[ActorRef[Any], TakeReading]]:
    """To as many actors, in the same order."""
    for number in range(first, first + size):
        ref = system.actor(Meter.actor_type, f"{number // KEYS:06}")
        yield ref, TakeReading(celsius=number / 8, room="room 101", number=number)


def _warm(system: ActorSystem, url: str) -> None:
    """The process that fires them is there, and has fired one."""
    ref = system.actor(Alarm.actor_type, "first")
    ref.ask(SetAlarm(key="first", due_us=microseconds(datetime.now(UTC)))).result()
    _fired(url, 0, 1)
    _wait(url, _PENDING, 0)


def _fired(url: str, after: int, count: int) -> float:
    """When the last of so many was committed, once they are."""
    until_s = time.monotonic() + LIMIT_S
    while True:
        with psycopg.connect(url, autocommit=True) as connection:
            row = connection.execute(_FIRED, (after,)).fetchone()
        assert row is not None
        if row[0] >= count:
            return float(row[1])
        require(time.monotonic() < until_s, f"{row[0]:,} of {count:,} fired in {LIMIT_S:g} s")
        time.sleep(0.2)


def _wait(url: str, query: str, wanted: int) -> None:
    until_s = time.monotonic() + LIMIT_S
    while (found := one_value(url, query)) != wanted:
        require(time.monotonic() < until_s, f"{found:,} timers are pending, not {wanted:,}")
        time.sleep(0.05)


def _private(system: ActorSystem) -> int:
    return sum(one.private_bytes for one in _theirs(system))


def _theirs(system: ActorSystem) -> list[ProcessStatus]:
    statuses = [one for one in system.status().result() if isinstance(one, ProcessStatus)]
    return [one for one in statuses if isinstance(one.facts, HostFacts | TimekeeperFacts)]


MEASURES = (
    Measure(
        run,
        (
            Figure(
                key=SCHEDULE,
                input="{timers:,} timers set by tell_many, ten an actor, until the table has all",
                target=at_least(20_000),
            ),
            Figure(
                key=FIRE,
                input="{timers:,} timers that are due at one moment, until the last has fired",
                target=at_least(10_000),
            ),
            Figure(
                key=LATE,
                input="how late 99 of 100 fire at the most, of {timers:,}, 5,000 due a second",
                at_most=True,
            ),
        ),
    ),
    Measure(
        pending,
        (
            Figure(
                key=PENDING,
                input="private memory that hosts and timekeeper grew by, with {million:,} pending",
                at_most=True,
            ),
            Figure(
                key=RESIDENT,
                input="how much of that are the actors: as many commands to as many, and no timer",
                at_most=True,
            ),
            Figure(
                key=PASSIVE,
                input="the same as the first, where a tenth of the actors may be resident",
                at_most=True,
            ),
        ),
    ),
)

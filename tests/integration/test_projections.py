"""Projections on real Ray and PostgreSQL: whatever dies, a table is what the log comes to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from actors.event import Event
from runtime.system import ActorSystem
from streams.projection import Projection
from tests.integration.devices import Add, Counter
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    eventually,
    kill,
    log_of,
    statuses_of,
    stored,
    url_of,
)
from tests.integration.test_durable_subscriptions import says
from tests.integration.test_programs import (
    assert_receipts_agree,
    report,
    under_traffic,
    wait_reached,
)
from tests.projections import Tallies

pytestmark = pytest.mark.integration


def table_of(system: ActorSystem) -> list[tuple[Any, ...]]:
    """What readers of the projection see."""
    rows = log_of(system, "SELECT key, events, amount, through, at FROM projections.tallies")
    return sorted(map(tuple, rows))


def computed(system: ActorSystem) -> list[tuple[Any, ...]]:
    """The same, of the log, by SQL alone."""
    rows = log_of(
        system,
        "SELECT source, count(*), sum((event_data->>'amount')::bigint)::bigint, max(position),"
        " (array_agg(timestamp ORDER BY position DESC))[1]"
        " FROM events WHERE source LIKE 'counter/%' GROUP BY source",
    )
    return sorted(map(tuple, rows))


def end_backends(system: ActorSystem) -> int:
    """End the connections by which a projection's rows have come; how many."""
    rows = log_of(
        system,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND (query LIKE '%projection_tables%'"
        " OR state LIKE 'idle in transaction%')",
    )
    return len(rows)


def test_a_table_is_what_the_log_comes_to_whatever_is_killed(launch: Launcher) -> None:
    system = launch()
    report(system, 500)
    system.run(Tallies, workers=2).result(timeout_s=LIMIT_S)
    ended = 0
    with under_traffic(system, 500):
        for victim in ("worker-0-of-tallies", "", "writer", "worker-1-of-tallies", "", "bus"):
            if victim:
                kill(system, victim)
            else:
                # Their last query is another one for a moment now and then.
                ended += eventually(lambda: end_backends(system))
            wait_reached(system, "tallies", stored(system))
    assert ended
    head = report(system, 40, first=10**6)
    wait_reached(system, "tallies", head)
    assert table_of(system) == computed(system)
    assert_receipts_agree(system, "tallies")
    assert "agrees with the log" in says(system, "verify", "tallies")


def test_workers_change_and_what_is_dropped_begins_anew(launch: Launcher) -> None:
    system = launch()
    head = report(system, 200)
    for workers in (3, 1):
        system.run(Tallies, workers=workers).result(timeout_s=LIMIT_S)
        wait_reached(system, "tallies", head)
        assert table_of(system) == computed(system)
        head = report(system, 80, first=head)
    wait_reached(system, "tallies", head)
    system.stop("tallies").result(timeout_s=LIMIT_S)
    assert "is dropped" in says(system, "subscriptions", "--drop", "tallies")
    assert log_of(system, "SELECT to_regclass('projections.tallies')")[0][0] is None
    assert log_of(system, "SELECT count(*) FROM projection_tables.known")[0][0] == 0
    system.run(Tallies, workers=1).result(timeout_s=LIMIT_S)
    wait_reached(system, "tallies", head)
    assert table_of(system) == computed(system)


@contextmanager
def read_meanwhile(system: ActorSystem) -> Iterator[list[int]]:
    """Somebody reads the table all the time: how many events it knows of, each time."""
    seen, over, failed = [0], threading.Event(), list[BaseException]()

    def read() -> None:
        with psycopg.connect(url_of(system), autocommit=True) as connection:
            while not over.is_set():
                row = connection.execute("SELECT sum(events) FROM projections.tallies").fetchone()
                seen.append(int(row[0]) if row is not None else -1)

    def watched() -> None:
        try:
            read()
        except BaseException as error:  # a thread's failure would be nobody's
            failed.append(error)

    thread = threading.Thread(target=watched, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(LIMIT_S)
    assert not failed, failed
    assert seen == sorted(seen), "a reader was taken back"


@dataclass(frozen=True)
class Wider:
    """What is known of a counter by now."""

    mean: float
    events: int
    through: int


class WiderTallies(Projection[Wider]):
    """Other columns under the same name."""

    name = "tallies"
    sources = Tallies.sources

    def project(self, event: Event, row: Wider | None) -> Wider:
        count, mean = (row.events, row.mean) if row is not None else (0, 0.0)
        mean += (event.data["amount"] - mean) / (count + 1)
        return Wider(mean, count + 1, event.position or 0)


def test_a_table_is_built_anew_under_traffic_and_no_reader_sees_it(launch: Launcher) -> None:
    system = launch()
    head = report(system, 2_000)
    system.run(Tallies, workers=2).result(timeout_s=LIMIT_S)
    wait_reached(system, "tallies", head)
    with read_meanwhile(system) as seen:
        with under_traffic(system, 2_000):
            building = system.rebuild("tallies")
            eventually(lambda: "worker-0-of-tallies.rebuild" in statuses_of(system))
            kill(system, "worker-0-of-tallies.rebuild")
            building.result(timeout_s=2 * LIMIT_S)
            wait_reached(system, "tallies", stored(system))
            system.rebuild(WiderTallies).result(timeout_s=2 * LIMIT_S)
        head = report(system, 40, first=10**6)
        wait_reached(system, "tallies", head)
        eventually(lambda: seen[-1] == head)
    wider = log_of(system, "SELECT key, events, through FROM projections.tallies")
    assert sorted(map(tuple, wider)) == [(key, n, p) for key, n, _, p, _ in computed(system)]
    assert_receipts_agree(system, "tallies")
    assert log_of(system, "SELECT count(*) FROM projection_tables.known")[0][0] == 1
    assert "projections.tallies" in says(system, "projections")
    assert not any("rebuild" in name for name in statuses_of(system))


def test_a_fleet_is_found_by_its_state_whatever_is_killed(launch: Launcher) -> None:
    system = launch()
    report(system, 300, devices=20)
    mine, step, total = system.actor(Counter, "mine"), 10_000_000, 0
    with under_traffic(system, 300):
        for victim in ("", "worker-0-of-index-of-counter", "writer"):
            if victim:
                kill(system, victim)
            total += step
            assert system.tell_many([(mine, Add(amount=step))]).failed == 0
            found = system.find(Counter, total=total, timeout_s=LIMIT_S).result(LIMIT_S * 2)
            assert [each.source for each in found] == ["counter/mine"]
    others = system.find(Counter, total__lt=step, timeout_s=LIMIT_S).result(LIMIT_S * 2)
    assert len(others) == 40
    totals = dict(map(tuple, log_of(system, "SELECT key, total FROM projections.index_of_counter")))
    for each in others:
        assert totals[each.source] == each.state().result().total

"""Projections on real Ray and PostgreSQL: whatever dies, a table is what the log comes to."""

from typing import Any

import pytest

from runtime.system import ActorSystem
from tests.integration.devices import Add, Counter
from tests.integration.systems import LIMIT_S, Launcher, kill, log_of, stored
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
                ended += end_backends(system)
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

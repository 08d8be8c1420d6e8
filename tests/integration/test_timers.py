"""Timers on real Ray and PostgreSQL: whatever dies, and however long all of it is down, each fires
once."""

from typing import Any

import pytest

from actors.devices.device_twin import Report
from actors.examples.device_twin import SetSilenceLimit, WatchedTwin
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    eventually,
    kill,
    log_of,
    statuses_of,
)
from tests.integration.test_messages import assert_receipt_agrees

pytestmark = pytest.mark.integration

MODULES = {"actor_system": {"hosts": 2, "actor_modules": ["actors.examples.device_twin"]}}
DEVICES = 40

#: Of each timer that was set: how often it has fired, and how it ended else.
_ENDS = """
    SELECT s.id, s.position, s.event_data->>'due_us' AS due,
        count(f.id) AS fired, min(f.position) AS fired_at,
        min((extract(epoch FROM f.timestamp) * 1000000)::bigint) AS fired_us,
        (SELECT min(n.position) FROM events n WHERE n.source = s.source
            AND n.event_type = 'timer-set' AND n.version > s.version) AS replaced_at
    FROM events s LEFT JOIN events f ON f.source = s.source AND f.event_type = 'timer-fired'
        AND f.event_data->>'timer' = s.event_data->>'timer'
    WHERE s.event_type = 'timer-set' GROUP BY s.id
"""


def fleet(system: ActorSystem) -> list[ActorRef[Any]]:
    return [system.actor(WatchedTwin, f"d-{number}") for number in range(DEVICES)]


def report(system: ActorSystem, round_: int) -> None:
    """Every device reports."""
    sent = (
        (ref, Report(event_id=f"{ref.name}-{round_}", event_type="metered", properties={}))
        for ref in fleet(system)
    )
    told = system.tell_many(sent, patience_s=LIMIT_S)
    assert told.failed == 0, told


def limit(system: ActorSystem, seconds: float) -> None:
    """How long each may be silent."""
    told = system.tell_many(
        ((ref, SetSilenceLimit(seconds=seconds)) for ref in fleet(system)), patience_s=LIMIT_S
    )
    assert told.failed == 0, told


def offline(system: ActorSystem) -> int:
    """How often a device has gone offline."""
    count = "SELECT count(*) FROM events WHERE event_type = 'device-offline'"
    return int(log_of(system, count)[0][0])


def pending(system: ActorSystem) -> int:
    """How many timers are to fire."""
    return int(log_of(system, "SELECT count(*) FROM pending_timers")[0][0])


def assert_each_fired_once(system: ActorSystem) -> None:
    """Each timer has fired once, not before its time, or another one took its place before."""
    for row in log_of(system, _ENDS):
        assert row["fired"] + (row["replaced_at"] is not None) >= 1, row
        assert row["fired"] <= 1, row
        if row["fired"]:
            assert row["fired_us"] >= int(row["due"]), row
            assert row["replaced_at"] is None or row["fired_at"] < row["replaced_at"], row


@pytest.fixture
def system(launch: Launcher) -> ActorSystem:
    return launch(**MODULES)


def test_a_timer_fires_once_though_its_host_is_killed(system: ActorSystem) -> None:
    assert "timekeeper" not in statuses_of(system)
    limit(system, 3.0)
    report(system, 0)
    for victim in ("host-0", "host-1"):
        kill(system, victim)
    eventually(lambda: offline(system) == DEVICES)
    eventually(lambda: pending(system) == 0)
    assert_each_fired_once(system)
    assert_log_is_whole(system)


def test_timers_fire_once_whatever_is_killed(system: ActorSystem) -> None:
    limit(system, 1.0)
    for round_, victim in enumerate(("timekeeper", "host-0", "writer", "timekeeper", "bus")):
        report(system, round_)
        eventually(lambda: pending(system) > 0)
        kill(system, victim)
        eventually(lambda expected=DEVICES * (round_ + 1): offline(system) >= expected)  # type: ignore[misc]
    eventually(lambda: pending(system) == 0)
    assert offline(system) == 5 * DEVICES
    assert_each_fired_once(system)
    assert_receipt_agrees(system, "thornback.timers")
    assert_log_is_whole(system)


def test_a_snapshot_with_timers_is_shown_and_begun_with(launch: Launcher) -> None:
    system = launch(**MODULES, event_store={"snapshot_frequency": 2})
    device = system.actor(WatchedTwin, "d-0")
    for number in range(4):
        sent = Report(event_id=str(number), event_type="metered", properties={"kw": number})
        device.ask(sent).result(timeout_s=LIMIT_S)
    shown = "SELECT snapshot_format, state::jsonb->>'online' FROM actor_snapshots"
    eventually(lambda: [tuple(row) for row in log_of(system, shown)] == [(1, "true")])
    position = system.head().result(timeout_s=LIMIT_S)
    assert system.state_as_of(device, position=position).result(timeout_s=LIMIT_S).reports == 4
    kill(system, "host-0")
    kill(system, "host-1")
    limit(system, 0.5)
    eventually(lambda: offline(system) == 1)


def test_what_was_due_while_all_was_down_fires_after_the_next_launch(launch: Launcher) -> None:
    settings = launch.settings(**MODULES)
    system = launch.run(settings)
    limit(system, 4.0)
    report(system, 0)
    eventually(lambda: pending(system) == DEVICES)
    launch.drain(system)
    system = launch.run(settings)  # which takes longer than what is left of that
    eventually(lambda: offline(system) == DEVICES)
    assert_each_fired_once(system)
    report(system, 1)
    eventually(lambda: offline(system) == 2 * DEVICES)
    assert_each_fired_once(system)

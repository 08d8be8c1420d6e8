"""The example of timers: a device that is silent is offline, and online when it reports again."""

from datetime import UTC, datetime, timedelta
from typing import Any

from actors.devices.device_twin import PropertiesReported, Report
from actors.examples.device_twin import (
    LIMIT_S,
    DeviceOffline,
    DeviceOnline,
    FallSilent,
    SetSilenceLimit,
    SilenceLimitSet,
    WatchedTwin,
    WatchedTwinState,
)
from actors.timers import Schedule
from store.scenario import Scenario

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


def report(number: int = 1) -> Report:
    return Report(event_id=str(number), event_type="metered", properties={"kw": number})


def reported(number: int, at: datetime, *, late: bool = False) -> PropertiesReported:
    return PropertiesReported(
        event_id=str(number),
        reported_type="metered",
        reported_at=at,
        properties={"kw": number},
        late=late,
    )


def state_of(twin: Scenario[Any]) -> WatchedTwinState:
    assert isinstance(twin.state, WatchedTwinState)
    return twin.state


def in_time(seconds: float = LIMIT_S) -> Schedule:
    return Schedule(after=seconds, message=FallSilent(), key="silence")


def test_a_device_is_online_until_it_has_been_silent_for_its_limit() -> None:
    twin = Scenario(WatchedTwin, "meter-1")
    twin.when(report(), at=NOON).then(reported(1, NOON), DeviceOnline(), in_time())
    twin.advance(LIMIT_S - 0.001).then()
    twin.advance(0.001).then(DeviceOffline(last_seen=NOON))
    assert not state_of(twin).online
    twin.advance(timedelta(days=1)).then()
    at = NOON + timedelta(seconds=LIMIT_S, days=1)
    twin.when(report(2)).then(reported(2, at), DeviceOnline(), in_time())


def test_every_report_winds_the_timer_up_anew_also_one_that_is_late() -> None:
    twin = Scenario(WatchedTwin, "meter-1")
    twin.when(report(1), at=NOON).advance(50).then()
    twin.when(report(2), at=NOON - timedelta(hours=1))
    twin.then(reported(2, NOON - timedelta(hours=1), late=True), in_time())
    assert twin.timers == {"silence": NOON + timedelta(seconds=50 + LIMIT_S)}
    twin.advance(LIMIT_S - 0.001).then()
    twin.advance(0.001).then(DeviceOffline(last_seen=NOON))


def test_another_limit_counts_from_now_on() -> None:
    twin = Scenario(WatchedTwin, "meter-1")
    twin.when(SetSilenceLimit(seconds=5)).then(SilenceLimitSet(seconds=5))  # nobody is there
    twin.when(report(1)).advance(3)
    twin.when(SetSilenceLimit(seconds=10)).then(SilenceLimitSet(seconds=10), in_time(10))
    twin.advance(9.999).then()
    assert state_of(twin).online
    twin.advance(0.001)
    assert not state_of(twin).online


def test_after_downtime_a_silent_device_is_offline_at_once() -> None:
    twin = Scenario(WatchedTwin, "meter-1").when(report(1))
    twin.advance(3600, down=True)
    assert not state_of(twin).online
    assert twin.timers == {}

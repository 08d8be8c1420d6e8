"""Device twins: late reports, property by property."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from pydantic import JsonValue, TypeAdapter

from actors.devices import DeviceTwin, DeviceTwinState, PropertiesReported, Report
from store.scenario import Scenario

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def report(**properties: JsonValue) -> Report:
    return Report(event_id="e-1", event_type="climate", properties=properties)


def at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def values(twin: Scenario[DeviceTwinState]) -> dict[str, JsonValue]:
    return {name: known.value for name, known in twin.state.properties.items()}


def test_a_report_is_stored_with_its_id_type_and_time() -> None:
    Scenario(DeviceTwin).when(report(celsius=21.5), at=NOON).then(
        PropertiesReported(
            event_id="e-1",
            reported_type="climate",
            reported_at=NOON,
            properties={"celsius": 21.5},
            late=False,
        )
    )


def test_properties_are_merged_and_the_newer_value_wins() -> None:
    twin = Scenario(DeviceTwin).when(report(celsius=21.5, humidity=40), at=at(0))
    twin.when(report(celsius=22.0, door="open"), at=at(1))
    assert values(twin) == {"celsius": 22.0, "humidity": 40, "door": "open"}


def test_a_late_report_fills_in_only_what_nobody_newer_has_said() -> None:
    twin = Scenario(DeviceTwin).when(report(celsius=20.0, humidity=40), at=at(0))
    twin.when(report(celsius=22.0), at=at(10))
    twin.when(report(celsius=21.0, humidity=45, door="open"), at=at(5))
    assert values(twin) == {"celsius": 22.0, "humidity": 45, "door": "open"}
    assert twin.state.properties["humidity"].reported_at == at(5)


def test_reports_of_different_times_lead_to_one_result_in_any_order() -> None:
    reports = [
        (report(a=1, b=1), at(1)),
        (report(b=2, c=2), at(2)),
        (report(a=3), at(3)),
        (report(c=4, d=4), at(4)),
    ]
    for order in permutations(reports):
        twin = Scenario(DeviceTwin)
        for command, moment in order:
            twin.when(command, at=moment)
        assert values(twin) == {"a": 3, "b": 2, "c": 4, "d": 4}
        assert twin.state.last_seen == at(4)


def test_of_two_reports_of_one_time_the_one_that_came_last_wins() -> None:
    twin = Scenario(DeviceTwin).when(report(celsius=1.0), at=NOON)
    twin.when(report(celsius=2.0), at=NOON)
    assert values(twin) == {"celsius": 2.0}
    assert twin.state.late_reports == 0


@pytest.mark.parametrize(("minutes", "late"), [(-1, True), (0, False), (1, False)])
def test_a_report_is_late_when_a_newer_one_is_known(minutes: int, late: bool) -> None:
    twin = Scenario(DeviceTwin).when(report(), at=NOON).when(report(), at=at(minutes))
    assert twin.state.late_reports == late


def test_a_late_report_does_not_move_last_seen_back() -> None:
    twin = Scenario(DeviceTwin).when(report(), at=at(1)).when(report(), at=at(0))
    assert twin.state.last_seen == at(1)


def test_reports_are_counted_by_their_type() -> None:
    alarm = Report(event_id="e-2", event_type="alarm", properties={})
    twin = Scenario(DeviceTwin)
    for command in (report(), alarm, report()):
        twin.when(command, at=NOON)
    assert twin.state.reports == 3
    assert twin.state.reports_by_type == {"climate": 2, "alarm": 1}


def test_a_property_can_be_any_json_value_and_null_is_one() -> None:
    value: JsonValue = {"axes": [1, 2.5, None], "on": True}
    twin = Scenario(DeviceTwin).when(report(position=value, fault=None), at=NOON)
    assert values(twin) == {"position": value, "fault": None}


def test_the_state_comes_back_from_its_snapshot() -> None:
    adapter = TypeAdapter(DeviceTwinState)
    state = Scenario(DeviceTwin).when(report(position={"x": [1, None]}), at=NOON).state
    assert adapter.validate_json(adapter.dump_json(state)) == state


def test_the_state_folded_from_the_log_is_the_state_that_was_decided_on() -> None:
    live = Scenario(DeviceTwin).when(report(a=1), at=at(1)).when(report(a=0, b=0), at=at(0))
    logged = [
        PropertiesReported(
            event_id="e-1",
            reported_type="climate",
            reported_at=at(1),
            properties={"a": 1},
            late=False,
        ),
        PropertiesReported(
            event_id="e-1",
            reported_type="climate",
            reported_at=at(0),
            properties={"a": 0, "b": 0},
            late=True,
        ),
    ]
    assert Scenario(DeviceTwin).given(*logged).state == live.state

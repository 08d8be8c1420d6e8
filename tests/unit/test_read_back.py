"""Live state is what the log says: events are applied as they are read back, messages share
nothing with what is run again."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, Field

from actors.actor import Actor, Command, applies, handles
from actors.devices import DeviceTwin, Report
from actors.event import DeviceEvent, Payload
from runtime.wire.answers import raise_error, read_events, unpack_state
from runtime.wire.commands import STATE
from store.errors import InvalidData, VersionConflict
from store.scenario import Scenario
from tests.unit.hosting import Hosting, command
from tests.virtual_time import virtual_time


class Configure(Command):
    config: dict[str, Any]


class Tune(Command):
    name: str
    value: int


class Configured(DeviceEvent):
    config: dict[str, Any]


class Tuned(DeviceEvent):
    name: str
    value: int


class DeviceConfig(BaseModel):
    config: dict[str, Any] = {}


class Tunable(Actor[DeviceConfig]):
    """Keeps a configuration, which has parts of any form."""

    @handles
    def configure(self, message: Configure) -> Iterator[Payload]:
        yield Configured(config=message.config)

    @handles
    def tune(self, message: Tune) -> Iterator[Payload]:
        yield Tuned(name=message.name, value=message.value)

    @applies
    def configured(self, event: Configured) -> None:
        self.state.config = event.config

    @applies
    def tuned(self, event: Tuned) -> None:
        self.state.config["limits"][event.name] = event.value


async def _conflicting(_commit: Any) -> None:
    raise VersionConflict("on cue")


@virtual_time
async def test_a_command_that_runs_again_runs_with_the_data_that_was_sent() -> None:
    """An append is undone, its batch is run again: not with what the appliers of the first run
    have left of its data."""
    host = await Hosting.begin()
    host.register(Tunable)
    host.store.cues.append(_conflicting)
    answer = await host.deliver(
        command("tunable/a", "configure", data={"config": {"limits": {"low": 1}}}),
        command("tunable/a", Tune(name="low", value=2)),
    )
    [configured] = read_events(answer, 0)
    assert configured.data == {"config": {"limits": {"low": 1}}}
    assert (await host.deliver(command("tunable/a", STATE))).values


class Normalising(Actor[DeviceConfig]):
    """Its handler changes what it was given."""

    @handles
    def configure(self, message: Configure) -> Iterator[Payload]:
        message.config["runs"].append("run")
        yield Configured(config=message.config)

    @applies
    def configured(self, event: Configured) -> None:
        self.state.config = event.config


@virtual_time
async def test_a_handler_that_changes_its_message_changes_it_for_one_run() -> None:
    host = await Hosting.begin()
    host.register(Normalising)
    host.store.cues.append(_conflicting)
    data: dict[str, Any] = {"config": {"runs": []}}
    answer = await host.deliver(command("normalising/a", "configure", data=data))
    [configured] = read_events(answer, 0)
    assert configured.data == {"config": {"runs": ["run"]}}


class Reading(BaseModel):
    """A plain model, which knows nothing of the log."""

    celsius: float | None


class PreciseReading(Reading):
    digits: int = 2


class Measured(DeviceEvent):
    reading: Reading


class Measure(Command):
    celsius: float
    precise: bool = False


class Thermometer(Actor[DeviceConfig]):
    @handles
    def measure(self, message: Measure) -> Iterator[Payload]:
        kind = PreciseReading if message.precise else Reading
        yield Measured(reading=kind(celsius=message.celsius))

    @applies
    def measured(self, event: Measured) -> None:
        self.state.config["celsius"] = event.reading.celsius


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@virtual_time
async def test_no_number_that_the_log_cannot_hold_becomes_null_in_a_nested_model(
    number: float,
) -> None:
    host = await Hosting.begin()
    host.register(Thermometer)
    answer = await host.deliver(command("thermometer/a", "measure", data={"celsius": number}))
    with pytest.raises(InvalidData, match=r"reading.celsius is .* and comes back as a NoneType"):
        read_events(answer, 0)


@virtual_time
async def test_a_part_that_has_more_than_its_field_takes_is_refused() -> None:
    host = await Hosting.begin()
    host.register(Thermometer)
    with pytest.raises(InvalidData, match="reading is a PreciseReading and comes back as a Read"):
        await host.ask("thermometer/a", Measure(celsius=1.0, precise=True))


@virtual_time
async def test_what_was_accepted_can_be_folded_however_deeply_it_is_nested() -> None:
    host = await Hosting.begin()
    host.register(DeviceTwin)
    value: Any = 1
    for _ in range(220):
        value = [value]
    report = Report(event_id="1", event_type="nested", properties={"deep": value})
    answer = await host.deliver(command("device-twin/a", report))
    with pytest.raises(InvalidData, match="cannot be read back"):
        raise_error(answer, 0)


class Count(Command):
    pass


class Plain(BaseModel):
    total: int = 0


class Camel(DeviceEvent):
    how_many: int = Field(default=1, alias="howMany")


class CamelCounter(Actor[Plain]):
    @handles
    def count(self, message: Count) -> Iterator[Payload]:
        yield Camel.model_validate({"howMany": 5})

    @applies
    def counted(self, event: Camel) -> None:
        self.state.total += event.how_many


@virtual_time
async def test_an_event_with_aliases_folds_to_what_it_was_applied_as() -> None:
    host = await Hosting.begin()
    host.register(CamelCounter)
    await host.ask("camel-counter/a", Count())
    again = await Hosting.begin(host.store)
    again.register(CamelCounter)
    answer = await again.deliver(command("camel-counter/a", STATE))
    assert unpack_state(answer)["state"] == {"total": 5}


class Collect(Command):
    numbers: list[int]


class Collected(DeviceEvent):
    """So far."""

    so_far: Any


class CollectState(BaseModel):
    seen: list[Any] = []


class Collector(Actor[CollectState]):
    @handles
    def collect(self, message: Collect) -> Iterator[Payload]:
        so_far: list[int] = []
        for number in message.numbers:
            so_far.append(number)
            yield Collected(so_far=so_far)

    @applies
    def collected(self, event: Collected) -> None:
        self.state.seen.append(len(event.so_far))


@virtual_time
async def test_a_list_that_grows_after_it_was_yielded_is_applied_as_it_was_stored() -> None:
    host = await Hosting.begin()
    host.register(Collector)
    await host.deliver(command("collector/a", Collect(numbers=[1, 2, 3])))
    answer = await host.deliver(command("collector/a", STATE))
    assert unpack_state(answer)["state"] == {"seen": [1, 2, 3]}
    scenario = Scenario(Collector).when(Collect(numbers=[1, 2, 3]))
    assert scenario.state == CollectState(seen=[1, 2, 3])


class TupleCollector(Actor[CollectState]):
    ignores = (Collected,)

    @handles
    def collect(self, message: Collect) -> Iterator[Payload]:
        yield Collected(so_far=tuple(message.numbers))


@virtual_time
async def test_what_json_gives_back_as_another_type_is_refused_with_the_way_to_it() -> None:
    host = await Hosting.begin()
    host.register(TupleCollector)
    said = "collected: .*so_far is a tuple and comes back as a list"
    with pytest.raises(InvalidData, match=said):
        await host.ask("tuple-collector/a", Collect(numbers=[1]))
    with pytest.raises(InvalidData, match=said):
        Scenario(TupleCollector).when(Collect(numbers=[1]))


class Dated(DeviceEvent):
    at: datetime
    number: int = 0


class Date(Command):
    zone: str
    hour: int = 12
    fold: int = 0


class DateState(BaseModel):
    at: datetime | None = None


class Dater(Actor[DateState]):
    @handles
    def date(self, message: Date) -> Iterator[Payload]:
        odd = timezone(timedelta(hours=1, seconds=7))
        zone = odd if message.zone == "odd" else ZoneInfo(message.zone)
        hour, fold = message.hour, message.fold
        yield Dated(at=datetime(2013, 10, 27, hour, 30, fold=fold, tzinfo=zone))

    @applies
    def dated(self, event: Dated) -> None:
        self.state.at = event.at


def test_a_zone_is_applied_as_the_offset_that_is_stored_also_in_the_hour_that_comes_twice() -> None:
    for fold, hour_utc in ((0, 0), (1, 1)):
        scenario = Scenario(Dater).when(Date(zone="Europe/Berlin", hour=2, fold=fold))
        at = scenario.state.at
        assert at is not None
        assert at == datetime(2013, 10, 27, hour_utc, 30, tzinfo=UTC)
        assert not isinstance(at.tzinfo, ZoneInfo)


def test_an_offset_with_seconds_is_refused_because_it_would_name_another_moment() -> None:
    with pytest.raises(InvalidData, match="comes back as datetime"):
        Scenario(Dater).when(Date(zone="odd"))


class Swapped(DeviceEvent):
    first: int = Field(default=0, alias="second")
    second: int = Field(default=0, alias="first")


class Swapper(Actor[Plain]):
    ignores = (Swapped,)

    @handles
    def count(self, message: Count) -> Iterator[Payload]:
        yield Swapped(second=1, first=2)


def test_fields_whose_aliases_are_each_other_s_names_are_refused() -> None:
    with pytest.raises(InvalidData, match="it would be read back as another event: first is 1"):
        Scenario(Swapper).when(Count())

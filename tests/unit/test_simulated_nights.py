"""thornback.simulation: a user's own actors and programs over many simulated nights."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from actors.devices.device_twin import Report
from actors.examples.device_twin import SetSilenceLimit, WatchedTwin
from examples.thermostat import ReportTemperature, Thermostat
from tests.programs import Echo
from thornback import (
    Actor,
    ActorErased,
    Command,
    DeviceEvent,
    Event,
    Projection,
    Rejected,
    applies,
    handles,
)
from thornback.simulation import (
    Faults,
    Night,
    NotRepeatable,
    NotSimulated,
    PromiseBroken,
    WaitsForEver,
    simulate,
    simulated,
)
from thornback.simulation.night_run import NightRun
from thornback.simulation.scheduler import SimulatedLoop

TWINS = {"actor_system": {"actor_modules": ("actors.examples.device_twin",)}}
CALM = Faults.none()


async def report_all_night(night: Night) -> None:
    kitchen = night.system.actor(Thermostat, "kitchen")
    for hour in range(8):
        await night.ask(kitchen, ReportTemperature(celsius=float(hour)))
        await night.sleep(hours=1)
    assert [event.data["celsius"] for event in night.log("temperature-reported")] == [*range(8)]


@simulated(nights=6)
async def test_what_is_acknowledged_is_in_the_log_whatever_goes_wrong(night: Night) -> None:
    await report_all_night(night)
    await night.settle()
    assert (await night.system.actor(Thermostat, "kitchen").state()).celsius == 7.0


@dataclass
class Last:
    celsius: float


class LastReports(Projection[Last]):
    event_types: Sequence[str] = ("temperature-reported",)

    def project(self, event: Event, row: Last | None) -> Last:
        return Last(event.data["celsius"])


@simulated(nights=3)
async def test_programs_are_as_far_as_the_log_when_all_is_settled(night: Night) -> None:
    await night.run(Echo("echo", ("thermostat/*",)))
    await night.run(LastReports())
    await report_all_night(night)
    await night.settle()
    assert len(night.log(sources="echo/*")) == 8
    assert night.table(LastReports()) == {"thermostat/kitchen": Last(7.0)}


@simulated(nights=3, settings=TWINS)
async def test_timers_fire_in_virtual_time(night: Night) -> None:
    twin = night.system.actor(WatchedTwin, "meter")
    await night.ask(twin, SetSilenceLimit(seconds=1_200))
    for hour in range(4):
        await night.ask(twin, Report(event_id=str(hour), event_type="read", properties={}))
        await night.sleep(hours=1)
    assert len(night.log("device-offline")) == 4


@simulated(nights=3, settings=TWINS)
async def test_an_actor_is_erased_with_its_timers_and_begins_anew(night: Night) -> None:
    twin = night.system.actor(WatchedTwin, "meter")
    await night.ask(twin, SetSilenceLimit(seconds=1_200))
    await night.ask(twin, Report(event_id="1", event_type="read", properties={}))
    receipt = await night.system.erase(twin, "its owner asked")
    assert receipt.events >= 3
    await night.sleep(hours=1)
    assert not night.log("device-offline")
    with pytest.raises(ActorErased):
        await night.ask(twin, SetSilenceLimit(seconds=60))
    await night.system.start(twin)
    await night.ask(twin, SetSilenceLimit(seconds=600))
    await night.ask(twin, Report(event_id="2", event_type="read", properties={}))
    await night.sleep(hours=1)
    assert len(night.log("device-offline")) == 1


@simulated(nights=3, settings=TWINS)
async def test_an_actor_with_a_timer_is_erased_for_good(night: Night) -> None:
    twin = night.system.actor(WatchedTwin, "meter")
    await night.ask(twin, SetSilenceLimit(seconds=1_200))
    await night.ask(twin, Report(event_id="1", event_type="read", properties={}))
    await night.sleep(hours=1)
    receipt = await night.insist(lambda: night.system.erase(twin, "its owner has asked for it"))
    assert all(event.erased for event in night.log(sources=twin.source)[: receipt.events])
    await night.sleep(hours=1)
    await night.settle()
    assert night.log(sources=twin.source)[-1].event_type == "actor-erased"


@simulated(nights=2)
async def test_a_subscription_has_what_is_committed_from_when_it_began(night: Night) -> None:
    kitchen = night.system.actor(Thermostat, "kitchen")
    heard = await night.subscribe("temperature-reported")
    asked = asyncio.create_task(night.ask(kitchen, ReportTemperature(celsius=1.0)))
    assert (await anext(heard)).data == {"celsius": 1.0}
    await asked


@simulated(nights=2, faults=CALM)
async def test_trouble_of_a_tests_own_making(night: Night, tmp_path: object) -> None:
    assert tmp_path is not None  # a fixture comes through
    kitchen = night.system.actor(Thermostat, "kitchen")
    night.crash("host-0")
    night.crash("host-1", down_s=2.0)
    night.cut("test", "bus")
    night.database_away(3.0)
    night.hang("writer", 1.0)
    night.set_clock("host-0", -5.0)
    night.replace("bus")
    await night.ask(kitchen, ReportTemperature(celsius=1.0))
    assert night.elapsed_s > 2.0
    with pytest.raises(ValueError, match="no process is named 'host-7'"):
        night.crash("host-7")
    with pytest.raises(Rejected, match="absolute zero"):
        await night.ask(kitchen, ReportTemperature(celsius=-300.0))
    with pytest.raises(TimeoutError, match="after 5 s"):
        await night.until(lambda: False, within_s=5.0)


def test_a_seed_is_one_history_and_another_seed_is_another() -> None:
    first, second = simulate(report_all_night, seeds=[1, 2])
    again, _ = simulate(report_all_night, seeds=[1, 3])
    assert first.digest == again.digest
    assert first.digest != second.digest
    assert first.faults


def test_a_quiet_week_takes_few_steps() -> None:
    async def sleep(night: Night) -> None:
        await night.ask(night.system.actor(Thermostat, "attic"), ReportTemperature(celsius=1.0))
        await night.sleep(hours=7 * 24)

    (outcome,) = simulate(sleep, nights=1, faults=CALM)
    assert outcome.virtual_s > 7 * 86_400
    assert outcome.steps < 2_000


def test_a_night_that_fails_says_its_seed_and_which_faults_it_takes() -> None:
    async def careless(night: Night) -> None:
        kitchen = night.system.actor(Thermostat, "kitchen")
        for _ in range(4):
            await night.sleep(minutes=10)
            night.note("asks")
            await kitchen.ask(ReportTemperature(celsius=1.0))

    often = Faults(every_s=20.0, at_commits=0.0, kinds=("database away",), longest_s=60.0)
    with pytest.raises(Exception, match="database") as failed:
        simulate(careless, nights=50, faults=often, settings={"actor_system": {"hosts": 1}})
    said = "\n".join(failed.value.__notes__)
    assert "--simulation-seed" in said
    assert "asks" in said
    assert "the database is away for" in said
    assert "faults these are enough" in said


def test_a_test_that_waits_for_what_never_comes_is_told_where() -> None:
    async def wait(night: Night) -> None:
        await asyncio.Event().wait()

    with pytest.raises(WaitsForEver, match=r"test_simulated_nights\.py:\d+, in wait"):
        simulate(wait, nights=1, faults=CALM)


class Look(Command):
    how: str


class Looked(DeviceEvent):
    at: str


class Clock(Actor[None]):
    @handles
    def look(self, message: Look) -> Iterator[Looked]:
        if message.how == "time":
            time.time()
        elif message.how == "sleep":
            time.sleep(0.001)
        elif message.how == "thread":
            threading.Thread(target=print).start()
        yield Looked(at=datetime.now(UTC).isoformat())

    @applies
    def looked(self, event: Looked) -> None:
        """It has no state."""


@pytest.mark.parametrize("how", ["time", "sleep", "thread"])
def test_what_no_seed_repeats_is_refused_whoever_catches_it(how: str) -> None:
    async def look(night: Night) -> None:
        with pytest.raises(Exception, match="failed at look"):
            await night.system.actor(Clock, "wall").ask(Look(how=how))

    with pytest.raises(NotSimulated, match="a simulation has no"):
        simulate(look, nights=1, faults=CALM)


def test_a_wait_that_blocks_is_refused() -> None:
    async def result(night: Night) -> None:
        night.system.actor(Thermostat, "kitchen").state().result()

    with pytest.raises(NotSimulated, match="await it"):
        simulate(result, nights=1, faults=CALM)

    async def subscribe(night: Night) -> None:
        night.system.subscribe()

    with pytest.raises(NotSimulated, match=r"night\.subscribe"):
        simulate(subscribe, nights=1, faults=CALM)


def test_what_comes_from_outside_is_seen_by_running_a_seed_twice() -> None:
    async def look(night: Night) -> None:
        await night.ask(night.system.actor(Clock, "wall"), Look(how="now"))

    with pytest.raises(NotRepeatable, match="looked of clock/wall"):
        simulate(look, nights=1, faults=CALM)


def test_a_broken_promise_fails_a_night_that_looks_at_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ask(night: Night) -> None:
        await night.ask(night.system.actor(Thermostat, "kitchen"), ReportTemperature(celsius=1.0))
        night._run.database.rows.pop()  # acknowledged, and lost

    with pytest.raises(PromiseBroken, match="acknowledged, and its event 1 is not in the log"):
        simulate(ask, nights=1, faults=CALM)


def test_real_time_and_chance_are_back_afterwards() -> None:
    real = time.time, time.sleep, threading.Thread.start
    simulate(report_all_night, nights=1, faults=CALM)
    assert (time.time, time.sleep, threading.Thread.start) == real


def test_faults_are_checked() -> None:
    with pytest.raises(ValueError, match="kinds are some of"):
        Faults(kinds=("earthquake",))
    with pytest.raises(ValueError, match="every_s"):
        Faults(every_s=0.0)
    with pytest.raises(ValueError, match="at_commits"):
        Faults(at_commits=2.0)
    with pytest.raises(ValueError, match="kinds are some of"):
        Faults().without("earthquake")
    assert "set clock" not in Faults().without("set clock").kinds


def test_a_test_is_a_coroutine_function() -> None:
    with pytest.raises(TypeError, match="async def"):
        simulated()(lambda night: None)  # type: ignore[arg-type,return-value]


def test_nothing_of_a_night_is_left() -> None:
    simulate(report_all_night, nights=2)
    gc.collect()
    left = [one for one in gc.get_objects() if isinstance(one, NightRun | SimulatedLoop)]
    assert not left

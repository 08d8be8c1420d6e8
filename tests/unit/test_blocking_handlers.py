"""A handler that blocks fails alone: its neighbours, in its own batch too, have their answers."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar

import pytest

from actors.actor import Actor, Command, applies, handles
from actors.errors import InvalidActor, Rejected
from actors.event import DeviceEvent, Payload
from actors.supervision import RestartPolicy, Supervision
from actors.timers import Schedule
from runtime.errors import ActorRestarting, ActorStopped, HandlerBlocked, HandlerFailed
from runtime.host.actor_types import ActorTypes
from runtime.host.handler_watch import HandlerWatch, TimeLimits
from runtime.process.notes import Notes
from runtime.wire.answers import read_events
from runtime.wire.commands import STATE, Answer
from runtime.wire.error_codec import decode_error
from tests.unit.hosting import AT_US, Add, Hosting, command, totals, versions
from tests.unit.test_timers_in_a_host import fire
from tests.virtual_time import virtual_time


class Push(Command):
    """One more; block, or not."""

    how: str = ""


class Wind(Command):
    """Have a Push come in a second."""

    how: str = ""


class Pushed(DeviceEvent):
    how: str = ""


BEGUN = threading.Event()  #: something blocks
ENDS: list[float] = []  #: processes that were to end
TOLD: list[str] = []  #: what actors were told that they failed with


def block() -> None:
    BEGUN.set()
    while True:
        pass


def block_in_c() -> None:
    BEGUN.set()
    while not ENDS:  # as a call that no exception reaches
        try:
            time.sleep(0.001)
        except BaseException as error:
            del error


class Door(Actor[dict[str, int]]):
    """Blocks at what it is told to."""

    state_type = dict
    time_limit_s = 0.5
    starts_blocked: ClassVar[bool] = False

    @handles
    def push(self, message: Push) -> Iterator[Payload]:
        yield Pushed(how=message.how)
        if message.how == "block":
            block()
        if message.how == "block in C":
            block_in_c()
        if message.how == "catch":
            try:
                block()
            except BaseException as error:
                raise Rejected("it is caught") from error
        if message.how == "fail":
            raise RuntimeError("it is stuck")

    @handles
    def wind(self, message: Wind) -> Iterator[Payload | Schedule]:
        yield Schedule(after=1.0, key="k", message=Push(how=message.how))

    def on_failure(self, error: BaseException) -> None:
        TOLD.append(type(error).__name__)

    @applies
    def pushed(self, event: Pushed) -> None:
        if event.how == "block the applier":
            block()
        self.state["pushed"] = self.state.get("pushed", 0) + 1


class Gate(Door):
    """Stops."""

    actor_type = "gate"
    supervision = Supervision(strategy="stop")


class Lid(Door):
    """Rests."""

    actor_type = "lid"
    supervision = Supervision(
        policy=RestartPolicy(intensity=1, period_s=60.0, backoff_s=5.0, jitter=0.0)
    )


class Hatch(Door):
    """Blocks at its hooks."""

    actor_type = "hatch"

    def on_start(self) -> None:
        if self.name == "start":
            block()

    def on_failure(self, error: BaseException) -> None:
        if self.name == "failure":
            block()


class Flap(Gate):
    """Blocks when it was stopped."""

    actor_type = "flap"

    def on_stop(self) -> None:
        block()


class NoProcess:
    """A process that is only said to end."""

    def end(self) -> None:
        ENDS.append(time.monotonic())

    def end_unless_called(self, within_s: float, telling: int) -> None:
        raise AssertionError("nobody can tell anything here")


@contextmanager
def watched(host: Hosting) -> Iterator[HandlerWatch]:
    """Somebody looks at what blocks, in a time of his own."""
    watch = HandlerWatch(
        host.decider.work, TimeLimits(host.types, 5.0), host.metrics.actors, NoProcess(), None
    )
    over = threading.Event()

    def look() -> None:
        now_s = 0.0
        while not over.is_set():
            if not BEGUN.wait(0.01):
                continue
            BEGUN.clear()
            at = host.decider.work.at
            while at is not None and host.decider.work.at is at and not over.is_set():
                watch.look(now_s)
                now_s += 0.3
                time.sleep(0.002)  # or the handler would not come to run

    BEGUN.clear()
    ENDS.clear()
    TOLD.clear()
    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield watch
    finally:
        over.set()
        looking.join()


async def begun() -> Hosting:
    host = await Hosting.begin()
    for each in (Door, Gate, Lid, Hatch, Flap):
        host.register(each)
    return host


def error_of(answer: Answer, index: int = 0) -> Exception:
    return decode_error(answer.errors[index])


@virtual_time
async def test_a_handler_that_blocks_costs_its_own_command_and_no_other_of_its_batch() -> None:
    host = await begun()
    with watched(host):
        answer = await host.deliver(
            command("counter/a", Add()),
            command("door/a", Push()),
            command("door/a", Push(how="block")),
            command("door/a", Push()),
            command("counter/a", Add()),
        )
    blocked = error_of(answer, 2)
    assert isinstance(blocked, HandlerBlocked)
    assert str(blocked).startswith("door/a failed at push: it took longer than 0.5 s (restart)\n")
    assert "test_blocking_handlers.py" in blocked.frames[-1]
    assert answer.errors.keys() == {2}
    assert [versions(read_events(answer, index)) for index in (0, 1, 3, 4)] == [[1], [1], [2], [2]]
    assert totals(await host.log("counter/a")) == [1, 2]
    assert len(await host.log("door/a")) == 2
    assert host.became == ["restart"]
    assert TOLD == ["HandlerBlocked"]
    await host.deliver(command("counter/a", Add()))  # failures are counted behind the answer
    [record] = [each for each in host.metrics.failures.records() if each.outcome == "failed"]
    assert (record.name, record.message_type) == ("HandlerBlocked", "push")


@virtual_time
async def test_a_command_that_has_blocked_is_not_run_again_and_others_of_its_kind_are() -> None:
    host = await begun()
    first = command("door/a", Push(how="block"))
    with watched(host):
        await host.deliver(first)
        BEGUN.clear()
        again = await host.deliver(first)
        assert isinstance(error_of(again), HandlerBlocked)
        assert not BEGUN.is_set()  # its handler did not begin
    assert not ENDS
    # Nor is it mistaken for another actor's of the same id.
    other = await host.deliver(command("door/b", Push(), id=first[2]))
    assert versions(read_events(other, 0)) == [1]


@pytest.mark.parametrize("how", ["catch", "block the applier"])
@virtual_time
async def test_whatever_blocks_and_whatever_it_makes_of_that_it_has_failed(how: str) -> None:
    host = await begun()
    with watched(host):
        answer = await host.deliver(command("door/a", Push(how=how)), command("door/b", Push()))
    assert isinstance(error_of(answer), HandlerBlocked)
    assert versions(read_events(answer, 1)) == [1]
    assert not await host.log("door/a")


@virtual_time
async def test_what_an_interruption_does_not_reach_has_its_process_end_and_is_noted_before() -> (
    None
):
    host = await begun()
    with watched(host):
        answer = await host.deliver(command("door/a", Push(how="block in C")))
    assert len(ENDS) == 1
    assert isinstance(error_of(answer), HandlerBlocked)  # this process did not end


@virtual_time
async def test_its_supervision_sees_to_it_as_to_any_failure() -> None:
    host = await begun()
    with watched(host):
        first = [
            await host.deliver(command(source, Push(how="block"))) for source in ("gate/a", "lid/a")
        ]
        second = await host.deliver(command("gate/a", Push()), command("lid/a", Push()))
    decisions = [error_of(each).decision for each in first]  # type: ignore[attr-defined]
    assert decisions == ["stop", "restart"]
    assert isinstance(error_of(second, 0), ActorStopped)
    assert isinstance(error_of(second, 1), ActorRestarting)
    [stopped] = await host.log("gate/a")
    assert stopped.event_type == "actor-stopped"
    assert stopped.data["reason"] == "it failed: it took longer than 0.5 s"
    assert host.became == ["stop", "restart"]


@virtual_time
async def test_a_timer_whose_handler_blocks_has_fired_and_says_so() -> None:
    host = await begun()
    host.now_us = AT_US
    [set_] = read_events(await host.deliver(command("door/a", Wind(how="block"))), 0)
    host.now_us += 1_000_000
    with watched(host):
        await fire(host, set_)
    fired = (await host.log("door/a"))[-1]
    assert (fired.event_type, fired.data["error"]) == ("timer-fired", "HandlerBlocked")


@virtual_time
async def test_a_hook_that_blocks_does_what_one_that_raises_does() -> None:
    host = await begun()
    with watched(host):
        starting = await host.deliver(command("hatch/start", Push()), command("door/a", Push()))
        failing = await host.deliver(
            command("hatch/failure", Push(how="fail")), command("door/a", Push())
        )
        again = await host.deliver(command("hatch/start", Push()))
        stopping = await host.deliver(
            command("flap/a", Push(how="fail")), command("door/a", Push())
        )
    told = error_of(starting)
    assert isinstance(told, HandlerFailed)
    assert "its on_start failed: it took longer than 0.5 s" in told.failure
    assert "its on_start failed" in str(error_of(again))
    assert "RuntimeError: it is stuck" in str(error_of(failing))
    assert isinstance(error_of(stopping), HandlerFailed)
    for answer in (starting, failing, stopping):
        assert len(read_events(answer, 1)) == 1
    assert (await host.log("flap/a"))[-1].event_type == "actor-stopped"


@virtual_time
async def test_an_actor_whose_past_blocks_is_broken_and_its_neighbours_load() -> None:
    host = await begun()
    await host.deliver(command("door/a", Push()), command("door/b", Push()))

    class Sticks(Door):
        actor_type = "door"

        @applies
        def pushed(self, event: Pushed) -> None:
            if self.name == "a":
                block()

    host.register(Sticks)
    with watched(host):
        answer = await host.deliver(command("door/a", Push()), command("door/b", Push()))
        state = await host.deliver(command("door/a", STATE))
    told = error_of(answer)
    assert isinstance(told, HandlerFailed)
    assert "it is not rebuilt: it took longer than 0.5 s" in told.failure
    assert versions(read_events(answer, 1)) == [2]
    assert "it is not rebuilt" in str(error_of(state))
    host.register(Door)  # the mended class
    assert versions(read_events(await host.deliver(command("door/a", Push())), 0)) == [2]


@virtual_time
async def test_the_dead_man_s_switch_is_set_before_the_first_look_and_at_each(
    tmp_path: Path,
) -> None:
    host = await begun()
    set_to: list[float] = []

    class Switched(NoProcess):
        def end_unless_called(self, within_s: float, telling: int) -> None:
            set_to.append(within_s)

    limits = TimeLimits(host.types, 5.0)
    notes = Notes(tmp_path / "host")
    watch = HandlerWatch(host.decider.work, limits, host.metrics.actors, Switched(), notes)
    watch.watching()
    assert set_to == [4.0 + HandlerWatch.MORE_S]

    class Patient(Door):
        actor_type = "patient"
        time_limit_s = 60.0

    host.register(Patient)
    watch.look(0.0)
    assert set_to[1:] == [60.0 + HandlerWatch.MORE_S]
    assert watch._telling is not None
    os.close(watch._telling)


@pytest.mark.parametrize("module", ["pdb", "debugpy.server.api", "pdb_import.doors", "bdbank"])
@virtual_time
async def test_whom_somebody_looks_at_with_a_debugger_is_left_alone(module: str) -> None:
    host = await begun()

    def interact(look: Callable[[float], None]) -> None:
        for second in range(9):
            look(second)

    debugger = FunctionType(interact.__code__, {"__name__": module, "range": range})
    watch = HandlerWatch(
        host.decider.work, TimeLimits(host.types, 1.0), host.metrics.actors, NoProcess(), None
    )

    class Looked(Door):
        actor_type = "looked"

        @handles
        def push(self, message: Push) -> Iterator[Payload]:
            debugger(watch.look)
            yield Pushed()

    host.register(Looked)
    answer = await host.deliver(command("looked/a", Push()))
    assert bool(answer.errors) == (module in ("pdb_import.doors", "bdbank"))


def test_a_limit_is_of_the_class_or_else_of_the_setting_and_no_less_than_a_second() -> None:
    types = ActorTypes()
    types.register(Door)
    limits = TimeLimits(types, 0.1)
    assert (limits.of("door/a"), limits.of("nobody/a"), limits.longest_s()) == (0.5, 1.0, 1.0)


def test_a_limit_of_the_setting_and_two_looks_end_before_a_caller_gives_up() -> None:
    for patience_s in (3.0, 5.0, 60.0):
        limit_s = TimeLimits(ActorTypes(), patience_s).of("nobody/a")
        assert limit_s + 2 * HandlerWatch.LOOK_S < patience_s


@pytest.mark.parametrize("said", [0.0, 0.1, -1.0, float("inf"), "1", True])
def test_what_is_no_time_limit_is_refused_where_the_class_is_defined(said: Any) -> None:
    with pytest.raises(InvalidActor, match=r"time_limit_s is seconds, at least 0\.25, not "):
        type("Clock", (Door,), {"actor_type": "clock", "time_limit_s": said})

"""Actors whose class says what becomes of them: rests, limits, groups, escalation, hooks."""

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.errors import InvalidActor, Rejected
from actors.event import DeviceEvent, Payload
from actors.supervision import NEVER, RestartPolicy, Restarts, Supervision
from runtime.errors import ActorRestarting, ActorStopped, HandlerFailed
from runtime.host.batch import Attempt, Batch
from runtime.host.resident import Resident
from runtime.host.supervision import Supervisor
from runtime.wire.answers import read_events
from runtime.wire.commands import START, STATE, Request, unpack_answer
from store.errors import StoreUnavailable
from tests.unit.hosting import Add, Break, Hosting, command, versions
from tests.virtual_time import virtual_time


class Turn(Command):
    """One more."""


class Jam(Command):
    """Fail."""


class JamHalf(Command):
    """Fail when an event was applied half."""


class Decline(Command):
    """Be rejected."""


class Turned(DeviceEvent):
    """One more."""

    half: bool = False


class WheelState(BaseModel):
    turns: int = 0


class Wheel(Actor[WheelState]):
    """Rests for a second, for two, for four, and is stopped then."""

    supervision = Supervision(
        policy=RestartPolicy(intensity=3, period_s=60.0, backoff_s=1.0, jitter=0.0)
    )

    @handles
    def turn(self, message: Turn) -> Iterator[Payload]:
        yield Turned()

    @handles
    def jam(self, message: Jam) -> Iterator[Payload]:
        yield Turned()
        raise RuntimeError("jammed")

    @handles
    def jam_half(self, message: JamHalf) -> Iterator[Payload]:
        yield Turned(half=True)

    @handles
    def decline(self, message: Decline) -> Iterator[Payload]:
        raise Rejected("no")
        yield Turned()

    @applies
    def turned(self, event: Turned) -> None:
        self.state.turns += 1
        if event.half:
            raise RuntimeError("half")


class Cog(Wheel):
    """All of them rest when one fails."""

    actor_type = "cog"
    supervision = Supervision(
        scope="all-for-one", policy=RestartPolicy(intensity=1, backoff_s=1.0, jitter=0.0)
    )


class Fuse(Wheel):
    """All of them are stopped when one fails."""

    actor_type = "fuse"
    supervision = Supervision(strategy="stop", scope="all-for-one")


class Valve(Wheel):
    """Its host is to decide."""

    actor_type = "valve"
    supervision = Supervision(strategy="escalate")


async def types(host: Hosting, source: str) -> list[str]:
    return [event.event_type for event in await host.log(source)]


async def begin(strategy: str = "restart", **more: Any) -> Hosting:
    host = await Hosting.begin(strategy=strategy, **more)
    for actor in (Wheel, Cog, Fuse, Valve):
        host.register(actor)
    return host


async def fail(host: Hosting, source: str, message: Command | None = None) -> HandlerFailed:
    with pytest.raises(HandlerFailed) as caught:
        await host.ask(source, message or Jam())
    return caught.value


async def pass_s(seconds: float) -> None:
    await asyncio.sleep(seconds)  # of virtual time


@virtual_time
async def test_between_a_failure_and_its_restart_an_actor_takes_no_commands() -> None:
    host = await begin()
    await host.ask("wheel/a", Turn())
    answer = await host.deliver(
        command("wheel/a", Jam()), command("wheel/a", Turn()), command("wheel/b", Turn()),
        command("wheel/a", "$state"),
    )  # fmt: skip
    for index in (1, 3):
        with pytest.raises(ActorRestarting, match=r"wheel/a .* send it again in 1\.0 s"):
            read_events(answer, index)
    assert versions(read_events(answer, 2)) == [1]  # its neighbour does not wait
    await pass_s(0.5)
    with pytest.raises(ActorRestarting, match=r"in 0\.5 s"):
        await host.ask("wheel/a", Turn())
    await pass_s(0.5)
    assert versions(await host.ask("wheel/a", Turn())) == [3]
    assert await types(host, "wheel/a") == ["turned", "actor-failed", "turned"]
    failed = (await host.log("wheel/a"))[1].data
    assert failed == {
        "message_type": "jam", "failure": "RuntimeError: jammed", "became": "restart",
        "rest_s": 1.0,
    }  # fmt: skip


@virtual_time
async def test_a_rest_is_not_cut_short_by_leaving_memory() -> None:
    host = await begin(capacity=1)
    await fail(host, "wheel/a")
    for name in "bcd":
        await host.ask(f"wheel/{name}", Turn())
    with pytest.raises(ActorRestarting):
        await host.ask("wheel/a", Turn())


@virtual_time
async def test_rests_grow_and_beyond_the_intensity_an_actor_is_stopped() -> None:
    host = await begin()
    for rest_s in (1.0, 2.0, 4.0):
        assert (await fail(host, "wheel/a")).decision == "restart"
        await pass_s(rest_s - 0.01)
        with pytest.raises(ActorRestarting):
            await host.ask("wheel/a", Turn())
        await pass_s(0.01)
        await host.ask("wheel/a", Turn())
    assert (await fail(host, "wheel/a")).decision == "stop"
    with pytest.raises(ActorStopped, match="more often than its policy lets it be restarted"):
        await host.ask("wheel/a", Turn())
    await host.start("wheel/a")
    assert (await fail(host, "wheel/a")).decision == "restart"  # it is counted anew
    assert host.became == ["restart"] * 3 + ["stop", "restart"]


@virtual_time
async def test_a_refused_command_is_no_failure() -> None:
    host = await begin()
    for _ in range(10):
        with pytest.raises(Rejected):
            await host.ask("wheel/a", Decline())
    assert versions(await host.ask("wheel/a", Turn())) == [1]
    assert host.became == []


@virtual_time
async def test_what_is_sent_again_during_a_rest_takes_effect_after_it() -> None:
    host = await begin()
    await fail(host, "wheel/a")
    turn = command("wheel/a", Turn())
    with pytest.raises(ActorRestarting):
        read_events(await host.deliver(turn), 0)
    await pass_s(1.0)
    assert versions(read_events(await host.deliver(turn), 0)) == [2]


@virtual_time
async def test_failures_that_are_undone_do_not_count() -> None:
    """Whatever order they are undone in: here the third of them would have stopped it."""
    host = await begin()
    for _ in range(2):
        await fail(host, "wheel/a")
        await pass_s(8.0)
    way = host.way

    async def away(append: Any) -> Any:
        raise StoreUnavailable("the store", "is away")

    for _ in range(3):
        host.way = away  # type: ignore[method-assign]
        batch = host.send(command("counter/b", Add()), command("wheel/a", Jam()))
        assert unpack_answer(await batch.answer).turned_away is not None
        host.way = way  # type: ignore[method-assign]
        host.begin_generation()
    assert (await fail(host, "wheel/a")).decision == "restart"
    await pass_s(8.0)
    assert (await fail(host, "wheel/a")).decision == "stop"


@virtual_time
async def test_several_attempts_that_are_undone_leave_what_was_before_them_all() -> None:
    host = await begin()
    before: Restarts | None = None
    attempts = []
    resident = Resident("wheel/a", host.types.get("wheel"))
    for _ in range(4):  # the last one would stop it, and begin to count anew
        attempt = Attempt(Batch(1, Request(b"driver", 0, 0, {}, True, [])), [])
        host.supervisor.failed(attempt, command("wheel/a", Jam()), resident, "", spoilt=False)
        attempts.append(attempt)
        if before is None:
            before = host.supervisor._restarts["wheel/a"][0]
    assert host.supervisor._restarts["wheel/a"][0] == NEVER
    for attempt in attempts[1:]:
        host.supervisor.undo(attempt)
    assert host.supervisor._restarts["wheel/a"][0] == before
    host.supervisor.undo(attempts[0])
    assert host.supervisor._restarts["wheel/a"][0] == NEVER


@virtual_time
async def test_one_failure_restarts_all_of_a_group_that_are_resident() -> None:
    host = await begin()
    for name in "ab":
        await host.ask(f"cog/{name}", Turn())
    await host.ask("wheel/c", Turn())
    folded = host.residents.folded
    await fail(host, "cog/a")
    with pytest.raises(ActorRestarting, match="cog/a has failed, and rests before it is"):
        await host.ask("cog/a", Turn())
    for name in "bz":  # the others have done nothing, and are not said to have
        rests = f"cog/{name} rests, because cog/a of its group has failed, before it is restarted"
        with pytest.raises(ActorRestarting, match=rests) as told:
            await host.ask(f"cog/{name}", Turn())
        assert told.value.failed == "cog/a"
    assert versions(await host.ask("wheel/c", Turn())) == [2]
    await pass_s(1.0)
    assert versions(await host.ask("cog/b", Turn())) == [2]
    assert host.residents.folded > folded  # it was rebuilt
    assert await types(host, "cog/b") == ["turned", "turned"]
    assert (await fail(host, "cog/b")).decision == "stop"  # it was the group's second one
    with pytest.raises(ActorStopped, match="because it failed, more often than its policy"):
        await host.ask("cog/b", Turn())
    stopped = r"because cog/b of its group failed at jam, more often than .*: RuntimeError: jammed"
    with pytest.raises(ActorStopped, match=stopped):
        await host.ask("cog/a", Turn())
    ends = [(await host.log(f"cog/{name}"))[-1].data for name in "ab"]
    assert [(each["failed"], each["message_type"]) for each in ends] == [
        ("cog/b", "jam"),
        ("", "jam"),
    ]


@virtual_time
async def test_one_failure_stops_all_of_a_group_that_are_resident_in_one_append() -> None:
    host = await begin()
    for name in "abc":
        await host.ask(f"fuse/{name}", Turn())
    await host.deliver(command("fuse/n", STATE))  # it is in memory, and the log has nothing of it
    appends = len(host.appends)
    answer = await host.deliver(
        command("fuse/b", Turn()), command("fuse/a", Jam()), command("fuse/b", Turn()),
        command("wheel/c", Turn()),
    )  # fmt: skip
    assert len(host.appends) == appends + 1
    assert versions(read_events(answer, 0)) == [2]
    with pytest.raises(ActorStopped):
        read_events(answer, 2)
    assert versions(read_events(answer, 3)) == [1]
    successor = await Hosting.begin(host.store)
    successor.register(Fuse)
    for name in "abc":
        with pytest.raises(ActorStopped):
            await successor.ask(f"fuse/{name}", Turn())
    for name in "dn":  # they were not resident, or nobody
        assert versions(await successor.ask(f"fuse/{name}", Turn())) == [1]
    await successor.start("fuse/b")
    assert versions(await successor.ask("fuse/b", Turn())) == [5]


@pytest.mark.parametrize(
    ("strategy", "left"), [("restart", "turned"), ("resume", "turned"), ("stop", "actor-stopped")]
)
@virtual_time
async def test_what_an_actor_escalates_its_host_decides_for_the_group(
    strategy: str, left: str
) -> None:
    host = await begin(strategy)
    for name in "ab":
        await host.ask(f"valve/{name}", Turn())
    assert (await fail(host, "valve/a")).decision == "escalate"
    assert host.escalated == []
    assert (await types(host, "valve/b"))[-1] == left
    assert (await types(host, "valve/a"))[-1] == left
    if strategy != "stop":
        assert versions(await host.ask("valve/a", Turn())) == [2]


@virtual_time
async def test_what_the_host_escalates_ends_it_once_and_not_in_its_first_seconds() -> None:
    host = await begin("escalate")
    assert (await fail(host, "counter/a", Break())).decision == "escalate"
    assert host.escalated == []
    await pass_s(Supervisor.LIFE_S)
    batch = host.send(command("counter/a", Break()), command("counter/b", Add()))
    await batch.answer
    assert host.escalated == [batch]
    await fail(host, "counter/a", Break())
    assert host.escalated == [batch]
    assert versions(await host.ask("counter/a", Add())) == [2]
    (ended,) = [event for event in await host.log("counter/a") if event.version == 1]
    assert (ended.event_type, ended.data["became"]) == ("actor-failed", "escalate")


class Yielding(Wheel):
    """Yields what no handler may."""

    actor_type = "yielding"

    @handles
    def jam(self, message: Jam) -> Iterator[Any]:
        yield "nothing"


@virtual_time
async def test_our_own_lines_are_not_told_for_those_of_a_handler() -> None:
    host = await begin()
    host.register(Yielding)
    failed = await fail(host, "yielding/a")
    assert "a handler yields events, Tells and timers, not 'nothing'" in failed.failure
    assert failed.frames == ()


class Lamp(Wheel):
    """Tells its life."""

    actor_type = "lamp"
    supervision = Supervision(strategy="stop")
    told: ClassVar[list[str]] = []
    breaks: ClassVar[str] = ""

    def on_start(self) -> None:
        self._tell(f"starts with {self.state.turns}")

    def on_stop(self) -> None:
        self._tell("stops")

    def on_failure(self, error: BaseException) -> None:
        self._tell(f"fails: {error}")

    def _tell(self, what: str) -> None:
        self.told.append(f"{self.name} {what}")
        if self.breaks and what.startswith(self.breaks):
            raise SystemExit("no more")


@virtual_time
async def test_an_actor_is_told_of_its_life() -> None:
    Lamp.told.clear()
    host = await begin()
    host.register(Lamp)
    await host.ask("lamp/a", Turn())
    await fail(host, "lamp/a")
    with pytest.raises(ActorStopped):
        await host.ask("lamp/a", Turn())
    await host.start("lamp/a")
    await host.ask("lamp/a", Turn())
    assert Lamp.told == ["a starts with 0", "a fails: jammed", "a stops", "a starts with 1"]


@pytest.mark.parametrize("hook", ["fails", "stops"])
@virtual_time
async def test_a_hook_that_fails_harms_nobody(
    hook: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Lamp, "breaks", hook)
    host = await begin()
    host.register(Lamp)
    answer = await host.deliver(command("lamp/a", Jam()), command("lamp/b", Turn()))
    with pytest.raises(HandlerFailed, match="jammed"):
        read_events(answer, 0)
    assert versions(read_events(answer, 1)) == [1]
    with pytest.raises(ActorStopped):
        await host.ask("lamp/a", Turn())
    assert "lamp/a: its on_" in caplog.text


@virtual_time
async def test_an_actor_that_cannot_start_says_so_and_stops_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Lamp, "breaks", "starts")
    host = await begin()
    host.register(Lamp)
    answer = await host.deliver(command("lamp/a", Turn()), command("wheel/b", Turn()))
    with pytest.raises(HandlerFailed, match=r"its on_start failed: SystemExit: no more \(not run"):
        read_events(answer, 0)
    assert versions(read_events(answer, 1)) == [1]
    with pytest.raises(HandlerFailed, match="lamp/a failed at the question for its state: its on_"):
        read_events(await host.deliver(command("lamp/a", STATE)), 0)
    monkeypatch.setattr(Lamp, "breaks", "")
    assert versions(await host.ask("lamp/a", Turn())) == [1]


@virtual_time
async def test_an_event_applied_half_restarts_whoever_would_resume() -> None:
    host = await begin()
    host.register(Resumer)
    await host.ask("resumer/a", Turn())
    assert (await fail(host, "resumer/a")).decision == "resume"
    assert (await fail(host, "resumer/a", JamHalf())).decision == "restart"
    await pass_s(1.0)
    assert versions(await host.ask("resumer/a", Turn())) == [3]


class Resumer(Wheel):
    """Goes on."""

    actor_type = "resumer"
    supervision = Supervision(strategy="resume", policy=RestartPolicy(backoff_s=1.0, jitter=0.0))


def test_what_is_no_supervision_is_refused_where_the_class_is_defined() -> None:
    with pytest.raises(InvalidActor, match=r"supervision is a Supervision\(\.\.\.\), not 'stop'"):

        class Wrong(Actor[WheelState]):
            supervision = "stop"  # type: ignore[assignment]


def test_an_applier_of_somebody_elses_stop_is_refused() -> None:
    class ActorStopped(DeviceEvent):
        """The name is taken."""

    class Wrong(Actor[WheelState]):
        @applies
        def stopped(self, event: ActorStopped) -> None:
            self.state.turns = 0

    with pytest.raises(
        InvalidActor, match="stopped applies ActorStopped, and 'actor-stopped' is what the log says"
    ):
        Wrong.described()


def test_who_ignores_or_yields_somebody_elses_stop_is_refused_before_it_does() -> None:
    class ActorStopped(DeviceEvent):
        """The name is taken."""

    class Ignores(Actor[WheelState]):
        ignores = (ActorStopped,)

    class Yields(Actor[WheelState]):
        @handles
        def jam(self, message: Jam) -> Iterator[ActorStopped]:
            yield ActorStopped()

    with pytest.raises(InvalidActor, match="it ignores ActorStopped, and 'actor-stopped' is what"):
        Ignores.described()
    with pytest.raises(InvalidActor, match="jam yields ActorStopped, and 'actor-stopped' is what"):
        Yields.described()


@virtual_time
async def test_a_start_of_who_rests_changes_nothing() -> None:
    host = await begin()
    await fail(host, "wheel/a")
    answer = await host.deliver(command("wheel/a", START, data={"reason": ""}))
    assert read_events(answer, 0) == []
    with pytest.raises(ActorRestarting):
        await host.ask("wheel/a", Turn())

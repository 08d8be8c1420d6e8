"""A failing actor in its host: restart, resume, stop; and nobody else is the worse for it."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent, Payload
from runtime.errors import ActorStopped, HandlerFailed, InvalidMessage
from runtime.host.decision import Decider
from runtime.wire.answers import read_events
from runtime.wire.commands import STATE, unpack_answer
from tests.unit.hosting import (
    Add,
    Break,
    Hosting,
    Spoil,
    YieldNoPayload,
    command,
    intrude,
    totals,
    versions,
)
from tests.virtual_time import settled, virtual_time

STRATEGIES = ["restart", "resume", "stop"]


@pytest.mark.parametrize("strategy", STRATEGIES)
@virtual_time
async def test_a_failure_is_told_to_its_sender_with_what_became_of_the_actor(
    strategy: str,
) -> None:
    host = await Hosting.begin(strategy=strategy)
    with pytest.raises(HandlerFailed, match=rf"RuntimeError: broken \({strategy}\)") as caught:
        await host.ask("counter/a", Break())
    assert (caught.value.source, caught.value.message_type) == ("counter/a", "break")
    assert await host.log("counter/a") == [] or strategy == "stop"
    assert host.became == [strategy]


@pytest.mark.parametrize("strategy", STRATEGIES)
@virtual_time
async def test_a_failure_stops_no_other_actor(strategy: str) -> None:
    host = await Hosting.begin(strategy=strategy)
    answer = await host.deliver(
        command("counter/b", Add()), command("counter/a", Break()), command("counter/b", Add())
    )
    assert versions(read_events(answer, 0) + read_events(answer, 2)) == [1, 2]
    assert await host.total("counter/b") == 2


@pytest.mark.parametrize("strategy", ["restart", "resume"])
@virtual_time
async def test_a_failed_actor_goes_on_with_the_commands_that_follow(strategy: str) -> None:
    host = await Hosting.begin(strategy=strategy)
    answer = await host.deliver(
        command("counter/a", Add(times=2)),
        command("counter/a", Break()),
        command("counter/a", Add()),
        command("counter/b", Add()),
        command("counter/a", STATE),
        command("counter/a", Add()),
    )
    events = [event for index in (0, 2, 5) for event in read_events(answer, index)]
    assert versions(events) == totals(events) == [1, 2, 3, 4]
    assert await host.log("counter/a") == events
    assert answer.total == 5
    assert await host.total("counter/a") == 4
    assert len(await host.log("counter/b")) == 1


@virtual_time
async def test_a_restart_rebuilds_the_actor_from_the_log_and_a_resume_does_not() -> None:
    folded = {}
    for strategy in ("restart", "resume"):
        host = await Hosting.begin(strategy=strategy)
        await host.ask("counter/a", Add(times=5))
        with pytest.raises(HandlerFailed):
            await host.ask("counter/a", Break())
        assert await host.total("counter/a") == 5
        folded[strategy] = host.residents.folded
    assert folded == {"restart": 5, "resume": 0}


@pytest.mark.parametrize("strategy", ["restart", "resume"])
@virtual_time
async def test_a_half_applied_event_leaves_no_trace(strategy: str) -> None:
    host = await Hosting.begin(strategy=strategy)
    await host.ask("counter/a", Add(times=2))
    answer = await host.deliver(
        command("counter/a", Spoil()), command("counter/a", Add()), command("counter/a", STATE)
    )
    with pytest.raises(HandlerFailed, match=r"RuntimeError: spoilt \(restart\)"):
        read_events(answer, 0)
    assert totals(read_events(answer, 1)) == [3]
    assert await host.total("counter/a") == 3


@virtual_time
async def test_a_stopped_actor_takes_no_messages_and_stays_stopped() -> None:
    host = await Hosting.begin(strategy="stop", capacity=1)
    await host.ask("counter/a", Add())
    answer = await host.deliver(command("counter/a", Break()), command("counter/a", Add()))
    with pytest.raises(ActorStopped, match="counter/a was stopped"):
        read_events(answer, 1)
    for name in "bcd":
        await host.ask(f"counter/{name}", Add())
    with pytest.raises(ActorStopped):
        await host.ask("counter/a", Add())
    assert len(host.residents) == 1  # it fills no memory either
    assert [event.event_type for event in await host.log("counter/a")] == [
        "counted", "actor-stopped",
    ]  # fmt: skip


@virtual_time
async def test_a_stopped_actor_stays_stopped_with_a_new_host() -> None:
    host = await Hosting.begin(strategy="stop")
    await host.ask("counter/a", Add())
    with pytest.raises(HandlerFailed):
        await host.ask("counter/a", Break())
    successor = await Hosting.begin(host.store, strategy="stop")
    with pytest.raises(ActorStopped, match="it failed: RuntimeError: broken"):
        await successor.ask("counter/a", Add())
    assert [event.event_type for event in await successor.start("counter/a")] == ["actor-started"]
    assert versions(await successor.ask("counter/a", Add())) == [4]
    assert await successor.total("counter/a") == 2


@virtual_time
async def test_several_actors_that_fail_in_one_batch_are_all_restarted() -> None:
    host = await Hosting.begin()
    names = "abc"
    answer = await host.deliver(
        *(command(f"counter/{name}", Add()) for name in names),
        *(command(f"counter/{name}", Break()) for name in names),
        *(command(f"counter/{name}", Add()) for name in names),
        *(command(f"counter/{name}", Break()) for name in names),
        *(command(f"counter/{name}", Add()) for name in names),
    )
    for index in range(15):
        if index // 3 % 2:
            with pytest.raises(HandlerFailed):
                read_events(answer, index)
        else:
            assert versions(read_events(answer, index)) == [index // 6 + 1]
    assert [await host.total(f"counter/{name}") for name in names] == [3, 3, 3]


@virtual_time
async def test_a_restart_in_a_batch_that_meets_a_conflict_still_answers_all_of_it() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add())
    await intrude(host, "counter/a", 2)
    host.store.open.clear()
    batch = host.send(
        command("counter/a", Add()), command("counter/b", Break()), command("counter/b", Add())
    )
    await settled()
    host.store.open.set()
    answer = unpack_answer(await batch.answer)
    assert versions(read_events(answer, 0)) == [3]
    with pytest.raises(HandlerFailed):
        read_events(answer, 1)
    assert versions(read_events(answer, 2)) == [1]


@virtual_time
async def test_a_handler_that_yields_no_payload_is_a_failure() -> None:
    host = await Hosting.begin()
    with pytest.raises(
        HandlerFailed, match="a handler yields events, Tells and timers, not 'not a payload'"
    ):
        await host.ask("counter/a", YieldNoPayload())


@virtual_time
async def test_an_actor_whose_log_cannot_be_folded_says_why_and_stops_nobody_else() -> None:
    host = await Hosting.begin()
    await intrude(host, "counter/a", 1)
    await intrude(host, "counter/a", 2, event_type="spoilt")
    answer = await host.deliver(command("counter/b", Add()), command("counter/a", Add()))
    assert versions(read_events(answer, 0)) == [1]
    with pytest.raises(HandlerFailed, match="its event 2 cannot be applied: spoilt"):
        read_events(answer, 1)


class Heat(Command):
    """To so many degrees, which may be any."""

    celsius: int


class Heated(DeviceEvent):
    """Of an event not every number is one."""

    celsius: int = Field(ge=-273)


class OvenState(BaseModel):
    celsius: int = 0


class Oven(Actor[OvenState]):
    @handles
    def heat(self, message: Heat) -> Iterator[Payload]:
        yield Heated(celsius=message.celsius)

    @applies
    def heated(self, event: Heated) -> None:
        self.state.celsius = event.celsius


@virtual_time
async def test_an_event_that_cannot_be_made_is_its_handler_s_failure_not_its_caller_s() -> None:
    host = await Hosting.begin(strategy="stop")
    host.register(Oven)
    answer = await host.deliver(
        command("oven/a", "heat", data={"celsius": "hot"}),
        command("oven/a", "heat", data={"celsius": -300}),
        command("oven/a", "heat", data={"celsius": 20}),
    )
    with pytest.raises(InvalidMessage, match="celsius"):
        read_events(answer, 0)
    with pytest.raises(HandlerFailed, match="ValidationError"):
        read_events(answer, 1)
    with pytest.raises(ActorStopped):
        read_events(answer, 2)


@pytest.mark.parametrize("strategy", ["restart", "resume"])
@virtual_time
async def test_of_many_failures_in_a_batch_the_first_few_are_logged(
    caplog: pytest.LogCaptureFixture, strategy: str
) -> None:
    """Each takes a millisecond of a host's time, and any program may send two thousand at once."""
    host = await Hosting.begin(strategy=strategy)
    answer = await host.deliver(*(command("counter/a", Break()) for _ in range(50)))
    for index in range(50):
        with pytest.raises(HandlerFailed, match=r"hosting\.py:\d+, in break_down"):
            read_events(answer, index)
    assert sum(record.exc_info is not None for record in caplog.records) == 10
    assert caplog.text.count("more commands of that batch fail") == 1


@virtual_time
async def test_commands_that_wait_for_an_actor_s_rebuilding_are_not_all_looked_at_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of them fails, and defers the others: of 2,000 that was two million looks."""
    looks = 0
    look = Decider._unusual

    def counted(decider: Decider, *arguments: Any) -> None:
        nonlocal looks
        looks += 1
        look(decider, *arguments)

    monkeypatch.setattr(Decider, "_unusual", counted)
    host = await Hosting.begin()
    failing = [command("counter/a", Break()) for _ in range(300)]
    answer = await host.deliver(
        command("counter/a", Add()), *failing, command("counter/b", Add()),
        command("counter/a", Add()),
    )  # fmt: skip
    assert looks < 300 * 40
    assert versions(read_events(answer, 0) + read_events(answer, 302)) == [1, 2]
    assert versions(read_events(answer, 301)) == [1]
    for index in range(1, 301):
        with pytest.raises(HandlerFailed):
            read_events(answer, index)

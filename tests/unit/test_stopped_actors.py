"""An actor that was stopped: the log says so, in its own stream, and whoever folds it knows."""

from typing import Any

import pytest

from actors.naming import aggregate_key_of
from runtime.errors import ActorStopped, HandlerFailed, InvalidMessage, PublishRefused
from runtime.wire.answers import read_events
from runtime.wire.commands import PUBLISH, START, STOP, unpack_answer
from store.errors import StoreUnavailable
from tests.unit.hosting import (
    Add,
    Break,
    Counter,
    Hosting,
    Spoil,
    command,
    intrude,
    totals,
    versions,
)
from tests.virtual_time import settled, virtual_time

_WHY = {"reason": "a test"}


async def types(host: Hosting, source: str) -> list[str]:
    return [event.event_type for event in await host.log(source)]


@virtual_time
async def test_a_stop_is_in_the_append_of_what_was_decided_beside_it() -> None:
    host = await Hosting.begin(strategy="stop")
    answer = await host.deliver(
        command("counter/a", Add(times=2)),
        command("counter/a", Break()),
        command("counter/b", Add(times=2)),
        command("counter/a", Add()),
    )
    assert len(host.appends) == 1
    assert versions(read_events(answer, 0)) == [1, 2]
    assert totals(read_events(answer, 2)) == [1, 2]
    assert answer.total == 4  # what its commands have
    with pytest.raises(ActorStopped):
        read_events(answer, 3)
    stop = (await host.log("counter/a"))[-1]
    assert (stop.event_type, stop.version, stop.kind) == ("actor-stopped", 3, "system")
    assert stop.data["message_type"] == "break"
    assert stop.data["failure"] == "RuntimeError: broken"
    assert stop.position == 5


@virtual_time
async def test_a_repeat_of_what_took_effect_before_a_stop_is_answered_with_its_events() -> None:
    host = await Hosting.begin(strategy="stop", recent=1)
    add = command("counter/a", Add(times=2))
    first = read_events(await host.deliver(add), 0)
    answer = await host.deliver(command("counter/a", Break()), command("counter/b", Add()))
    with pytest.raises(HandlerFailed):
        read_events(answer, 0)
    assert read_events(await host.deliver(add), 0) == first
    successor = await Hosting.begin(host.store, strategy="stop")
    assert read_events(await successor.deliver(add), 0) == first


@virtual_time
async def test_whoever_is_started_is_rebuilt_from_the_log() -> None:
    host = await Hosting.begin(strategy="stop")
    await host.ask("counter/a", Add(times=2))
    with pytest.raises(HandlerFailed):
        await host.ask("counter/a", Spoil())  # an event is applied half
    answer = await host.deliver(
        command("counter/a", START, data=_WHY),
        command("counter/a", Add()),
        command("counter/b", Add()),
    )
    assert versions(read_events(answer, 0)) == [4]
    assert totals(read_events(answer, 1)) == [3]
    assert await host.total("counter/a") == 3


@virtual_time
async def test_a_failure_and_a_start_in_one_batch_come_in_their_order() -> None:
    host = await Hosting.begin(strategy="stop")
    answer = await host.deliver(
        command("counter/a", Add()),
        command("counter/a", Break()),
        command("counter/a", START, data=_WHY),
        command("counter/a", Add()),
        command("counter/a", STOP, data=_WHY),
        command("counter/a", Add()),
        command("counter/a", START, data=_WHY),
        command("counter/a", Add()),
    )
    assert await types(host, "counter/a") == [
        "counted", "actor-stopped", "actor-started", "counted", "actor-stopped", "actor-started",
        "counted",
    ]  # fmt: skip
    assert totals(read_events(answer, 7)) == [3]
    with pytest.raises(ActorStopped, match="because a test"):
        read_events(answer, 5)


@virtual_time
async def test_somebody_stops_an_actor_and_starts_it() -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add())
    assert [event.event_type for event in await host.stop("counter/a")] == ["actor-stopped"]
    assert await host.stop("counter/a") == []  # it is so already
    successor = await Hosting.begin(host.store)
    with pytest.raises(ActorStopped, match="counter/a was stopped, because a test"):
        await successor.ask("counter/a", Add())
    assert versions(await successor.start("counter/a")) == [3]
    assert await successor.start("counter/a") == []
    assert versions(await successor.ask("counter/a", Add())) == [4]


@virtual_time
async def test_a_start_takes_effect_once_whatever_comes_after_it() -> None:
    host = await Hosting.begin()
    await host.stop("counter/a")
    start = command("counter/a", START, data=_WHY)
    first = read_events(await host.deliver(start), 0)
    await host.stop("counter/a")
    successor = await Hosting.begin(host.store)
    assert read_events(await successor.deliver(start), 0) == first
    with pytest.raises(ActorStopped):
        await successor.ask("counter/a", Add())


@virtual_time
async def test_a_snapshot_before_a_stop_does_not_undo_it() -> None:
    host = await Hosting.begin(strategy="stop", frequency=2)
    await host.ask("counter/a", Add(times=2))
    with pytest.raises(HandlerFailed):
        await host.ask("counter/a", Break())
    await settled()
    assert (await host.store.load_snapshots([aggregate_key_of("counter/a")])) != {}
    successor = await Hosting.begin(host.store, frequency=2)
    with pytest.raises(ActorStopped):
        await successor.ask("counter/a", Add())
    await successor.start("counter/a")
    await successor.ask("counter/a", Add(times=2))
    await settled()
    third = await Hosting.begin(host.store)
    assert await third.total("counter/a") == 4


@virtual_time
async def test_a_stop_that_is_undone_is_decided_again_with_its_command() -> None:
    host = await Hosting.begin(strategy="stop")
    await host.ask("counter/a", Add())
    await intrude(host, "counter/a", 2)
    answer = await host.deliver(
        command("counter/a", Add()), command("counter/a", Break()), command("counter/a", Add())
    )
    assert versions(read_events(answer, 0)) == [3]
    with pytest.raises(HandlerFailed):
        read_events(answer, 1)
    with pytest.raises(ActorStopped):
        read_events(answer, 2)
    assert await types(host, "counter/a") == ["counted"] * 3 + ["actor-stopped"]


@virtual_time
async def test_whoever_was_stopped_for_something_that_is_undone_is_not_stopped() -> None:
    host = await Hosting.begin(strategy="stop")
    await host.ask("counter/a", Add())
    way = host.way

    async def away(append: Any) -> Any:
        raise StoreUnavailable("the store", "is away")

    host.way = away  # type: ignore[method-assign]
    batch = host.send(command("counter/a", Break()))
    assert unpack_answer(await batch.answer).turned_away is not None
    host.way = way  # type: ignore[method-assign]
    host.begin_generation()
    assert versions(await host.ask("counter/a", Add())) == [2]


@virtual_time
async def test_what_is_no_reason_is_no_stop() -> None:
    host = await Hosting.begin()
    answer = await host.deliver(
        command("counter/a", STOP), command("counter/a", STOP, data={"reason": 1}),
        command("counter/a", STOP, data={"reason": "a\0b"}),
    )  # fmt: skip
    for index in (0, 1):
        with pytest.raises(InvalidMessage, match="its data is a reason"):
            read_events(answer, index)
    assert read_events(answer, 2)[0].data["reason"] == "a\\0b"


@virtual_time
async def test_nobody_publishes_that_an_actor_was_stopped() -> None:
    host = await Hosting.begin()
    for event_type in ("actor-stopped", "actor-started", "actor-failed"):
        data: dict[str, Any] = {
            "event_type": event_type, "kind": "system", "data": b"{}", "metadata": {}, "clock": {},
        }  # fmt: skip
        answer = await host.deliver(command("feed/a", PUBLISH, data=data))
        with pytest.raises(PublishRefused, match="its host alone says"):
            read_events(answer, 0)


class Gauge(Counter):
    """Of a type that a later host does not know."""

    actor_type = "gauge"


@virtual_time
async def test_nothing_is_published_for_one_that_is_stopped_whose_class_nobody_knows() -> None:
    host = await Hosting.begin(strategy="stop")
    host.types.register(Gauge)
    with pytest.raises(HandlerFailed):
        await host.ask("gauge/a", Break())
    successor = await Hosting.begin(host.store, strategy="stop")
    data: dict[str, Any] = {
        "event_type": "seen", "kind": "device", "data": b"{}", "metadata": {}, "clock": {},
    }  # fmt: skip
    answer = await successor.deliver(command("gauge/a", PUBLISH, data=data))
    with pytest.raises(PublishRefused, match="by its actor alone"):
        read_events(answer, 0)
    assert await types(successor, "gauge/a") == ["actor-stopped"]

"""A class that is registered anew takes over at once, and no decision mixes old and new."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.errors import InvalidActor
from actors.event import DeviceEvent, Payload
from runtime.errors import HandlerFailed, UnknownMessage
from runtime.wire.answers import read_events, unpack_state
from runtime.wire.commands import STATE, unpack_answer
from store.event_store import Load
from tests.unit.hosting import Add, Counter, Hosting, command, intrude, versions
from tests.unit.writing import CuedStore
from tests.virtual_time import settled, virtual_time


class Report(Command):
    celsius: float


class Forget(Command):
    """The later class alone handles this."""


class Reported(DeviceEvent):
    celsius: float
    by: str


class State(BaseModel):
    celsius: float = 0.0
    applied_by: str = ""


def meter(by: str, *, forgets: bool = False) -> type[Actor[Any]]:
    """A class of meters whose decisions and states tell which class they are from."""

    class Meter(Actor[State]):
        actor_type = "meter"

        @handles
        def report(self, message: Report) -> Iterator[Payload]:
            assert self.state.applied_by in ("", by), "the state is another class's"
            yield Reported(celsius=message.celsius, by=by)

        @applies
        def reported(self, event: Reported) -> None:
            self.state.celsius, self.state.applied_by = event.celsius, by

    if not forgets:
        return Meter

    class Forgetful(Meter):
        actor_type = "meter"

        @handles
        def forget(self, message: Forget) -> Iterator[Payload]:
            yield Reported(celsius=0.0, by=by)

    return Forgetful


def who(answer: Any, index: int = 0) -> list[str]:
    """Which class decided."""
    return [event.data["by"] for event in read_events(answer, index)]


@virtual_time
async def test_a_class_takes_over_although_the_host_never_settles() -> None:
    host = await Hosting.begin()
    host.register(meter("old"))
    await host.deliver(command("meter/a", Report(celsius=1)))
    host.store.open.clear()
    first = host.send(command("meter/a", Report(celsius=2)))
    await settled()
    host.register(meter("new", forgets=True))
    later = [host.send(command("meter/a", Report(celsius=3)), command("meter/a", Forget()))]
    later.append(host.send(command("meter/a", STATE)))
    await settled()
    host.store.open.set()
    assert who(unpack_answer(await first.answer)) == ["old"]
    answers = [unpack_answer(await batch.answer) for batch in later]
    assert who(answers[0]) + who(answers[0], 1) == ["new", "new"]
    assert versions(await host.log("meter/a")) == [1, 2, 3, 4]
    assert unpack_state(answers[1]) == {
        "version": 4, "state": {"celsius": 0.0, "applied_by": "new"},
    }  # fmt: skip


class SlowStore(CuedStore):
    """Loads only when it is let to."""

    def __init__(self) -> None:
        super().__init__()
        self.loading = asyncio.Event()
        self.loading.set()

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> Load:
        await self.loading.wait()
        return await super().load_rows(after_versions)


@virtual_time
async def test_a_load_under_way_does_not_bring_the_old_class_back() -> None:
    store = SlowStore()
    host = await Hosting.begin(store)
    host.register(meter("old"))
    store.loading.clear()
    batch = host.send(command("meter/a", Report(celsius=1)))
    await settled()
    host.register(meter("new"))
    store.loading.set()
    assert who(unpack_answer(await batch.answer)) == ["new"]


@virtual_time
async def test_a_class_that_was_unknown_when_its_actor_was_loaded_is_known_from_then_on() -> None:
    host = await Hosting.begin()
    answer = await host.deliver(command("meter/a", Report(celsius=1)))
    assert 0 in answer.errors
    host.register(meter("new"))
    assert who(await host.deliver(command("meter/a", Report(celsius=1)))) == ["new"]


@virtual_time
async def test_the_same_class_again_drops_nothing() -> None:
    host = await Hosting.begin()
    known = meter("old")
    host.register(known)
    await host.deliver(command("meter/a", Report(celsius=1)))
    before = host.residents.get("meter/a")
    host.register(known)
    await host.deliver(command("meter/a", Report(celsius=2)))
    assert host.residents.get("meter/a") is before


@virtual_time
async def test_actors_of_other_types_stay_in_memory() -> None:
    host = await Hosting.begin()
    host.register(meter("old"))
    await host.deliver(command("meter/a", Report(celsius=1)), command("counter/a", Add()))
    before = host.residents.get("counter/a")
    host.register(meter("new"))
    await host.deliver(command("meter/a", Report(celsius=1)), command("counter/a", Add()))
    assert host.residents.get("counter/a") is before
    assert versions(await host.log("counter/a")) == [1, 2]


@virtual_time
async def test_an_actor_that_was_broken_is_rebuilt_with_a_class_that_mends_it() -> None:
    class Mended(Counter):
        actor_type = "counter"

        @applies
        def spoilt(self, event: Any) -> None: ...

    Mended.spoilt.__annotations__["event"] = Counter.spoilt.__annotations__["event"]
    host = await Hosting.begin()
    await intrude(host, "counter/a", 1, event_type="spoilt")
    with pytest.raises(HandlerFailed):
        await host.ask("counter/a", Add())
    host.register(Mended)
    assert versions(await host.ask("counter/a", Add())) == [2]


@virtual_time
async def test_an_actor_with_an_event_that_its_class_does_not_know_decides_nothing() -> None:
    host = await Hosting.begin()
    await intrude(host, "counter/a", 1, event_type="counted-down")
    with pytest.raises(HandlerFailed, match="its event 1 is a 'counted-down', which nothing app"):
        await host.ask("counter/a", Add())

    class Mended(Counter):
        actor_type = "counter"
        ignores = ("counted-down",)

    host.register(Mended)
    assert versions(await host.ask("counter/a", Add())) == [2]


@virtual_time
async def test_a_class_that_is_not_well_formed_changes_nothing() -> None:
    class Opaque:
        """Pydantic cannot write it."""

    class Meter(Actor[Opaque]):
        actor_type = "meter"

    host = await Hosting.begin()
    host.register(meter("old"))
    with pytest.raises(InvalidActor):
        host.register(Meter)
    assert who(await host.deliver(command("meter/a", Report(celsius=1)))) == ["old"]
    with pytest.raises(UnknownMessage):
        read_events(await host.deliver(command("meter/a", Forget())), 0)


@virtual_time
async def test_nothing_is_kept_of_a_class_that_was_replaced() -> None:
    host = await Hosting.begin()
    for number in range(20):
        host.register(meter(str(number)))
        await host.deliver(command("meter/a", Report(celsius=1)))
    assert len(host.decider._by_actor) == 1

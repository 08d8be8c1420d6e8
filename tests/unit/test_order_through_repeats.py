"""What a driver sends again stays in the order in which it was sent first."""

from collections.abc import Iterator, Sequence

import pytest
from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.errors import Rejected
from actors.event import DeviceEvent, Payload
from runtime.errors import HandlerFailed
from runtime.wire.answers import read_events
from runtime.wire.commands import unpack_answer
from store.appends import Acknowledged, Append
from store.event_store import Found
from tests.unit.hosting import Add, Hosting, command
from tests.unit.writing import GONE, CuedStore
from tests.virtual_time import settled, virtual_time


class Switch(Command):
    """Turn on."""


class SwitchedOn(DeviceEvent):
    pass


class Use(Command):
    """Only where it is on."""


class UseIfOn(Command):
    """Where it is off, there is nothing to do."""


class UseOrFail(Command):
    """Where it is off, its handler fails."""


class Used(DeviceEvent):
    pass


class SwitchState(BaseModel):
    on: bool = False


class Lamp(Actor[SwitchState]):
    ignores = (Used,)

    @handles
    def switch(self, message: Switch) -> Iterator[Payload]:
        yield SwitchedOn()

    @handles
    def use(self, message: Use) -> Iterator[Payload]:
        if not self.state.on:
            raise Rejected("it is off")
        yield Used()

    @handles
    def use_if_on(self, message: UseIfOn) -> Iterator[Payload]:
        if self.state.on:
            yield Used()

    @handles
    def use_or_fail(self, message: UseOrFail) -> Iterator[Payload]:
        if not self.state.on:
            raise RuntimeError("it is off")
        yield Used()

    @applies
    def switched_on(self, event: SwitchedOn) -> None:
        self.state.on = True


class ForgetfulStore(CuedStore):
    """Looking for the rows of repeats fails once."""

    failing = False

    async def find_rows(self, event_ids: Sequence[bytes]) -> Found:
        if self.failing:
            self.failing = False
            raise GONE
        return await super().find_rows(event_ids)


@virtual_time
async def test_of_a_batch_that_is_turned_away_nothing_that_follows_it_is_done_before_it() -> None:
    """Its answer could not be put together, because the database was away when the rows of a
    repeat were to be read; what its driver sent after it has been run. A driver of a bulk call
    sends both again, in order."""
    store = ForgetfulStore()
    host = await Hosting.begin(store)
    host.register(Lamp)
    repeat = command("counter/a", Add())
    await host.deliver(repeat)
    host = await Hosting.begin(store)  # it was restarted, and remembers nothing
    host.register(Lamp)
    store.failing = True
    use, switch = command("lamp/a", Use()), command("lamp/a", Switch())
    batches = [host.send(repeat, use), host.send(switch)]
    for batch in batches:
        assert unpack_answer(await batch.answer).turned_away is not None
    host.begin_generation()
    again = await host.deliver(repeat, use)
    await host.deliver(switch)
    with pytest.raises(Rejected):
        read_events(again, 1)


@virtual_time
async def test_what_was_rejected_stays_before_what_followed_it_when_both_are_sent_again() -> None:
    """Both were run, and their answers were lost with the connection: the channel sends both
    again, in their order. The first finds by now what the second has done."""
    host = await Hosting.begin()
    host.register(Lamp)
    use, switch = command("lamp/a", Use()), command("lamp/a", Switch())
    host.send(use), host.send(switch)
    await settled()
    host.begin_generation()
    first, second = host.send(use, again=True), host.send(switch, again=True)
    with pytest.raises(Rejected, match="it is off"):
        read_events(unpack_answer(await first.answer), 0)
    assert len(read_events(unpack_answer(await second.answer), 0)) == 1
    assert [event.event_type for event in await host.log("lamp/a")] == ["switched-on"]


@virtual_time
async def test_what_had_nothing_to_do_or_failed_stays_before_what_followed_it_too() -> None:
    host = await Hosting.begin()
    host.register(Lamp)
    early = [command("lamp/a", UseIfOn()), command("lamp/a", UseOrFail())]
    switch = command("lamp/a", Switch())
    await host.deliver(*early)
    await host.deliver(switch)
    host.begin_generation()
    answer = unpack_answer(await host.send(*early, switch, again=True).answer)
    assert read_events(answer, 0) == []
    with pytest.raises(HandlerFailed, match="it is off"):
        read_events(answer, 1)
    assert len(read_events(answer, 2)) == 1
    assert [event.event_type for event in await host.log("lamp/a")] == ["switched-on"]


@virtual_time
async def test_a_caller_s_own_repeat_of_what_was_rejected_is_decided_anew() -> None:
    host = await Hosting.begin()
    host.register(Lamp)
    use = command("lamp/a", Use())
    await host.deliver(use)
    await host.deliver(command("lamp/a", Switch()))
    assert len(read_events(await host.deliver(use), 0)) == 1


@virtual_time
async def test_what_was_rejected_by_an_attempt_that_is_undone_is_decided_anew() -> None:
    """The database is away: the batch is turned away, and nothing of it was decided."""
    host = await Hosting.begin()
    host.register(Lamp)
    use, to_the_writer = command("lamp/a", Use()), host.way

    async def away(append: Append) -> Acknowledged:
        raise GONE

    host.way = away  # type: ignore[method-assign]
    batch = host.send(command("counter/a", Add()), use)
    assert unpack_answer(await batch.answer).turned_away is not None
    host.way = to_the_writer  # type: ignore[method-assign]
    host.begin_generation()
    await host.deliver(command("lamp/a", Switch()))
    answer = unpack_answer(await host.send(use, again=True).answer)
    assert len(read_events(answer, 0)) == 1

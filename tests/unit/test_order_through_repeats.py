"""What a driver sends again stays in the order in which it was sent first."""

from collections.abc import Iterator, Sequence

import pytest
from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.errors import Rejected
from actors.event import DeviceEvent, Payload
from runtime.wire.answers import read_events
from runtime.wire.commands import unpack_answer
from store.event_store import Found
from tests.unit.hosting import Add, Hosting, command
from tests.unit.writing import GONE, CuedStore
from tests.virtual_time import virtual_time


class Switch(Command):
    """Turn on."""


class SwitchedOn(DeviceEvent):
    pass


class Use(Command):
    """Only where it is on."""


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

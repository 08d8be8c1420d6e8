"""What a driver sends again stays in the order in which it was sent first."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.errors import Rejected
from actors.event import DeviceEvent, Payload
from runtime.errors import HandlerFailed
from runtime.partition.writer_link import WriterAway
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


def lose(host: Hosting, error: Exception, *, appends: int, commits: bool = True) -> None:
    """Of so many appends the writer's answers are lost, once all have committed, or none does."""
    to_the_writer, left, all_done = host.way, [appends, appends], asyncio.Event()

    async def unheard(append: Append) -> Acknowledged:
        if not left[0]:
            return await to_the_writer(append)
        left[0] -= 1
        if commits:
            await to_the_writer(append)
        left[1] -= 1
        if not left[1]:
            all_done.set()
        await all_done.wait()
        raise error

    host.way = unheard  # type: ignore[method-assign]


@virtual_time
async def test_what_was_in_vain_stays_before_what_is_in_a_commit_that_nobody_heard_of() -> None:
    """The batch is run again, on a state of the log that has what the second of them did."""
    host = await Hosting.begin()
    host.register(Lamp)
    early = [command("lamp/a", each) for each in (Use(), UseIfOn(), UseOrFail())]
    lose(host, WriterAway("no answer"), appends=1)
    answer = await host.deliver(*early, command("lamp/a", Switch()))
    with pytest.raises(Rejected, match="it is off"):
        read_events(answer, 0)
    assert read_events(answer, 1) == []
    with pytest.raises(HandlerFailed, match="it is off"):
        read_events(answer, 2)
    assert len(read_events(answer, 3)) == 1
    assert [event.event_type for event in await host.log("lamp/a")] == ["switched-on"]
    assert not host.recent.open


@virtual_time
async def test_so_it_does_where_both_are_in_batches_of_their_own_behind_the_lost_one() -> None:
    host = await Hosting.begin()
    host.register(Lamp)
    await host.ask("counter/a", Add())  # the first append of a generation travels alone
    lose(host, WriterAway("no answer"), appends=2)
    batches = [
        host.send(command(source, message))
        for source, message in [("counter/a", Add()), ("lamp/a", Use()), ("lamp/a", Switch())]
    ]
    _, use, _ = [unpack_answer(await batch.answer) for batch in batches]
    with pytest.raises(Rejected, match="it is off"):
        read_events(use, 0)
    assert [event.event_type for event in await host.log("lamp/a")] == ["switched-on"]


@virtual_time
async def test_so_it_does_where_the_batch_was_turned_away_and_is_sent_again() -> None:
    host = await Hosting.begin()
    host.register(Lamp)
    lose(host, GONE, appends=1)
    sent = [command("lamp/a", Use()), command("lamp/a", Switch())]
    assert unpack_answer(await host.send(*sent).answer).turned_away is not None
    host.begin_generation()
    answer = unpack_answer(await host.send(*sent, again=True).answer)
    with pytest.raises(Rejected, match="it is off"):
        read_events(answer, 0)
    assert [event.event_type for event in await host.log("lamp/a")] == ["switched-on"]


@virtual_time
async def test_what_was_in_vain_before_an_append_that_is_not_in_the_log_is_decided_anew() -> None:
    """Another driver's command, which it was rejected because of, is turned away meanwhile."""
    host = await Hosting.begin()
    host.register(Lamp)
    lose(host, GONE, appends=1, commits=False)
    sent = [command("lamp/a", Use()), command("lamp/a", Switch())]
    assert unpack_answer(await host.send(*sent).answer).turned_away is not None
    host.begin_generation()
    await host.deliver(command("lamp/a", Switch()))
    host.begin_generation()
    answer = unpack_answer(await host.send(*sent, again=True).answer)
    assert len(read_events(answer, 0)) == 1
    events = [event.event_type for event in await host.log("lamp/a")]
    assert events == ["switched-on", "used", "switched-on"]

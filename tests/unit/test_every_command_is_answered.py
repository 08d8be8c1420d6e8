"""Whatever a command makes its host raise, it is answered, and so are its neighbours."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from actors.actor import Actor, Command, applies, handles
from actors.errors import Rejected
from actors.event import DeviceEvent, Payload
from actors.naming import aggregate_id_of
from runtime.errors import (
    HandlerFailed,
    HostFailed,
    InvalidMessage,
    InvalidState,
    PublishRefused,
)
from runtime.host.batch import Batch
from runtime.wire.answers import read_events, unpack_state
from runtime.wire.commands import PUBLISH, STATE, unpack_answer
from store.appends import Acknowledged, Append
from store.errors import InvalidData
from store.event_store import Found, Load
from tests.unit.hosting import Add, AddOnce, Hosting, command, versions
from tests.unit.writing import CuedStore
from tests.virtual_time import settled, virtual_time


class Jammed(Rejected):
    """A rejection with a fact beside its reason."""

    def __init__(self, door: str) -> None:
        super().__init__(f"{door} is jammed")
        self.door = door


class Mute(Exception):
    """Cannot be asked what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no")


class Panic(BaseException):
    """What extensions in Rust raise where they fail: it is no Exception."""


RAISED: dict[str, BaseException] = {
    "error": Rejected(ValueError()),  # type: ignore[arg-type]
    "nothing": Rejected(None),  # type: ignore[arg-type]
    "subclass": Jammed("front"),
    "mute": Mute(),
    "odd": RuntimeError(object(), {1: {2}}),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "cancelled": asyncio.CancelledError(),
    "panic": Panic("index out of bounds"),
}


class Raise(Command):
    what: str


class Lock(Command):
    """Nothing to do with the door's state."""


class Fill(Command):
    """Put into the state what has no JSON."""


class Locked(DeviceEvent):
    """One more turn of the key."""


class Filled(DeviceEvent):
    """The state has no JSON from now on."""


class DoorState(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    turns: int = 0
    notes: Any = None


class Door(Actor[DoorState]):
    @handles
    def raise_it(self, message: Raise) -> Iterator[Payload]:
        yield Locked()
        raise RAISED[message.what]

    @handles
    def lock(self, message: Lock) -> Iterator[Payload]:
        yield Locked()

    @handles
    def fill(self, message: Fill) -> Iterator[Payload]:
        yield Filled()

    @applies
    def locked(self, event: Locked) -> None:
        self.state.turns += 1

    @applies
    def filled(self, event: Filled) -> None:
        self.state.notes = b"\xff\xfe"


async def host_with_doors(**settings: Any) -> Hosting:
    host = await Hosting.begin(**settings)
    host.register(Door)
    return host


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("strategy", ["restart", "resume", "stop"])
@virtual_time
async def test_whatever_a_handler_raises_is_answered_and_hurts_no_neighbour(
    what: str, strategy: str
) -> None:
    host = await host_with_doors(strategy=strategy)
    batch = host.send(
        command("counter/a", Add()),
        command("door/a", Raise(what=what)),
        command("counter/a", Add()),
    )
    later = host.send(command("counter/a", Add()))
    answer = unpack_answer(await batch.answer)
    with pytest.raises((Rejected, HandlerFailed)):
        read_events(answer, 1)
    events = read_events(answer, 0) + read_events(answer, 2)
    events += read_events(unpack_answer(await later.answer), 0)
    assert versions(events) == [1, 2, 3]
    await settled()
    assert host.mailbox.unanswered == 0
    assert not host.running.done()


@virtual_time
async def test_a_subclass_of_rejected_arrives_as_a_rejection_of_its_class() -> None:
    host = await host_with_doors()
    with pytest.raises(Jammed, match="front is jammed") as caught:
        await host.ask("door/a", Raise(what="subclass"))
    assert caught.value.door == "front"


@virtual_time
async def test_a_state_without_json_costs_its_own_snapshot_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = await host_with_doors(frequency=1)
    answer = await host.deliver(
        command("counter/a", Add()), command("door/a", Fill()), command("door/b", Lock())
    )
    assert not answer.errors
    await settled()
    saved = [
        await host.store.load_snapshot(aggregate_id_of(source)) is not None
        for source in ("counter/a", "door/a", "door/b")
    ]
    assert saved == [True, False, True]
    assert "door/a: no snapshot" in caplog.text
    assert versions(await host.ask("door/a", Lock())) == [2]
    successor = await host_with_doors(store=host.store)
    assert versions(await successor.ask("door/a", Lock())) == [3]


@virtual_time
async def test_a_look_at_a_state_without_json_is_told_so_alone() -> None:
    host = await host_with_doors()
    answer = await host.deliver(
        command("door/a", Fill()),
        command("door/a", STATE),
        command("door/b", STATE),
        command("counter/a", Add()),
    )
    with pytest.raises(InvalidState, match="the state of door/a cannot be written as JSON"):
        read_events(answer, 1)
    assert unpack_state(answer, 2) == {"version": 0, "state": {"turns": 0, "notes": None}}
    assert versions(read_events(answer, 0) + read_events(answer, 3)) == [1, 1]


class Fragile(Actor[DoorState]):
    """Cannot even be made under one of its names."""

    ignores = (Locked,)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        if name == "cracked":
            raise RuntimeError("cracked")

    @handles
    def lock(self, message: Lock) -> Iterator[Payload]:
        yield Locked()


@virtual_time
async def test_an_actor_that_cannot_be_made_says_why_and_stops_nobody_else() -> None:
    host = await Hosting.begin()
    host.register(Fragile)
    answer = await host.deliver(
        command("fragile/cracked", Lock()), command("fragile/whole", Lock())
    )
    with pytest.raises(HandlerFailed, match="it cannot be made: RuntimeError: cracked"):
        read_events(answer, 0)
    assert versions(read_events(answer, 1)) == [1]


class PoisonedStore(CuedStore):
    """Cannot give back the events of one actor, for a reason nobody has thought of."""

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> Load:
        if aggregate_id_of("counter/poisoned").bytes in after_versions:
            raise KeyError("poison")
        return await super().load_rows(after_versions)


@virtual_time
async def test_what_fails_unforeseen_costs_its_own_command_an_answer_and_no_other() -> None:
    host = await Hosting.begin(PoisonedStore())
    names = ["a", "poisoned", "b", "a", "poisoned"]
    batch = host.send(*(command(f"counter/{name}", Add()) for name in names))
    later = host.send(command("counter/a", Add()))
    answer = unpack_answer(await batch.answer)
    for index in (1, 4):
        with pytest.raises(HostFailed, match="KeyError: 'poison'"):
            read_events(answer, index)
    events = [event for index in (0, 3) for event in read_events(answer, index)]
    events += read_events(unpack_answer(await later.answer), 0)
    assert versions(events) == [1, 2, 3]
    assert versions(read_events(answer, 2)) == [1]
    assert host.mailbox.unanswered == 0


@virtual_time
async def test_an_answer_that_cannot_be_put_together_is_an_answer_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = await Hosting.begin()
    sent = [command("counter/a", Add()), command("counter/a", Add())]
    outcome = Batch.outcome
    monkeypatch.setattr(Batch, "outcome", lambda *_: 1 / 0)
    batch = host.send(sent[0])
    answer = unpack_answer(await batch.answer)
    with pytest.raises(HostFailed, match="ZeroDivisionError"):
        read_events(answer, 0)
    monkeypatch.setattr(Batch, "outcome", outcome)
    assert versions(read_events(await host.deliver(sent[1]), 0)) == [2]
    assert versions(read_events(await host.deliver(sent[0]), 0)) == [1]
    assert host.mailbox.unanswered == 0


@virtual_time
async def test_an_append_that_ends_as_it_should_not_is_run_again() -> None:
    host = await Hosting.begin()

    async def once(append: Append) -> Acknowledged:
        del host.way
        await host.writing.writer.append(append)
        raise LookupError("nobody has thought of this")

    host.way = once  # type: ignore[method-assign]
    sent = command("counter/a", Add())
    [event] = read_events(await host.deliver(sent), 0)
    assert await host.log("counter/a") == [event]


@virtual_time
async def test_a_cancelled_line_of_work_is_no_failure_of_the_handler_that_ran() -> None:
    host = await Hosting.begin()

    class Ender(Actor[DoorState]):
        """Runs while its host's line of work is cancelled, as any handler may."""

        actor_type = "ender"
        ignores = (Locked,)

        @handles
        def lock(self, message: Lock) -> Iterator[Payload]:
            host.running.cancel()
            yield Locked()

    host.register(Ender)
    batch = host.send(command("ender/a", Lock()))
    await asyncio.wait({host.running})
    assert host.running.cancelled()
    await settled()
    assert read_events(unpack_answer(await batch.answer), 0) == await host.log("ender/a")


def published(source: str, **changes: Any) -> list[Any]:
    """A published event as it comes off the wire."""
    data = {"event_type": "seen", "kind": "system", "data": b"{}", "metadata": {}, "clock": {}}
    return command(source, PUBLISH, data={**data, **changes})


@virtual_time
async def test_a_published_event_that_is_refused_takes_no_version_and_no_tick() -> None:
    host = await Hosting.begin()
    answer = await host.deliver(
        published("tower/jfk"),
        published("tower/jfk", metadata={"by": "\x00"}),
        published("tower/jfk", clock=None),
        published("tower/jfk"),
    )
    with pytest.raises(InvalidData):
        read_events(answer, 1)
    with pytest.raises(PublishRefused, match="tower/jfk"):
        read_events(answer, 2)
    events = read_events(answer, 0) + read_events(answer, 3)
    assert versions(events) == [1, 2]
    assert [event.vector_clock.count("host") for event in events] == [1, 2]


@virtual_time
async def test_a_look_into_the_log_that_fails_for_an_answer_is_told_its_caller() -> None:
    store = CuedStore()
    first = await Hosting.begin(store)
    sent = command("counter/a", AddOnce())
    await first.deliver(sent)
    host = await Hosting.begin(store)

    async def broken(event_ids: Sequence[bytes]) -> Found:
        raise LookupError("nobody has thought of this")

    store.find_rows = broken  # type: ignore[method-assign]
    with pytest.raises(HostFailed, match="LookupError"):
        read_events(await host.deliver(sent), 0)
    assert host.mailbox.unanswered == 0
    assert versions(await host.ask("counter/b", Add())) == [1]


class Weigh(Command):
    grams: list[int]


class Weighed(DeviceEvent):
    """All of it."""


class Scale(Actor[DoorState]):
    ignores = (Weighed,)

    @handles
    def weigh(self, message: Weigh) -> Iterator[Payload]:
        yield Weighed()


@virtual_time
async def test_of_very_many_problems_of_one_message_their_number_is_told() -> None:
    """To say what each of a million is takes seconds, in which no neighbour is answered."""
    host = await Hosting.begin()
    host.register(Scale)
    bad = command("scale/a", Weigh(grams=[]), data={"grams": ["x"] * 1_000})
    few = command("scale/a", Weigh(grams=[]), data={"grams": ["x"] * 2})
    answer = await host.deliver(bad, few)
    with pytest.raises(InvalidMessage, match=r"1,000 parts of it do not fit"):
        read_events(answer, 0)
    with pytest.raises(InvalidMessage, match=r"grams\.0: .*; grams\.1: "):
        read_events(answer, 1)

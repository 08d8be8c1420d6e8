"""A driver's connection: what it ends with, and what never ends a call."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from ray.exceptions import RayTaskError

from actors.actor import Actor, Command
from actors.errors import InvalidActor
from runtime.driver.blocking import ask_many, tell_many
from runtime.driver.bulk import Item
from runtime.driver.connection import Connection
from runtime.driver.courier import Courier
from runtime.driver.ref import ActorRef
from runtime.errors import (
    AskTimeout,
    ConnectionClosed,
    HostUnavailable,
    InvalidState,
    SystemDraining,
)
from runtime.wire.commands import Answer, Request, pack_answer
from runtime.wire.values import pack_value
from tests.unit.connecting import HOST, OwnLoop, PlayedWorld, connection, ref
from tests.unit.sending import PlayedHost
from tests.virtual_time import now_s, settled, virtual_time

#: How long a thread may take that has nothing to wait for: who takes longer, hangs.
HANGS_S = 60.0


class Ping(Command):
    """Anything at all."""

    number: int = 0


class Nothing(BaseModel):
    """A state."""


class Plain(Actor[Nothing]):
    """An actor whose class can be sent."""


class Unpicklable(Actor[Nothing]):
    """An actor whose class cannot."""

    lock = threading.Lock()


def ended(work: Callable[[], Any]) -> Any:
    """What a blocking call comes to, in a thread: its value, or its error."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(HANGS_S)
    assert outcome, "it hangs"
    return outcome[0]


@pytest.fixture
def world() -> PlayedWorld:
    return PlayedWorld()


@pytest.fixture
def threaded(world: PlayedWorld) -> Iterator[Connection]:
    """A connection with a courier's thread."""
    made = connection(world)
    yield made
    made.close()


def test_use_after_close_is_a_typed_error_at_once(threaded: Connection) -> None:
    old = ref(threaded)
    assert ended(old.ask(Ping()).result) == []
    threaded.close()
    threaded.close()  # which is harmless
    uses: list[Callable[[], Any]] = [
        lambda: old.ask(Ping()),
        lambda: old.ask(Ping()),
        lambda: old.tell(Ping()),
        old.state,
        lambda: ref(threaded, "counter/b").ask(Ping()),
        threaded.flush,
        lambda: threaded.when_closed(print),
        lambda: threaded.courier.run(asyncio.sleep(0)),
        lambda: tell_many([(old, Ping())], patience_s=9.0, progress=None),
        lambda: [one.result() for one in ask_many([(old, Ping())], patience_s=9.0, ahead=1)],
    ]
    for use in uses:
        assert isinstance(ended(use), ConnectionClosed)


def test_what_is_unanswered_fails_when_it_is_closed(
    threaded: Connection, world: PlayedWorld
) -> None:
    world.host(HOST).answering.clear()
    reply = ref(threaded).ask(Ping())
    flushed = threaded.flush()
    threaded.close()
    assert isinstance(ended(reply.result), ConnectionClosed)
    assert isinstance(ended(flushed.result), ConnectionClosed)


def test_closing_ends_the_bulk_calls_of_other_threads(
    threaded: Connection, world: PlayedWorld
) -> None:
    world.host(HOST).answering.clear()
    begun = threading.Event()

    def items() -> Iterator[Item]:
        yield ref(threaded), Ping()
        begun.set()

    outcome: list[Any] = []
    tellers = threading.Thread(
        target=lambda: outcome.append(
            ended(lambda: tell_many(items(), patience_s=1000.0, progress=None))
        )
    )
    tellers.start()
    assert begun.wait(HANGS_S)
    threaded.close()
    tellers.join(HANGS_S)
    assert [type(one) for one in outcome] == [ConnectionClosed]


def test_progress_that_raises_ends_a_blocking_bulk_call(threaded: Connection) -> None:
    def progress(_: object) -> None:
        raise RuntimeError("progress")

    items = [(ref(threaded), Ping())]
    outcome = ended(lambda: tell_many(items, patience_s=9.0, progress=progress))
    assert isinstance(outcome, RuntimeError)


def test_asks_of_several_threads_are_all_answered(threaded: Connection) -> None:
    def ask() -> list[Any]:
        return [ref(threaded, f"counter/{n}").ask(Ping()).result() for n in range(50)]

    outcomes: list[Any] = []
    threads = [threading.Thread(target=lambda: outcomes.append(ended(ask))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANGS_S)
    assert outcomes == [[[]] * 50] * 8


def test_without_a_timeout_a_result_takes_no_longer_than_the_system_allows(
    world: PlayedWorld,
) -> None:
    world.host(HOST).answering.clear()
    to = connection(world, timeout_s=0.1)
    assert isinstance(ended(ref(to).ask(Ping()).result), AskTimeout)
    to.close()


def test_a_result_does_not_wait_for_a_courier_that_is_stuck(
    world: PlayedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.driver.outbox.Outbox.GRACE_S", 0.1)
    to = connection(world, timeout_s=0.1)
    stuck, free = threading.Event(), threading.Event()

    def hold() -> None:
        stuck.set()
        free.wait()

    to.courier.loop.call_soon_threadsafe(hold)
    assert stuck.wait(HANGS_S)
    assert isinstance(ended(ref(to).ask(Ping()).result), AskTimeout)
    free.set()
    to.close()


def test_a_courier_that_ends_lets_its_connections_close_their_sockets() -> None:
    courier = Courier()
    turns: list[str] = []

    def last() -> None:
        courier.loop.call_soon(turns.append, "the turn after the last")
        courier.loop.stop()

    courier.loop.call_soon_threadsafe(last)
    courier.close()
    assert turns == ["the turn after the last"]


@virtual_time
async def test_whoever_wants_to_know_is_told_that_it_is_closed() -> None:
    to = connection(PlayedWorld(), OwnLoop())
    told: list[str] = []

    def failing() -> None:
        told.append("failing")
        raise RuntimeError("a listener")

    def forgotten() -> None:
        told.append("forgotten")

    to.when_closed(failing)
    to.when_closed(lambda: told.append("well"))
    to.when_closed(forgotten)
    to.no_longer(forgotten)
    assert not to.closed
    to.close()
    to.close()
    assert to.closed
    assert sorted(told) == ["failing", "well"]


@virtual_time
async def test_a_class_that_cannot_be_sent_is_an_invalid_actor_at_the_call() -> None:
    world = PlayedWorld()
    to = connection(world, OwnLoop(), unpicklable="dedicated")
    for source in ("unpicklable/a", "elsewhere/a"):  # with a host of its own, and without
        bad = ActorRef(to, Unpicklable, source)
        with pytest.raises(InvalidActor, match="cannot be sent: cannot pickle"):
            bad.ask(Ping())
        assert await ref(to, source).ask(Ping()) == []  # the same host, without the class


@virtual_time
async def test_a_state_that_does_not_fit_the_class_here_is_a_typed_error() -> None:
    class StateHost(PlayedHost):
        """Shows the state of another class."""

        def answer(self, request: Request) -> bytes:
            if not request.commands:
                return super().answer(request)
            values = {0: pack_value({"version": 1, "state": ["something", "else"]})}
            return pack_answer(Answer({}, 0, set(), 0, 0, [], [], b"", {}, values, {}))

    to = connection(PlayedWorld(StateHost), OwnLoop())
    with pytest.raises(InvalidState, match="the state of plain/a does not fit the class here"):
        await ActorRef(to, Plain, "plain/a").state()
    assert await ref(to, "plain/a").state() == ["something", "else"]


@virtual_time
async def test_an_error_that_the_directory_raised_arrives_as_it_was() -> None:
    to = connection(PlayedWorld(), OwnLoop())

    async def draining() -> None:
        cause = SystemDraining("here")
        raise RayTaskError("stop", "a traceback", cause).as_instanceof_cause()

    async def of_a_worker() -> None:
        cause = RayTaskError("run", "a traceback", SystemDraining("here")).as_instanceof_cause()
        raise RayTaskError("run_program", "a traceback", cause).as_instanceof_cause()

    async def broken() -> None:
        raise RayTaskError("stop", "a traceback", KeyError("x")).as_instanceof_cause()

    for raises in (draining, of_a_worker):
        with pytest.raises(SystemDraining) as raised:
            await to.errand("status", raises)
        assert type(raised.value) is SystemDraining
    with pytest.raises(HostUnavailable):
        await to.errand("status", broken)


@virtual_time
async def test_a_dedicated_host_is_started_with_the_class_of_its_actor() -> None:
    world = PlayedWorld()
    to = connection(world, OwnLoop(), plain="dedicated")
    assert await ActorRef(to, Plain, "plain/a").ask(Ping()) == []
    ((source, shipped),) = world.located
    assert (source, bool(shipped)) == ("plain/a", True)


@virtual_time
async def test_a_dedicated_host_that_never_starts_ends_its_asks_and_nobody_elses() -> None:
    world = PlayedWorld()
    never = asyncio.Event()

    async def locating() -> None:
        await never.wait()

    world.locating = locating
    to = connection(world, OwnLoop(), plain="dedicated", timeout_s=20.0)
    hangs = ActorRef(to, Plain, "plain/a").ask(Ping())
    assert await ref(to).ask(Ping()) == []
    with pytest.raises(AskTimeout):
        await hangs
    assert now_s() == 20.0


@virtual_time
async def test_flush_waits_for_what_was_told_and_returns_what_failed() -> None:
    world = PlayedWorld()
    to = connection(world, OwnLoop())
    ref(to).tell(Ping())
    assert await to.flush() == []
    world.host(HOST).losing = 10**6
    ref(to).tell(Ping(number=1))
    ((source, error),) = await to.flush()
    assert (source, type(error)) == ("counter/a", HostUnavailable)
    assert await to.flush() == []


@virtual_time
async def test_an_errand_ends_with_its_value_a_typed_error_or_its_limit() -> None:
    to = connection(PlayedWorld(), OwnLoop())

    async def failing() -> None:
        raise ConnectionResetError

    async def work() -> int:
        return 7

    assert await to.errand("status", work) == 7
    with pytest.raises(HostUnavailable, match="directory"):
        await to.errand("status", failing)
    with pytest.raises(AskTimeout, match="status"):
        await to.errand("status", asyncio.Event().wait, 30.0)
    assert now_s() == 30.0
    last = to.last_errand("drain", work)
    assert await last == 7
    await settled()
    assert to.closed


def test_a_reply_can_be_waited_for_without_an_end(world: PlayedWorld) -> None:
    to = connection(world)
    world.host(HOST).answering.clear()
    reply = ref(to).ask(Ping())
    to.courier.loop.call_soon_threadsafe(world.host(HOST).answering.set)
    assert reply.result(timeout_s=float("inf")) == []
    to.close()

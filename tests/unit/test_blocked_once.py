"""What is known to block is not run again, whatever would run it; and if it is, there is an end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator, model_serializer

from actors.actor import Actor, Command, applies, handles
from actors.errors import InvalidActor
from actors.event import DeviceEvent, Payload
from actors.supervision import RestartPolicy, Supervision
from actors.timer_events import TimerFired, TimerSkipped
from actors.timers import Schedule
from runtime.errors import HandlerBlocked, HandlerFailed, PublishRefused
from runtime.host import decision
from runtime.host.at_hand import hook_of
from runtime.host.blocked import Blocked
from runtime.host.lifecycle import write_rest
from runtime.host.past_events import check_history
from runtime.host.publishing import publish_row
from runtime.process.notes import Notes
from runtime.wire.answers import read_events
from runtime.wire.commands import ERASE, Answer
from runtime.wire.error_codec import decode_error
from store.erasures import Erasure
from tests.unit.hosting import Add, Hosting, command, totals, versions
from tests.unit.test_every_command_is_answered import published
from tests.unit.test_timers_in_a_host import fire, types

SECOND = 1_000_000
#: Where it blocks; empty: nowhere.
WHERE: list[str] = []
#: What has run that was to block.
RUNS: list[str] = []
HOSTS: list[Hosting] = []


class Push(Command):
    """One more."""


class Wind(Command):
    """Have a Push come every second."""

    missed: str = "once"


class Pushed(DeviceEvent):
    n: int = 1


class Read(Pushed):
    """Blocks, or ends its process, where it is read."""

    event_type = "pushed"

    @field_validator("n")
    @classmethod
    def valid(cls, n: int) -> int:
        block("reading")
        if "exit" in WHERE:
            raise SystemExit
        return n


def block(where: str) -> None:
    """Block, if it is here, until it is interrupted, at once; a test that would never end ends."""
    if where not in WHERE:
        return
    RUNS.append(where)
    work = HOSTS[0].decider.work
    assert work.at is not None
    assert len(RUNS) < 9
    work.interrupt(work.at, work.blocked.add(work.at, "it took longer than 0.5 s").error())
    while True:
        pass


class Bell(Actor[dict[str, int]]):
    """Blocks where it is told to; it has something to do for each timer."""

    actor_type = "bell"
    state_type = dict
    supervision = Supervision(strategy="resume")

    @handles
    def wind(self, message: Wind) -> Iterator[Payload | Schedule]:
        missed: Any = message.missed
        yield Schedule(after=1.0, every=1.0, key="k", message=Push(), missed=missed)

    @handles
    def push(self, message: Push) -> Iterator[Payload]:
        block("handler")
        yield Pushed()

    @applies
    def pushed(self, event: Pushed) -> None:
        block("applier")
        self.state["pushed"] = self.state.get("pushed", 0) + 1

    @applies
    def fired(self, event: TimerFired) -> None:
        block("fired")
        self.state["fired"] = self.state.get("fired", 0) + 1

    @applies
    def skipped(self, event: TimerSkipped) -> None:
        block("skipped")


class Pack(Actor[dict[str, int]]):
    """Stops all of its group when one of them fails."""

    actor_type = "pack"
    state_type = dict
    ignores = (Pushed,)
    supervision = Supervision(strategy="stop", scope="all-for-one")

    @handles
    def push(self, message: Push) -> Iterator[Payload]:
        yield Pushed()
        if self.name == "a":
            raise RuntimeError("it is stuck")


class Lid(Bell):
    """May be restarted once."""

    actor_type = "lid"
    supervision = Supervision(policy=RestartPolicy(intensity=1, period_s=60.0))


@pytest.fixture(autouse=True)
def _nothing_blocks() -> None:
    for each in (WHERE, RUNS, HOSTS):
        each.clear()


async def begun() -> Hosting:
    host = await Hosting.begin()
    host.register(Bell)
    host.register(Pack)
    host.register(Lid)
    HOSTS.append(host)
    return host


def error_of(answer: Answer, index: int = 0) -> Exception:
    return decode_error(answer.errors[index])


async def test_an_actor_that_was_erased_and_is_not_rebuilt_stays_so_whatever_the_log_has() -> None:
    host = await begun()
    await host.deliver(command("bell/a", Push()))
    await host.deliver(command("bell/a", ERASE, data={"reason": "asked for"}))
    await host.store.erase(Erasure.of("bell/a"), -1)
    await host.start("bell/a")
    await host.deliver(command("bell/a", Push()))
    host.residents.drop(["bell/a"])
    WHERE.append("applier")
    answer = await host.deliver(command("bell/a", Push()), command("counter/a", Add()))
    again = await host.deliver(command("bell/a", Push()))
    assert RUNS == ["applier"]
    for each in (answer, again):
        assert isinstance(error_of(each), HandlerFailed)
        assert "it is not rebuilt: it took longer than 0.5 s" in str(error_of(each))
    assert totals(await host.log("counter/a")) == [1]


@pytest.mark.parametrize(
    ("where", "missed", "fires", "then"),
    [
        ("fired", "once", "timer-fired", "it is not rebuilt"),
        ("handler", "once", "timer-fired", ""),
        ("skipped", "skip", "timer-skipped", "it is not rebuilt"),
    ],
)
async def test_a_timer_at_whose_event_an_actor_blocks_has_fired_all_the_same(
    where: str, missed: str, fires: str, then: str
) -> None:
    host = await begun()
    [set_] = read_events(await host.deliver(command("bell/a", Wind(missed=missed))), 0)
    host.now_us += 3 * SECOND + SECOND // 2
    WHERE.append(where)
    await fire(host, set_)
    assert len(RUNS) == 1
    last = (await host.log("bell/a"))[-1]
    assert last.event_type == fires
    assert last.data.get("error") in ("HandlerBlocked", None)
    # What the actor itself makes of that event it is to know before it decides again.
    WHERE[:] = ["fired"] if where == "handler" else WHERE
    answer = await host.deliver(command("bell/a", Push()), command("counter/a", Add()))
    if then:
        assert then in str(error_of(answer))
    assert RUNS[1:] == [WHERE[0]]  # once, as it is rebuilt
    assert versions(read_events(answer, 1)) == [1]


async def test_after_a_timer_that_was_not_run_an_actor_has_the_state_that_its_log_gives() -> None:
    host = await begun()
    [set_] = read_events(await host.deliver(command("bell/a", Wind())), 0)
    host.now_us += SECOND
    WHERE.append("handler")
    await fire(host, set_)
    WHERE.clear()
    assert types(read_events(await host.deliver(command("bell/a", Push())), 0)) == ["pushed"]
    resident = host.residents.get("bell/a")
    assert resident is not None
    assert resident.actor.state == {"fired": 1, "pushed": 1}


async def test_a_publication_at_which_its_host_blocks_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = await begun()

    def blocking(*arguments: Any) -> Any:
        block("encoding")
        return publish_row(*arguments)

    monkeypatch.setattr(decision, "publish_row", blocking)
    WHERE.append("encoding")
    answer = await host.deliver(published("sensor/7"), command("counter/a", Add()))
    assert RUNS == ["encoding"]
    assert isinstance(error_of(answer), PublishRefused)
    assert "it took longer than 0.5 s" in str(error_of(answer))
    assert versions(read_events(answer, 1)) == [1]


async def test_what_blocks_although_it_was_noted_is_answered_so_and_its_neighbours_are_run() -> (
    None
):
    host = await begun()
    blocked = host.decider.work.blocked
    blocked._put = lambda found: None  # type: ignore[method-assign]  # nothing is remembered
    WHERE.append("handler")
    answer = await host.deliver(
        command("counter/a", Add()),
        command("bell/a", Push()),
        command("counter/a", Add()),
        command("bell/b", Push()),
    )
    assert len(RUNS) == 3 + 2  # the second time of any is enough to run each alone
    assert answer.errors.keys() == {1, 3}
    assert isinstance(error_of(answer, 1), HandlerBlocked)
    assert totals(await host.log("counter/a")) == [1, 2]


async def test_what_is_interrupted_meanwhile_is_not_taken_for_what_a_batch_blocks_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = await begun()
    work, settled = host.decider.work, host.executor.wait_settled
    monkeypatch.setattr(work.blocked, "_put", lambda found: None)  # nothing is remembered
    read: list[Any] = []

    def reading() -> None:
        at = work.at
        assert at is not None
        work.interrupt(at, work.blocked.add(at, "it took longer than 0.5 s").error())
        while True:
            pass

    async def meanwhile() -> None:
        """A class comes just then, and blocks at the past of some actor."""
        read.append(hook_of(f"bell/{len(read)}", "(reading its past)"))
        with pytest.raises(HandlerBlocked):
            work.run(read[-1], reading)
        await settled()

    monkeypatch.setattr(host.executor, "wait_settled", meanwhile)
    WHERE.append("handler")
    answer = await host.deliver(command("bell/a", Push()), command("counter/a", Add()))
    assert len(RUNS) == 3  # the second time is enough to run each alone
    assert len(read) >= 3
    assert answer.errors.keys() == {0}
    assert isinstance(error_of(answer), HandlerBlocked)


async def test_what_a_failure_leads_to_is_not_held_against_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = await begun()
    at_hand: list[Any] = []

    def looking(*arguments: Any) -> None:
        at_hand.append(host.decider.work.at)
        write_rest(*arguments)

    monkeypatch.setattr(decision, "write_rest", looking)
    monkeypatch.setattr(
        host.supervisor, "_count", lambda *told: at_hand.append(host.decider.work.at)
    )
    await host.deliver(command("pack/b", Push()), command("pack/a", Push()))
    assert at_hand == [None, None]
    assert [each.event_type for each in await host.log("pack/b")] == ["pushed", "actor-stopped"]


async def test_a_command_that_is_sent_again_to_the_next_incarnation_is_one_failure(
    tmp_path: Path,
) -> None:
    sent = command("lid/a", Push())
    became = []
    for incarnation in range(2):  # the answer of the first one is lost
        host = await begun()
        known = host.decider.work.blocked = Blocked(lambda: 1, Notes(tmp_path / "host"))
        known.begin(restarted=True)
        if incarnation == 0:
            known.add(sent, "it took longer than 0.5 s")
        assert isinstance(error_of(await host.deliver(sent)), HandlerBlocked)
        became += host.became
    assert became == ["restart", "restart"]


async def test_after_an_interruption_events_are_above_all_that_was_observed() -> None:
    host = await begun()
    host.decider.clock._merged({"elsewhere": 5})  # as one that came in the middle of observing
    WHERE.append("handler")
    answer = await host.deliver(command("bell/a", Push()), command("counter/a", Add()))
    [event] = read_events(answer, 1)
    assert event.vector_clock["elsewhere"] == 5


class Slate(BaseModel):
    pushed: int = 0

    @model_serializer(mode="wrap")
    def written(self, handler: Any) -> Any:
        block("snapshot")
        return handler(self)


async def test_a_snapshot_of_one_that_was_loaded_is_left_out_where_it_blocks() -> None:
    class Written(Actor[Slate]):
        actor_type = "bell"

        @handles
        def push(self, message: Push) -> Iterator[Payload]:
            yield Pushed()

        @applies
        def pushed(self, event: Pushed) -> None:
            self.state.pushed += 1

    host = await Hosting.begin(frequency=3)
    HOSTS.append(host)
    host.register(Bell)
    await host.deliver(*(command("bell/a", Push()) for _ in range(3)))
    await host.executor.wait_settled()
    host.register(Written)  # its snapshots have another form
    WHERE.append("snapshot")
    answer = await host.deliver(command("bell/a", Push()), command("counter/a", Add()))
    assert [versions(read_events(answer, index)) for index in range(2)] == [[4], [1]]
    host.residents.drop(["bell/a"])
    assert versions(read_events(await host.deliver(command("bell/a", Push())), 0)) == [5]
    assert RUNS == ["snapshot"]


class Reader(Actor[dict[str, int]]):
    """Another class of bells."""

    actor_type = "bell"
    state_type = dict

    @handles
    def push(self, message: Push) -> Iterator[Payload]:
        yield Pushed()

    @applies
    def pushed(self, event: Read) -> None: ...


async def test_a_class_that_blocks_at_the_past_of_an_actor_is_refused_and_not_tried_again() -> None:
    host = await begun()
    await host.deliver(command("bell/a", Push()))
    work, described = host.decider.work, Reader.described()
    WHERE.append("reading")
    for _ in range(2):
        with pytest.raises(InvalidActor, match="took longer than"):
            await check_history(host.store, "bell/a", described, work, "its code")
    assert RUNS == ["reading"]
    WHERE[:] = ["exit"]  # of one that is loaded with it that is a failure, and here it is none
    await check_history(host.store, "bell/a", described, work, "other code")

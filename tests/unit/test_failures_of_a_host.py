"""What a host remembers of the commands that did not work."""

from itertools import count

import pytest

from actors.errors import Rejected
from runtime.errors import ActorStopped, HandlerFailed
from runtime.host.failures import Failures
from runtime.wire.error_codec import encode_error
from tests.unit.hosting import Add, AddOnce, Hosting
from tests.unit.hosting import command as command_of_a_host
from tests.virtual_time import settled

_ids = count(1)


def command(source: str, message_type: str = "heat", number: int = 0) -> list[str | bytes]:
    """As much of one as is looked at, with an id of its own unless it has a number."""
    return [source, message_type, (number or next(_ids)).to_bytes(16)]


def test_types_of_failures_are_told_apart_and_the_last_of_each_is_kept() -> None:
    failures = Failures(count(1).__next__)
    hot, cold = encode_error(Rejected("too hot")), encode_error(Rejected("too cold"))
    broken = encode_error(HandlerFailed("boiler/b", "heat", "KeyError: 'x'", "restart", ["a:1"]))
    failures.note({0: hot, 2: broken}, [command("boiler/a"), [], command("boiler/b")], {0: ["b:2"]})
    failures.note({0: cold}, [command("boiler/c")], {})
    stop = encode_error(ActorStopped("boiler/d", "it failed"))
    failures.note({0: stop}, [command("boiler/d")], {})
    failed, rejected, stopped = failures.records()
    assert (failed.name, failed.outcome, failed.count) == ("KeyError", "failed", 1)
    assert failed.frames == ("a:1",)
    assert (rejected.count, rejected.source, rejected.text) == (2, "boiler/c", "too cold")
    assert (rejected.first_us, rejected.last_us) == (1, 2)
    assert rejected.frames == ("b:2",)  # of the first: nobody has looked where the second was
    assert (stopped.name, stopped.outcome) == ("ActorStopped", "not run")


def test_memory_is_bounded_and_what_has_not_come_for_longest_is_forgotten() -> None:
    failures = Failures(lambda: 0)
    no = encode_error(Rejected("no" * 1_000))
    for number in range(Failures.MOST + 1):
        failures.note({0: no}, [command("boiler/a", f"message-{number}")], {})
        failures.note({0: no}, [command("boiler/a", "often")], {})
    found = failures.records()
    assert len(found) == Failures.MOST
    assert {"message-0", "message-1"}.isdisjoint(each.message_type for each in found)
    assert found[-1].count == Failures.MOST + 1
    assert max(len(each.text) for each in found) == Failures.TEXT


def test_a_command_that_is_sent_again_counts_once_as_long_as_it_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Failures, "REMEMBERED", 3)
    failures, no = Failures(lambda: 0), encode_error(Rejected("no"))
    for number in (1, 2, 1, 3, 1):
        failures.note({0: no}, [command("boiler/a", number=10**9 + number)], {})
    (rejected,) = failures.records()
    assert rejected.count == 3
    failures.note({0: no}, [command("boiler/b", number=10**9 + 1)], {})  # another one of that id
    assert failures.records()[0].count == 4
    assert len(failures._counted) == 3


async def test_a_rejection_that_is_answered_twice_counts_once() -> None:
    host = await Hosting.begin()
    await host.deliver(command_of_a_host("counter/a", Add()))
    rejected = command_of_a_host("counter/a", AddOnce())
    for again in (False, True):
        await host.send(rejected, again=again).answer
    await settled()
    (record,) = host.metrics.failures.records()
    assert (record.outcome, record.count) == ("rejected", 1)

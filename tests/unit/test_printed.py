"""What is printed by somebody who looks for a mistake: short, and of use."""

from collections.abc import Iterator

import pytest

from actors.actor import applies, handles
from runtime.driver.bulk import BulkResult
from runtime.errors import UnknownActorType
from runtime.system import ActorSystem
from tests.unit.chargers import Charger, Plug
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


@pytest.fixture(scope="module")
def system() -> Iterator[ActorSystem]:
    """A system in this process."""
    with InProcessSystem(small_settings({}, type="memory")) as system:
        yield system


def test_what_is_printed_says_what_it_is(system: ActorSystem) -> None:
    charger = system.actor(Charger, "printed")
    reply = charger.ask(Plug())
    reply.result()
    assert repr(reply) == "<Reply to plug for charger/printed: answered>"
    refused = system.actor("nobody-s", "x").ask(Plug())
    with pytest.raises(UnknownActorType):
        refused.result()
    assert repr(refused) == "<Reply to plug for nobody-s/x: failed>"
    assert repr(system) == f"<InProcessSystem in namespace '{system.namespace}'>"
    assert repr(system.subscribe(after=0)) == "<Subscription after position 0>"


def test_a_bulk_result_with_many_failures_is_printed_in_a_line(system: ActorSystem) -> None:
    done = system.tell_many([(system.actor("nobody-s", f"n-{n}"), Plug()) for n in range(500)])
    said = repr(done)
    assert said.startswith("<BulkResult: 500 commands, 0 events, 0 repeats, 500 failed (nobody-s/n")
    assert said.endswith("; and 497 more)>")
    assert said.count("no actor type") == 3
    assert len(said) < 500
    assert len(done.errors) == done.MAX_ERRORS
    assert str(BulkResult(commands=2)) == "<BulkResult: 2 commands, 0 events, 0 repeats, 0 failed>"


def test_the_traceback_of_an_answer_ends_where_it_was_waited_for(system: ActorSystem) -> None:
    with pytest.raises(UnknownActorType) as told:
        system.actor("nobody-s", "x").ask(Plug()).result()
    assert [entry.frame.code.name for entry in told.traceback][1:] == ["result", "_value"]
    assert told.value.__cause__ is None
    assert told.value.__context__ is None


def test_a_mark_with_parentheses_is_told_to_go_without() -> None:
    for mark in (handles, applies):
        with pytest.raises(TypeError, match=f"@{mark.__name__}, without parentheses"):
            mark()

"""A process that is to rest for a moment before it begins again costs its callers that moment."""

from uuid import uuid4

import pytest

from runtime.driver.bulk import Send
from runtime.system import ActorSystem
from runtime.topology.status import ProcessStatus
from tests.integration.devices import Add, Counter
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    eventually,
    kill,
    take,
)

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

#: Less than half of what an ask waits, by default: for so long whoever calls waits for a rest.
REST_MS = 1_500


def begun(system: ActorSystem, name: str) -> bool:
    """Has it started?"""
    return any(
        isinstance(status, ProcessStatus) and status.facts is not None
        for status in system.status().result(LIMIT_S)
        if status.name == name
    )


@pytest.mark.parametrize("name", ["host-0", "writer", "bus"])
def test_nobody_fails_because_a_process_rests_for_less_than_calls_wait(
    launch: Launcher, name: str
) -> None:
    chosen = {"process_backoff_ms": REST_MS, "process_max_backoff_ms": REST_MS}
    system = launch(actor_system=chosen)
    ref = system.actor(Counter, "0")
    ref.ask(Add()).result(LIMIT_S)
    with system.subscribe("added", after=0) as live:
        assert [event.version for event in take(live, 1)] == [1]
        for kills in range(1, 4):  # it rests after the second one, and after the third
            eventually(lambda: begun(system, name))
            kill(system, name)
            ref.ask(Add()).result(LIMIT_S)
            told = system.tell_many([Send(ref, Add(), uuid4())], patience_s=LIMIT_S)
            assert (told.failed, told.errors) == (0, [])
            assert [event.version for event in take(live, 2)] == [2 * kills, 2 * kills + 1]
    assert ref.state().result(LIMIT_S).total == 7
    assert_log_is_whole(system)

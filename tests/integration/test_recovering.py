"""Processes of an idle system come back by themselves: killed, or fenced off by their own kin."""

from uuid import uuid4

import pytest

from runtime.driver.bulk import Send
from runtime.system import ActorSystem
from tests.integration.devices import Add, Counter
from tests.integration.systems import (
    LIMIT_S,
    assert_log_is_whole,
    eventually,
    kill,
    log_of,
    pids_of,
    statuses_of,
)

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


def epoch_of(system: ActorSystem, name: str) -> int:
    """The incarnation that the database knows: that says it without a call of the process."""
    return int(log_of(system, "SELECT epoch FROM epochs WHERE name = $1", name)[0][0])


def test_a_killed_process_of_an_idle_system_comes_back_to_life_without_a_call(
    system: ActorSystem,
) -> None:
    system.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    for name, node in (("writer", "writer"), ("host-0", statuses_of(system)["host-0"].node)):
        before = epoch_of(system, node)
        kill(system, name)
        eventually(lambda node=node, before=before: epoch_of(system, node) > before)  # type: ignore[misc]


def test_processes_that_a_late_start_of_their_own_kin_fences_off_come_back(
    system: ActorSystem,
) -> None:
    ref = system.actor(Counter, "b")
    ref.ask(Add()).result(timeout_s=LIMIT_S)
    before = pids_of(system)
    # What a predecessor's statement comes to that the database gets to late:
    late = "UPDATE epochs SET epoch = epoch + 1 RETURNING name"
    assert "writer" in {row["name"] for row in log_of(system, late)}
    told = system.tell_many([Send(ref, Add(), uuid4())], patience_s=LIMIT_S)
    assert (told.failed, told.errors) == (0, [])
    assert ref.state().result(timeout_s=LIMIT_S).total == 2
    assert pids_of(system)["writer"] != before["writer"]
    assert_log_is_whole(system)

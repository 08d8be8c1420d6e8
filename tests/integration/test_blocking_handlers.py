"""Handlers that block on real Ray and PostgreSQL: others go on, and the one that blocks has failed.

Times in these tests are limits, long enough for a machine with much else to do; what it takes on a
quiet one stands in docs/semantics.md.
"""

import contextlib
import ctypes
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from actors.actor import Command, handles
from actors.event import Payload
from actors.supervision import RestartPolicy, Supervision
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply
from runtime.errors import ActorStopped, HandlerBlocked
from runtime.system import ActorSystem
from tests.integration.devices import Add, Counter
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    eventually,
    host_of,
    log_of,
    pids_of,
)

pytestmark = pytest.mark.integration


class Block(Command):
    """Its handler does not come back."""

    how: str


class Stuck(Counter):
    """Blocks in whatever way it is told to."""

    actor_type: ClassVar[str] = "stuck"
    time_limit_s = 0.5

    @handles
    def block(self, message: Block) -> Iterator[Payload]:
        WAYS[message.how]()
        yield from ()


class Brittle(Stuck):
    """Stops when it has failed."""

    actor_type: ClassVar[str] = "brittle"
    supervision = Supervision(strategy="stop")


class Counts(Stuck):
    """Stops when it has failed twice."""

    actor_type: ClassVar[str] = "counts"
    supervision = Supervision(
        policy=RestartPolicy(intensity=1, period_s=600.0, backoff_s=0.0, max_backoff_s=0.0)
    )


def _loop() -> None:
    while True:
        pass


def _grow() -> None:
    kept = []
    while True:
        kept.append(bytearray(1_000))


def _catch_all() -> None:
    while True:
        with contextlib.suppress(BaseException):  # what no handler should do
            time.sleep(0.001)


WAYS: dict[str, Any] = {
    "loops": _loop,
    "allocates": _grow,
    "catches all": _catch_all,
    "sleeps": lambda: time.sleep(3600.0),
    "holds the interpreter": lambda: ctypes.PyDLL(None).sleep(3600),
    "matches": lambda: re.match(r"(a+)+$", "a" * 60 + "b"),
    "crashes": os.abort,
}


@pytest.fixture(scope="module")
def system(cluster: None, new_database: Callable[[], str]) -> Iterator[ActorSystem]:
    """Hosts that are impatient, and a driver that is not. Each test has actors of its own."""
    launch = Launcher(new_database)
    settings = launch.settings(actor_system={"hosts": 1, "actor_timeout_ms": 1_000})
    launch.run(settings)
    patient = {**settings.model_dump()["actor_system"], "actor_timeout_ms": int(LIMIT_S * 1000)}
    with ActorSystem.connect(
        settings=settings.model_copy(
            update={"actor_system": settings.actor_system.model_validate(patient)}
        )
    ) as system:
        yield system
    launch.drain_all()


def blocked_by(system: ActorSystem, ref: ActorRef[Any], how: str) -> HandlerBlocked:
    """What its sender is told; the neighbours that were asked behind it have their answers."""
    neighbours = [system.actor(Stuck, f"neighbour-{number}") for number in range(5)]
    before = [neighbour.ask(Add()).result(timeout_s=LIMIT_S)[0].version for neighbour in neighbours]
    reply: Reply[Any] = ref.ask(Block(how=how))
    replies = [neighbour.ask(Add()) for neighbour in neighbours]
    with pytest.raises(HandlerBlocked) as raised:
        reply.result(timeout_s=LIMIT_S)
    after = [each.result(timeout_s=LIMIT_S)[0].version for each in replies]
    assert after == [version + 1 for version in before if version is not None]
    return raised.value


def test_a_handler_that_loops_fails_alone_and_its_process_lives_on(system: ActorSystem) -> None:
    stuck = system.actor(Stuck, "a")
    stuck.ask(Add(amount=3)).result(timeout_s=LIMIT_S)
    pid, slow = pids_of(system)["host-0"], host_of(system, "host-0").slow
    for how in ("loops", "allocates"):
        told = blocked_by(system, stuck, how)
        assert told.failure == "it took longer than 0.5 s"
        assert told.decision == "restart"
        assert "test_blocking_handlers.py" in told.frames[-1]
    assert pids_of(system)["host-0"] == pid
    assert stuck.state().result(timeout_s=LIMIT_S).total == 3
    assert stuck.ask(Add()).result(timeout_s=LIMIT_S)[0].version == 2
    eventually(lambda: host_of(system, "host-0").slow >= slow + 2)  # counted at the next look
    assert_log_is_whole(system)


@pytest.mark.parametrize("how", ["sleeps", "catches all"])
def test_where_nothing_else_helps_the_host_is_replaced_and_the_command_is_not_run_again(
    system: ActorSystem, how: str
) -> None:
    brittle = system.actor(Brittle, how.replace(" ", "-"))
    brittle.ask(Add(amount=3)).result(timeout_s=LIMIT_S)
    pid = pids_of(system)["host-0"]
    told = blocked_by(system, brittle, how)
    assert (told.decision, told.message_type) == ("stop", "block")
    after = pids_of(system)["host-0"]
    assert after != pid
    with pytest.raises(ActorStopped, match="it took longer than"):
        brittle.ask(Add()).result(timeout_s=LIMIT_S)
    assert pids_of(system)["host-0"] == after
    types = log_of(system, "SELECT event_type FROM events WHERE source = $1 ORDER BY position",
                   brittle.source)  # fmt: skip
    assert [row[0] for row in types] == ["added", "actor-stopped"]
    assert_log_is_whole(system)


@pytest.mark.parametrize("how", ["holds the interpreter", "matches", "crashes"])
def test_code_that_holds_the_interpreter_or_ends_its_process_does_so_a_few_times_at_most(
    system: ActorSystem, how: str
) -> None:
    stuck = system.actor(Stuck, how.replace(" ", "-"))
    told = blocked_by(system, stuck, how)
    assert (
        "host has ended 2 times" if how == "crashes" else "held the interpreter"
    ) in told.failure
    assert stuck.ask(Add()).result(timeout_s=LIMIT_S)[0].version == 1
    assert_log_is_whole(system)


def test_hosts_that_are_replaced_count_towards_the_limit_of_restarts(system: ActorSystem) -> None:
    counts = system.actor(Counts, "a")
    counts.ask(Add()).result(timeout_s=LIMIT_S)
    for decision in ("restart", "stop"):
        pid = pids_of(system)["host-0"]
        with pytest.raises(HandlerBlocked, match=rf"\({decision}\)"):
            counts.ask(Block(how="sleeps")).result(timeout_s=LIMIT_S)
        assert pids_of(system)["host-0"] != pid
    with pytest.raises(ActorStopped, match="more often than its policy lets it"):
        counts.ask(Add()).result(timeout_s=LIMIT_S)
    eventually(lambda: host_of(system, "host-0"))
    assert_log_is_whole(system)

"""Durable subscriptions on real Ray and PostgreSQL: whatever dies, nothing is skipped, and the log
can be asked whether that is so."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs.cli.main import thornback
from runtime.cluster.ray_session import way_in
from runtime.errors import SubscriptionTaken
from runtime.system import ActorSystem
from store.errors import AnotherSelection
from tests.integration.devices import Burst, Counter
from tests.integration.systems import LIMIT_S, Launcher, back, kill, log_of, stored, take, url_of

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]

#: Prints the id of every event that it is given, and then asks for the next one.
READER = """
import sys
from thornback import ActorSystem

system = ActorSystem.connect(sys.argv[1])
for event in system.subscribe(sources="counter/*", name="ledger", after=0):
    print(event.id, flush=True)
"""


@contextmanager
def reader(system: ActorSystem) -> Iterator["subprocess.Popen[str]"]:
    """A program of its own that reads "ledger"; it is killed in the end, like by kill -9."""
    process = subprocess.Popen(
        [sys.executable, "-c", READER, system.namespace],
        env={"PYTHONPATH": str(ROOT), "PATH": "", **way_in()},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def lines(process: "subprocess.Popen[str]", count: int) -> list[str]:
    """So many lines of what it prints."""
    assert process.stdout is not None
    found = [process.stdout.readline().strip() for _ in range(count)]
    assert all(found), "it has ended"
    return found


def says(system: ActorSystem, *command: str, code: int = 0) -> str:
    """What `thornback` prints where the settings name the database of a system."""
    environment = {"DATABASE_URL": url_of(system)}
    done = CliRunner(env=environment).invoke(
        thornback, command, standalone_mode=False, catch_exceptions=False
    )
    assert (done.return_value or 0) == code, done.output
    return done.output


def test_a_reader_that_is_killed_again_and_again_skips_nothing(
    launch: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    system = launch(actor_system={"hosts": 1})
    total = 0
    printed: list[str] = []
    for number, count in enumerate((30, 70, 50)):
        for name in "abc":
            system.actor(Counter, name).ask(Burst(count=count)).result(timeout_s=LIMIT_S)
        total += 3 * count
        with reader(system) as process:
            printed += lines(process, 40)
            if number == 1:  # and what commits and feeds is killed, too
                for victim in ("bus", "writer"):
                    back(system, victim, kill(system, victim))
                printed += lines(process, 20)
    with system.subscribe(sources="counter/*", name="ledger") as last:
        rest = [str(event.id) for event in take(last, total - last.receipt.count)]
        assert last.finish().result(timeout_s=LIMIT_S) == stored(system)
    ids = {str(row[0]) for row in log_of(system, "SELECT id FROM events")}
    assert {*printed, *rest} == ids
    assert len(ids) == total
    assert f"agrees with the log: {total} events" in says(system, "verify", "ledger")
    assert f"ledger  all events of counter/*  {total}" in says(system, "subscriptions")


def test_whoever_opens_it_takes_it_from_whoever_has_it(launch: Launcher) -> None:
    system = launch(actor_system={"hosts": 1})
    system.actor(Counter, "a").ask(Burst(count=5)).result(timeout_s=LIMIT_S)
    with reader(system) as process:
        lines(process, 5)
        with system.subscribe(sources="counter/*", name="ledger") as mine:
            with pytest.raises(AnotherSelection):
                system.subscribe("bumped", name="ledger")
            system.actor(Counter, "a").ask(Burst(count=1)).result(timeout_s=LIMIT_S)
            assert take(mine, 6 - mine.receipt.count)[-1].version == 6
        assert process.wait(LIMIT_S) != 0  # it asked for the next one, and was told


def test_a_receipt_that_is_not_that_of_the_log_is_found(
    launch: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    system = launch(actor_system={"hosts": 1})
    system.actor(Counter, "a").ask(Burst(count=5)).result(timeout_s=LIMIT_S)
    with system.subscribe(name="ledger", after=0) as mine:
        take(mine, 5)
        mine.finish().result(timeout_s=LIMIT_S)
    says(system, "verify", "ledger")
    log_of(system, "UPDATE subscriptions SET finished = finished - 1")  # as if one was skipped
    assert "1 events too few were finished" in says(system, "verify", "ledger", code=1)
    log_of(system, "UPDATE subscriptions SET finished = 5, digest = substr(sha256('x'), 1, 16)")
    assert "not the same ones" in says(system, "verify", "ledger", code=1)
    says(system, "subscriptions", "--drop", "ledger")
    assert "there is none" in says(system, "subscriptions")
    says(system, "subscriptions", "--drop", "ledger", code=1)


def test_a_drained_system_and_the_next_one_have_the_same_subscriptions(launch: Launcher) -> None:
    settings = launch.settings(actor_system={"hosts": 1})
    system = launch.run(settings)
    system.actor(Counter, "a").ask(Burst(count=5)).result(timeout_s=LIMIT_S)
    with system.subscribe(name="ledger", after=0) as mine:
        assert [event.position for event in take(mine, 3)] == [1, 2, 3]
        mine.finish().result(timeout_s=LIMIT_S)
    launch.drain(system)
    system = launch.run(settings)
    with system.subscribe(name="ledger", after=0) as mine:
        assert mine.receipt.count == 3
        assert [event.position for event in take(mine, 2)] == [4, 5]


def test_whoever_was_replaced_is_told_when_the_log_is(launch: Launcher) -> None:
    system = launch(actor_system={"hosts": 1})
    system.actor(Counter, "a").ask(Burst(count=2)).result(timeout_s=LIMIT_S)
    first = system.subscribe(name="ledger", after=0)
    assert len(take(first, 1)) == 1
    second = system.subscribe(name="ledger")
    with pytest.raises(SubscriptionTaken):
        first.finish().result(timeout_s=LIMIT_S)
    with pytest.raises(SubscriptionTaken):
        next(iter(first))
    first.close()
    second.close()

"""Durable subscriptions on real Ray and PostgreSQL: whatever dies, nothing is skipped, and the log
can be asked whether that is so."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

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
sources = f"counter/{sys.argv[2]}*"
for event in system.subscribe(sources=sources, name="ledger", after=0):
    print(event.id, flush=True)
"""


@contextmanager
def reader(system: ActorSystem, prefix: str, printed: list[str]) -> Iterator[Callable[[int], None]]:
    """A program of its own that reads "ledger". It is killed in the end, as by kill -9; what it has
    printed is in `printed` then, and so many lines of it as soon as they are waited for."""
    process = subprocess.Popen(
        [sys.executable, "-c", READER, system.namespace, prefix],
        env={"PYTHONPATH": str(ROOT), "PATH": "", **way_in()},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = process.stdout

    def wait_for(count: int) -> None:
        found = [lines.readline().strip() for _ in range(count)]
        assert all(found), "it has ended"
        printed.extend(found)

    try:
        yield wait_for
    finally:
        process.kill()
        printed += lines.read().split()
        lines.close()
        process.wait(LIMIT_S)


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
    """And so does the next one, after what commits and what feeds were killed, and in the system
    that is launched anew after a drain."""
    monkeypatch.chdir(tmp_path)
    settings = launch.settings(actor_system={"hosts": 1})
    system = launch.run(settings)
    printed: list[str] = []

    def work() -> None:
        for name in "abc":
            system.actor(Counter, name).ask(Burst(count=50)).result(timeout_s=LIMIT_S)

    for victims in ((), ("bus", "writer")):
        work()
        with reader(system, "", printed) as wait_for:
            wait_for(40)
            for victim in victims:
                back(system, victim, kill(system, victim))
            work()
            wait_for(20)
    launch.drain(system)
    system = launch.run(settings)
    work()
    with system.subscribe(sources="counter/*", name="ledger", after=0) as last:
        assert last.receipt.count > 0
        total = stored(system)
        rest = [str(event.id) for event in take(last, total - last.receipt.count)]
        assert last.finish().result(timeout_s=LIMIT_S) == total
    ids = {str(row[0]) for row in log_of(system, "SELECT id FROM events")}
    assert {*printed, *rest} == ids
    assert f"agrees with the log: {total} events" in says(system, "verify", "ledger")
    listed = says(system, "subscriptions")
    assert "ledger" in listed
    assert "all events of counter/*" in listed


def test_whoever_opens_it_takes_it_from_whoever_has_it(system: ActorSystem) -> None:
    prefix = uuid4().hex
    ref = system.actor(Counter, prefix)
    ref.ask(Burst(count=5)).result(timeout_s=LIMIT_S)
    with reader(system, prefix, []) as wait_for:
        wait_for(5)
        mine = system.subscribe(sources=f"counter/{prefix}*", name="ledger")
        with pytest.raises(AnotherSelection):
            system.subscribe("bumped", name="ledger")
        ref.ask(Burst(count=1)).result(timeout_s=LIMIT_S)
        assert take(mine, 6 - mine.receipt.count)[-1].version == 6
        mine.finish().result(timeout_s=LIMIT_S)
        other = system.subscribe(sources=f"counter/{prefix}*", name="ledger")
        ref.ask(Burst(count=1)).result(timeout_s=LIMIT_S)
        assert take(mine, 1)[-1].version == 7  # as long as nobody has told it
        with pytest.raises(SubscriptionTaken):
            mine.finish().result(timeout_s=LIMIT_S)
        with pytest.raises(SubscriptionTaken):
            next(iter(mine))
        mine.close()
        assert [event.version for event in take(other, 1)] == [7]
        other.close()
        with pytest.raises(AssertionError, match="it has ended"):  # it was told, too
            wait_for(10)


def test_a_receipt_that_is_not_that_of_the_log_is_found(
    system: ActorSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = uuid4().hex
    system.actor(Counter, name).ask(Burst(count=5)).result(timeout_s=LIMIT_S)
    with system.subscribe(sources=f"counter/{name}", name="checked", after=0) as mine:
        take(mine, 5)
        mine.finish().result(timeout_s=LIMIT_S)
    says(system, "verify", "checked")
    change = "UPDATE subscriptions SET {} WHERE name = 'checked'"
    log_of(system, change.format("finished = 4"))  # as if one was skipped
    assert "1 events too few were finished" in says(system, "verify", "checked", code=1)
    log_of(system, change.format("finished = 5, digest = substr(sha256('x'), 1, 16)"))
    assert "not the same ones" in says(system, "verify", "checked", code=1)
    says(system, "subscriptions", "--drop", "checked")
    assert "checked" not in says(system, "subscriptions")
    says(system, "subscriptions", "--drop", "checked", code=1)

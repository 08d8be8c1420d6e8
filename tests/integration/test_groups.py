"""Groups on real Ray and PostgreSQL: drivers in processes of their own share the work, and one of
them is killed by -9."""

import subprocess
import sys
from collections import Counter as Count
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO

import pytest
from click.testing import CliRunner

from actors.errors import InvalidName
from jobs.cli.main import thornback
from runtime.cluster.ray_session import way_in
from runtime.system import ActorSystem
from tests.integration.devices import Burst, Counter
from tests.integration.systems import LIMIT_S, Launcher, eventually, log_of, stored, url_of

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]

#: Prints every event that it is given, and then asks for the next one.
MEMBER = """
import sys
from thornback import ActorSystem

system = ActorSystem.connect(sys.argv[1])
with system.subscribe(sources="counter/*", name="mail", group=True, after=0) as stream:
    for event in stream:
        print(event.id, event.source, event.version, flush=True)
"""

HAVE_SLOTS = """
SELECT count(DISTINCT member) AS members, count(*) AS slots FROM durable_subscriptions
WHERE name LIKE 'mail/%' AND member <> 0
"""


class Program:
    """A member in a process of its own."""

    def __init__(self, system: ActorSystem) -> None:
        self.given: list[tuple[str, str, int]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-c", MEMBER, system.namespace],
            env={"PYTHONPATH": str(ROOT), "PATH": "", **way_in()},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self._reading = Thread(target=self._read, args=(self.process.stdout,))
        self._reading.start()

    def kill(self) -> None:
        """As by kill -9."""
        self.process.kill()
        self.process.wait(LIMIT_S)
        self._reading.join(LIMIT_S)

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            event_id, source, version = line.split()
            self.given.append((event_id, source, int(version)))
        lines.close()


@contextmanager
def members(system: ActorSystem, count: int) -> Iterator[list[Program]]:
    """So many programs, each of which has a share."""
    programs = [Program(system) for _ in range(count)]
    try:
        eventually(lambda: shares(system) == (count, 16))
        yield programs
    finally:
        for program in programs:
            program.kill()


def shares(system: ActorSystem) -> tuple[int, int]:
    """How many members have slots, and how many these are."""
    [row] = log_of(system, HAVE_SLOTS)
    return row["members"], row["slots"]


def says(system: ActorSystem, *command: str) -> str:
    """What `thornback` prints where the settings name the database of a system."""
    done = CliRunner(env={"DATABASE_URL": url_of(system)}).invoke(
        thornback, command, standalone_mode=False, catch_exceptions=False
    )
    assert not done.return_value, done.output
    return done.output


def test_members_share_the_work_and_one_that_is_killed_costs_no_event(
    launch: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = launch.settings(actor_system={"hosts": 1}, processing={"member_timeout_ms": 2000})
    system = launch.run(settings)

    def work() -> None:
        for number in range(40):
            system.actor(Counter, f"c{number}").ask(Burst(count=5)).result(timeout_s=LIMIT_S)

    def all_given(programs: list[Program]) -> bool:
        there = {str(row[0]) for row in log_of(system, "SELECT id FROM events")}
        return {given[0] for program in programs for given in program.given} == there

    work()
    with members(system, 3) as programs:
        work()
        eventually(lambda: all_given(programs))
        given = Count(one[0] for program in programs for one in program.given)
        assert set(given.values()) == {1}  # while nobody dies, nothing comes twice
        programs[0].kill()
        work()
        eventually(lambda: all_given(programs))
        assert shares(system)[0] == 2
        table = says(system, "subscriptions")
        assert "mail" in table
        with pytest.raises(InvalidName, match="a group of readers has this name"):
            system.subscribe(sources="counter/*", name="mail")
    for program in programs:
        versions: dict[str, int] = {}
        for _, source, version in program.given:
            assert version > versions.get(source, 0), source
            versions[source] = version
    with system.subscribe(sources="counter/*", name="mail", group=True) as last:
        total = stored(system)
        watched = iter(last)
        eventually(lambda: len(last.slots) == 16)
        while last.receipt.count < total:
            next(watched)
            last.finish().result(timeout_s=LIMIT_S)
    assert shares(system) == (0, 0)
    assert f"agrees with the log: {total} events" in says(system, "verify", "mail")
    says(system, "subscriptions", "--drop", "mail")
    assert "mail" not in says(system, "subscriptions")

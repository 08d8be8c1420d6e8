"""What `thornback up` and `thornback down` do where something is in the way, is interrupted or has
died: it is said, and nothing is left behind that nobody knows of."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

import psutil
import pytest

from tests.e2e.place import MARK, ROOT, Place, place

pytestmark = pytest.mark.e2e

LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Project:
    """A new folder of `thornback init`."""

    here: Place

    def thornback(self, *arguments: str, code: int = 0) -> str:
        """What a command prints."""
        done = self.here.run(sys.executable, "-m", "jobs.cli", *arguments)
        assert done.returncode == code, done.stdout
        return done.stdout

    def keeper(self) -> psutil.Process | None:
        """The process that keeps the project's Ray."""
        for process in self.here.processes():
            with suppress(psutil.Error):  # it may just have ended
                if "jobs.cli.keeper" in process.cmdline():
                    return process
        return None

    def kill_keeper(self) -> None:
        """kill -9 it, and wait for its end."""
        keeper = self.keeper()
        assert keeper is not None
        keeper.kill()
        psutil.wait_procs([keeper], timeout=LIMIT_S)

    def settings(self, text: str) -> None:
        """Write the settings' file anew."""
        (self.here.root / "thornback.toml").write_text(text)

    def pids(self) -> dict[str, int]:
        """The processes of the system by name, as `status` tells."""
        said = self.thornback("status", "--json").splitlines()
        return {one["name"]: one["pid"] for one in map(json.loads, said)}


@pytest.fixture
def project() -> Iterator[Project]:
    # As few processes as there can be: how many there are is nothing that these tests are about.
    few = {"THORNBACK_ACTOR_SYSTEM__HOSTS": "1", "THORNBACK_GATEWAY__ENABLED": "false"}
    with place(PYTHONPATH=str(ROOT), **few) as here:
        made = replace(here, root=here.folder).run(sys.executable, "-m", "jobs.cli", "init", "mine")
        assert made.returncode == 0, made.stdout
        yield Project(replace(here, root=here.folder / "mine"))


def test_what_a_start_lacks_is_told_before_anything_is_started(project: Project) -> None:
    port = int(project.here.environment["THORNBACK_METRICS__PORT"])
    with socket.create_server(("127.0.0.1", port)):
        said = project.thornback("up", code=2)
    assert f"the metrics port 127.0.0.1:{port} (metrics.port, from environment variable" in said
    assert f"is taken by process {os.getpid()}" in said

    elsewhere = {**project.here.environment, MARK: "/proc/x"}
    there = replace(project.here, environment=elsewhere)
    done = there.run(sys.executable, "-m", "jobs.cli", "up")
    assert done.returncode == 2, done.stdout
    assert len(done.stdout.splitlines()) == 1, done.stdout
    assert "event_store.data_folder, from environment variable" in done.stdout

    assert project.here.processes() == []
    assert "nothing is up in this folder" in project.thornback("down")


def test_where_nothing_is_up_no_other_ray_is_tried(project: Project) -> None:
    # As `ray start` notes it; whoever listens there never says a word.
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        noted = project.here.folder / "ray" / "ray_current_cluster"
        noted.parent.mkdir()
        noted.write_text(f"127.0.0.1:{somebody.getsockname()[1]}")
        here = f"nothing is up in {project.here.root}"
        for command in (["status"], ["history", "charger/c-1"], ["state", "charger/c-1"], ["tail"]):
            said = project.thornback(*command, code=2)
            assert here in said
            assert "`thornback up`" in said
            assert len(said.splitlines()) == 1, said
        driver = project.here.run(sys.executable, "drive.py")
        assert driver.returncode != 0
        assert here in driver.stdout
        assert "Traceback" not in driver.stdout
        somebody.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has come
            somebody.accept()


#: Of `up`, by what it says then; at first only that it starts Ray.
MOMENTS = (
    "",
    pytest.param("launching: ", marks=pytest.mark.long),
    "launching: claiming",
    pytest.param("launching: starting pro", marks=pytest.mark.long),
    pytest.param("running in", marks=pytest.mark.long),
)


@pytest.mark.parametrize("moment", MOMENTS)
def test_after_ctrl_c_what_up_says_is_so(project: Project, moment: str) -> None:
    said = ""
    with project.here.start(sys.executable, "-m", "jobs.cli", "up") as up:
        assert up.stdout is not None
        if moment:
            for line in up.stdout:
                said += line
                if moment in line:
                    break
        else:
            _eventually(project.keeper)
            # Whoever comes meanwhile is told.
            assert "is just at work in" in project.thornback("status", code=2)
            assert "is at work in" in project.thornback("down", code=2)
        os.killpg(up.pid, signal.SIGINT)  # as a terminal does
        said += up.stdout.read()
        code = up.wait(LIMIT_S)

    if code == 0:  # it came when all was said and done
        assert "up, in this folder" in said
        assert "writer" in project.pids()
        project.thornback("down")
    else:
        assert code == 130, said
        assert "interrupted: ending what was started" in said
        assert "nothing is up in this folder" in said
        assert "Traceback" not in said
    assert project.here.left_running() == []
    assert "nothing is up in this folder" in project.thornback("down")


def test_up_again_says_what_it_does_not_change_and_down_what_has_ended_by_itself(
    project: Project,
) -> None:
    project.settings("[actor_system]\nmax_actors = 1000\n")
    project.thornback("up")
    assert "the settings here are not those" not in project.thornback("up")
    project.settings("[actor_system]\nmax_actors = 2000\n")
    said = project.thornback("up")
    assert "it was up already" in said
    assert "the settings here are not those that it runs with" in said

    below = replace(project.here, root=project.here.root / "mine")
    done = below.run(sys.executable, "-m", "jobs.cli", "down")
    assert f"nothing is up in this folder, but in {project.here.root}" in done.stdout

    project.kill_keeper()
    assert "had ended by itself" in project.thornback("down")
    assert project.here.left_running() == []


#: Asks without end, and follows the log; says both.
LASTING_DRIVER = """
import threading
from itertools import count
from thornback import ActorSystem, ThornbackError
from mine.charger import Charger, Commission

with ActorSystem.connect() as system:
    def follow():
        for event in system.subscribe():
            print("followed", event.source, flush=True)
    threading.Thread(target=follow, daemon=True).start()
    for number in count():
        try:
            system.actor(Charger, f"c-{number}").ask(Commission(site="s")).result(timeout_s=2)
            print("asked", number, flush=True)
        except ThornbackError as error:
            print("away", error, flush=True)
"""


#: Waits for its end, which SIGTERM brings.
WAITING_DRIVER = """
import time
from thornback import ActorSystem

with ActorSystem.connect() as system:
    print("in", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(
    "way", [pytest.param("down", marks=pytest.mark.long), "the keeper is killed"]
)
def test_a_driver_outlives_the_ray_of_the_project(project: Project, way: str) -> None:
    project.thornback("up")
    with project.here.start(sys.executable, "-c", WAITING_DRIVER) as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "in\n"
        waiting.terminate()
        assert waiting.stdout.read() == ""  # and no stack of Ray's
        assert waiting.wait(LIMIT_S) == -signal.SIGTERM
    (project.here.root / "lasting.py").write_text(LASTING_DRIVER)
    with project.here.start(sys.executable, "lasting.py") as driver:
        said = Said(driver)
        said.wait_for("asked")
        said.wait_for("followed")
        if way == "down":
            told = project.thornback("down")
            assert f"these programs wait for the next `up`: {driver.pid} " in told
        else:
            project.kill_keeper()
            told = project.thornback("status", code=2)
            assert f"in {project.here.root} has ended by itself" in told
            assert "`thornback up`" in told
        said.wait_for("has ended; this program goes on when")
        told = project.thornback("up")
        assert ("had ended by itself" in told) == (way != "down")
        assert "up, in this folder" in told
        assert "writer" in project.pids()
        said.wait_for("back in the Ray of")
        said.wait_for("asked")
        said.wait_for("followed")
        # Another namespace here does not hide from `down` what runs.
        project.settings('[actor_system]\nnamespace = "other"\n')
        told = project.thornback("down")
        assert re.search(r"^writer: all is committed", told, re.MULTILINE)
        assert driver.poll() is None, said.rest()
        driver.kill()
    assert project.here.left_running() == []


class Said:
    """What a program says, line by line."""

    def __init__(self, program: "subprocess.Popen[str]") -> None:
        self._lines: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._read, args=(program,), daemon=True).start()

    def wait_for(self, text: str) -> None:
        """Wait for a line with that text, behind the last one that was waited for."""
        passed: list[str] = []
        until_s = time.monotonic() + LIMIT_S
        while not passed or text not in passed[-1]:
            try:
                passed.append(self._lines.get(timeout=max(until_s - time.monotonic(), 0)))
            except Empty:
                pytest.fail(f"{text!r} is not said, but {passed[-20:]}")

    def rest(self) -> str:
        """What it has said since."""
        rest = ""
        while not self._lines.empty():
            rest += self._lines.get()
        return rest

    def _read(self, program: "subprocess.Popen[str]") -> None:
        assert program.stdout is not None
        for line in program.stdout:
            self._lines.put(line)


def _eventually(holds: Callable[[], object]) -> None:
    """Wait for what announces itself to nobody."""
    until_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.02)

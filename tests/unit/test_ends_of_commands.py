"""How commands end: with Ray left behind, and with nothing left that was started."""

import io
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import ray
from rich.console import Console

from jobs import launch
from jobs.cli import down
from jobs.terminal import run
from runtime.cluster.programs import connected_programs
from runtime.cluster.project_ray import ADDRESS, TOKEN_FILE, end_left
from runtime.cluster.ray_session import end_ray
from runtime.settings.settings import Settings

LIMIT_S = 60.0

RAY = Path(ray.__file__).parent

#: Says that it runs, and then waits without end.
WAITS = "import signal; print('runs', flush=True); signal.pause()"


def _titled(title: str) -> "subprocess.Popen[str]":
    """A process with that title."""
    process = subprocess.Popen(
        [title, "-c", WAITS], executable=sys.executable, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "runs\n"
    return process


def test_of_a_ray_that_has_ended_nothing_is_left() -> None:
    with (
        _titled("ray::DashboardAgent") as agent,
        _titled(f"{RAY}/dashboard/agent.py") as young,
        _titled("/opt/ray/bin/postgres") as another,
    ):
        try:
            end_left([psutil.Process(each.pid) for each in (agent, young, another)])
            agent.wait(LIMIT_S)
            young.wait(LIMIT_S)
            assert another.poll() is None
        finally:
            for process in (agent, young, another):
                process.kill()


def test_a_ray_ends_with_what_it_has_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with _titled("ray::DashboardAgent") as agent:
        started = [psutil.Process(agent.pid)]
        monkeypatch.setattr(psutil.Process, "children", lambda _, recursive: started)
        monkeypatch.setattr(ray, "shutdown", lambda: None)
        monkeypatch.delenv(TOKEN_FILE, raising=False)
        monkeypatch.delenv(ADDRESS, raising=False)
        try:
            end_ray()
            agent.wait(LIMIT_S)
        finally:
            agent.kill()


def test_a_command_has_left_ray_when_it_ends_and_ctrl_c_disturbs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left: list[object] = []

    def leave() -> None:
        signal.raise_signal(signal.SIGINT)
        left.append(signal.getsignal(signal.SIGINT))

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(shutdown=leave))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as ended:
        run(lambda: 1)
    assert ended.value.code == 1
    assert left == [signal.SIG_IGN]
    assert signal.getsignal(signal.SIGINT) is before


def test_down_leaves_a_ray_before_it_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    keeper = SimpleNamespace(
        terminate=lambda: steps.append("told to end"), wait=lambda _: steps.append("has ended")
    )
    monkeypatch.setattr(down, "leave_ray", lambda: steps.append("left"))
    monkeypatch.setattr(down, "noted", lambda: SimpleNamespace(keeper=lambda: keeper))
    monkeypatch.setattr(down, "forget", lambda: steps.append("forgotten"))
    down.end_keeper()
    assert steps == ["left", "told to end", "has ended", "forgotten"]


def test_programs_are_named_without_the_folders_in_which_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = "/home/somebody/a/project/with/a/long/name/.venv/bin"
    entrypoint = f"{folder}/python {folder}/thornback tail --source a/b"
    jobs = [{"DriverPid": 9, "IsDead": False, "Entrypoint": entrypoint}]
    monkeypatch.setattr("ray._private.state.jobs", lambda: jobs)
    assert connected_programs() == ["9 (python thornback tail --source a/b)"]


@pytest.mark.parametrize("as_it_runs", [True, False])
def test_a_launch_says_that_a_system_runs_with_other_settings(
    as_it_runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = io.StringIO()
    here = Settings.load(environ={})
    hosts = here.actor_system.hosts + (0 if as_it_runs else 1)
    running = here.replaced("actor_system", "hosts", hosts, "argument")

    class Running:
        settings = running

        def __enter__(self) -> "Running":
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(launch, "problems", Console(file=said, highlight=False, width=400))
    monkeypatch.setattr(launch, "join_ray", lambda: None)
    monkeypatch.setattr(launch, "launch", lambda *_, **__: Running())
    assert launch.launch_there(here, launch.Launching()) == 0
    told = "the settings here are not those that it runs with" in said.getvalue()
    assert told is not as_it_runs
    assert ("`thornback drain` and `thornback launch` make them count" in said.getvalue()) is told

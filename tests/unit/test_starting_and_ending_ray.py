"""What becomes of the Ray of a project where whoever starts or ends it is interrupted, killed, or
comes at the same time as another; without Ray."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from actors.errors import ThornbackError
from jobs.cli import down, interruption, keeper, up
from jobs.cli.interruption import Interruption
from runtime.cluster import project_ray
from runtime.cluster.project_ray import ProjectBusy, noted, one_at_a_time
from runtime.errors import LaunchFailed
from runtime.settings.settings import Settings


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The working directory, in which nothing is up, and no Ray is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(interruption, "problems", Console(file=io.StringIO()))
    return tmp_path


class KeeperProcess:
    """The process that keeps a Ray, as `up` sees it. Ctrl-C comes as it is made, when it says that
    it is ready, or just after that."""

    def __init__(self, moment: str, ctrl_c: Callable[[], None]) -> None:
        self._moment, self._ctrl_c, self.ended = moment, ctrl_c, False
        self.stdout = self
        self._comes("made")

    def terminate(self) -> None:
        self.ended = True

    def wait(self) -> None:
        assert self.ended, "it is waited for without end"

    def __enter__(self) -> "KeeperProcess":
        return self

    def readline(self) -> str:
        self._comes("read")
        return "ready\n" if not self.ended else ""

    def __exit__(self, *_: object) -> None:
        self._comes("after")

    def _comes(self, moment: str) -> None:
        if moment == self._moment:
            self._ctrl_c()


@pytest.mark.parametrize("moment", ["made", "read", "after"])
def test_whenever_ctrl_c_comes_while_ray_is_started_it_ends_that(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    came = Interruption("heard")
    made: list[KeeperProcess] = []

    def popen(*_: object, **__: object) -> KeeperProcess:
        made.append(KeeperProcess(moment, lambda: came.note(signal.SIGINT, None)))
        return made[0]

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(KeyboardInterrupt):
        up._start_keeper(came, 7)
    assert made[0].ended


#: `up` as far as its keeper, for which it then waits; the keeper is one that a test ends.
_KILLED_UP = """
import subprocess, sys
from jobs.cli import up
from jobs.cli.interruption import Interruption
from runtime.cluster.project_ray import one_at_a_time

class Popen(subprocess.Popen):
    def __init__(self, command, **options):
        keeper = [command[0], "-c", "print(input())", *command[3:]]
        super().__init__(keeper, **{**options, "stdin": None})
        print("starting", flush=True)

subprocess.Popen = Popen
with one_at_a_time() as lock:
    up._start_keeper(Interruption(""), lock)
"""


def test_a_ray_whose_starter_was_killed_keeps_its_folder_taken_until_it_has_ended() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED_UP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdin is not None
        assert starter.stdout is not None
        assert starter.stdout.readline() == "starting\n"
        starter.kill()
        starter.wait()
        with pytest.raises(ProjectBusy), one_at_a_time():
            pass
        starter.stdin.close()  # which ends what it has started
        starter.stdout.read()
    while True:
        try:
            with one_at_a_time():
                return
        except ProjectBusy:
            pass  # it is just ending


def test_a_keeper_whom_nobody_hears_any_more_ends_its_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(keeper, "start_ray", lambda: done.append("started"))
    monkeypatch.setattr(keeper, "way_in", lambda: {"RAY_ADDRESS": "127.0.0.1:1"})
    monkeypatch.setattr(keeper, "end_ray", lambda: done.append("ended"))
    reads, writes = os.pipe()
    os.close(reads)
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with (
        os.fdopen(writes, "w") as stdout,
        Path("said").open("w") as stderr,
        one_at_a_time() as lock,
    ):
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "stderr", stderr)
        try:
            keeper.main(lock)
        finally:
            for signum, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
                signal.signal(signum, handler)
    assert done == ["started", "ended"]
    assert noted() is None


def _up(monkeypatch: pytest.MonkeyPatch, error: BaseException, **undoing: object) -> dict[str, Any]:
    """What `up` comes to when its start does, and whether its Ray was ended."""
    ended: list[bool] = []

    def start(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(up, "check_machine", lambda _: None)
    monkeypatch.setattr(up, "_start", start)
    monkeypatch.setattr(up, "end_keeper", lambda: ended.append(True))
    monkeypatch.setattr(up, "ray", SimpleNamespace(is_initialized=lambda: True, shutdown=list))
    for name, value in undoing.items():
        monkeypatch.setattr(up, name, value)
    done = CliRunner().invoke(up.command, [], standalone_mode=False)
    return {"ended": ended, "code": done.return_value, "error": done.exception}


def _raises(error: Exception) -> Callable[..., None]:
    def work(*_: object, **__: object) -> None:
        raise error

    return work


@pytest.mark.parametrize("error", [LaunchFailed("no"), OSError("no space left"), RuntimeError()])
def test_a_start_that_fails_ends_its_ray_whatever_it_fails_of(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = _up(monkeypatch, error)
    assert done == {"ended": [True], "code": None, "error": error}


def test_a_start_that_cannot_be_drained_after_ctrl_c_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = io.StringIO()
    monkeypatch.setattr(up, "problems", Console(file=said, width=200))
    fails = _raises(ThornbackError("it does not answer"))
    done = _up(monkeypatch, KeyboardInterrupt(), drain_all=fails)
    assert done == {"ended": [True], "code": 130, "error": None}
    assert "ended without a drain: it does not answer" in said.getvalue()


@pytest.mark.parametrize("meanwhile", ["down", "down and up"])
def test_a_down_behind_another_one_ends_nothing_of_an_up_that_came_between(
    meanwhile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_ray.note({"RAY_ADDRESS": "127.0.0.1:1"})

    def load(_: object) -> Settings:
        project_ray.forget()
        if meanwhile == "down and up":
            project_ray.note({"RAY_ADDRESS": "127.0.0.1:2"})
        return Settings()

    ended: list[dict[str, str]] = []

    def drained(*arguments: Any) -> bool:
        ended.append(dict(arguments[2].way_in))
        return True

    said = io.StringIO()
    monkeypatch.setattr(down, "console", Console(file=said, width=200))
    monkeypatch.setattr(Settings, "load", load)
    monkeypatch.setattr(down, "_drained", drained)
    monkeypatch.setattr(down, "end_keeper", lambda: None)
    monkeypatch.setattr(down, "_database_ended", lambda _: pytest.fail("it is somebody else's"))
    assert CliRunner().invoke(down.command, [], standalone_mode=False).return_value == 0
    if meanwhile == "down":
        assert said.getvalue().startswith("nothing is up in this folder")
        assert ended == []
    else:
        assert said.getvalue() == "down\n"
        assert ended == [{"RAY_ADDRESS": "127.0.0.1:2"}]

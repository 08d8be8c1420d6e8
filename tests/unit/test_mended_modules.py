"""What blocked by a class that a host imports is tried again when its module was mended."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.host.host import Host
from runtime.process.notes import Notes
from runtime.settings.settings import Settings
from tests.unit.test_host import OneWriter
from tests.unit.writing import Writing

MODULE = "wells_of_a_user"
CODE = """
from collections.abc import Iterator

from actors.actor import Actor, Command, handles
from actors.event import DeviceEvent


class Pump(Command):
    pass


class Pumped(DeviceEvent):
    litres: int = 1


class Well(Actor[dict[str, int]]):
    state_type = dict
    ignores = (Pumped,)

    @handles
    def pump(self, message: Pump) -> Iterator[Pumped]:
        yield Pumped()
"""
PUMP: list[Any] = ["well/a", "pump", b"0123456789abcdef"]


class Incarnations(OneWriter):
    """A world whose process has had a life before."""

    def __init__(self, writing: Writing, folder: Path) -> None:
        super().__init__(writing)
        self._folder = folder

    def restarted(self) -> bool:
        return True

    def notes(self) -> Notes:
        return Notes(self._folder / "host")

    def end_unless_called(self, within_s: float, telling: int) -> None:
        os.close(telling)  # this process is not to end

    def beside(self, look: Callable[[], None]) -> None:
        """Nobody looks."""


class Unsupervised(Host):
    """A host whose start asks no directory for leave."""

    SUPERVISED = False


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / f"{MODULE}.py"
    file.write_text(CODE)
    yield file
    sys.modules.pop(MODULE, None)


async def incarnation(folder: Path) -> Host:
    sys.modules.pop(MODULE, None)  # a process of its own would not have it
    world = Incarnations(await Writing.begin(), folder)
    own = {"hosts": 1, "actor_modules": [MODULE]}
    settings = Settings.load(environ={}, actor_system=own)
    host = Unsupervised("host-0", settings.model_dump_json(), None, world=world)
    await host.ready()
    return host


def mend(module: Path) -> None:
    module.write_text(CODE.replace("litres: int = 1", "litres: int = 2"))


async def test_what_a_mended_module_had_blocked_at_is_tried_again(
    module: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    first = await incarnation(notes)
    assert first._decider is not None
    first._decider.work.blocked.add(PUMP, "it took longer than 4 s")
    same = await incarnation(notes)
    assert same._decider is not None
    assert same._decider.work.blocked.command(PUMP) is not None
    mend(module)
    mended = await incarnation(notes)
    assert mended._decider is not None
    assert mended._decider.work.blocked.command(PUMP) is None

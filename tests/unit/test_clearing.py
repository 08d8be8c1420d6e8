"""What is ended without a directory is what is left of one system, and nothing of the next one."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from runtime.cluster.clearing import Left
from runtime.errors import AnotherSystem
from runtime.settings.settings import Settings
from runtime.topology.names import ProcessKind, processes_among

SETTINGS = Settings.model_validate({"event_store": {"type": "memory"}})
NAMES = ("directory", "writer", "bus", "host-0")


class PlayedActors:
    """The processes of a namespace; a handle is the number of a process."""

    def __init__(self) -> None:
        self.there = {name: f"{name} of the first" for name in NAMES}
        self.killed: list[str] = []
        self.at_kill: Callable[[], None] = lambda: None

    def spawn(
        self,
        kind: type[Any],
        settings: Settings,
        name: str,
        *arguments: Any,
        machine: str = "",
        prefers: str = "",
    ) -> Any:
        raise NotImplementedError

    def hold(self, kind: type[Any], settings: Settings, name: str) -> str:
        """A name goes to one."""
        if name in self.there:
            raise ValueError(name)
        self.there[name] = "who holds a name"
        return self.there[name]

    def find(self, name: str) -> Any:
        """The handle."""
        if name not in self.there:
            raise ValueError(name)
        return self.there[name]

    def processes(self, placement: Mapping[str, str]) -> dict[str, ProcessKind]:
        """Those that there are."""
        return processes_among(self.there, placement)

    def end(self, name: str) -> None:
        """By name, whoever has it by now."""
        self.kill(self.find(name))

    def kill(self, handle: str) -> None:
        """That one, and no other."""
        self.killed.append(handle)
        self.there = {name: each for name, each in self.there.items() if each != handle}
        self.at_kill()

    def launch(self) -> None:
        """Another system is to be, which goes on with the processes that there are. Ray gives it
        the directory that there is."""
        if "directory" not in self.there:
            self.there = {name: f"{name} of the second" for name in NAMES} | self.there


def ended(left: Left) -> dict[str, Any]:
    """What was found, and has been ended."""
    with left.to_end() as handles:
        pass
    return handles


def test_all_that_is_left_ends_and_the_directory_first() -> None:
    actors = PlayedActors()
    handles = ended(Left(actors, SETTINGS, "directory of the first"))
    assert not actors.there
    assert actors.killed[0] == "directory of the first"
    assert handles == {name: f"{name} of the first" for name in NAMES if name != "directory"}


def test_what_has_no_directory_at_all_ends() -> None:
    actors = PlayedActors()
    del actors.there["directory"]
    assert len(ended(Left(actors, SETTINGS))) == 3
    assert not actors.there


def test_a_system_that_was_launched_since_is_left_alone() -> None:
    actors = PlayedActors()
    left = Left(actors, SETTINGS, "directory of the first")
    actors.there = {}
    actors.launch()
    with pytest.raises(AnotherSystem, match="left alone"):
        ended(left)
    assert actors.killed == ["directory of the first"]
    assert len(actors.there) == 4


def test_one_that_is_launched_where_there_was_no_directory_is_left_alone() -> None:
    actors = PlayedActors()
    del actors.there["directory"]
    left = Left(actors, SETTINGS)
    actors.launch()
    with pytest.raises(AnotherSystem):
        ended(left)
    assert len(actors.there) == 4


@pytest.mark.parametrize("kills", [2, 3, 4])
def test_a_launch_while_the_rest_ends_loses_no_process(kills: int) -> None:
    actors = PlayedActors()
    actors.at_kill = lambda: actors.launch() if len(actors.killed) == kills else None
    ended(Left(actors, SETTINGS, "directory of the first"))
    actors.launch()  # the one that waited
    assert actors.there == {name: f"{name} of the second" for name in NAMES}


def test_what_keeps_it_from_ending_leaves_the_name_free() -> None:
    actors = PlayedActors()
    with (
        pytest.raises(KeyError),
        Left(actors, SETTINGS, "directory of the first").to_end(),
    ):
        raise KeyError
    assert "directory" not in actors.there


def test_a_launch_between_the_end_of_the_directory_and_that_of_the_others_has_them_all() -> None:
    actors = PlayedActors()
    actors.at_kill = lambda: actors.launch() if len(actors.killed) == 1 else None
    with pytest.raises(AnotherSystem):
        ended(Left(actors, SETTINGS, "directory of the first"))
    assert len(actors.there) == 4

"""What a launch makes of the looks at its directory."""

from typing import Any

import pytest
import ray
from ray.exceptions import GetTimeoutError

from runtime.cluster.launching import _look
from runtime.topology.status import Progress


class Directory:
    """Says how far it is, or does not answer in time."""

    def __init__(self) -> None:
        self.progress, self.says = self, Progress(doing="starting")
        self.busy = False

    def remote(self) -> "Directory":
        return self


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Directory:
    def get(asked: Directory, **_: Any) -> Progress:
        if asked.busy:
            raise GetTimeoutError
        return asked.says

    monkeypatch.setattr(ray, "get", get)
    return Directory()


def test_the_time_of_a_migration_does_not_count_also_where_a_look_is_not_answered(
    directory: Directory,
) -> None:
    shown: list[str] = []
    look = _look(directory, lambda now: shown.append(now.doing))
    assert look()
    directory.says = Progress(doing="migration 5 of 8", counts=False)
    assert not look()
    directory.busy = True
    assert not look()
    directory.busy, directory.says = False, Progress(doing="starting processes")
    assert look()
    assert shown == [
        "starting",
        "migration 5 of 8",
        "waiting for the directory",
        "starting processes",
    ]


def test_a_directory_that_never_answers_has_the_time_that_there_is(directory: Directory) -> None:
    directory.busy = True
    assert _look(directory, None)()

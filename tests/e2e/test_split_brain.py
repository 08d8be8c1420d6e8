"""G7 where two incarnations of a host run: the old one is refused, and callers get the new one."""

import json
import sys
from typing import Any

import psutil
import pytest

from tests.e2e.place import place

PATIENCE_S = 400.0  #: with three raylets, on a slow machine

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.long]


def played(how: str, database: str) -> dict[str, Any]:
    with place(DATABASE_URL=database) as here:
        with here.start(sys.executable, "-m", "tests.e2e.split_brain", how) as program:
            printed, _ = program.communicate(timeout=PATIENCE_S)
        assert program.returncode == 0, printed
        assert here.left_running() == []
    said: dict[str, Any] = json.loads(
        next(line for line in printed.splitlines() if line[:1] == "{")
    )
    return said


def test_a_host_whose_raylet_is_stopped_is_replaced_and_nothing_is_twice(database: str) -> None:
    said = played("RAYLET", database)
    assert said["epochs"] > 0
    assert said["acknowledged"] == said["stored"]
    assert said["drain"] == []


def test_what_an_old_incarnation_still_decides_is_refused_and_it_ends_by_itself(
    database: str,
) -> None:
    said = played("HOST_TOO", database)
    assert said["two"], "the old one was there beside its successor"
    assert said["raylet"] == psutil.STATUS_STOPPED, "nobody but the fence has ended it"
    assert said["epochs"] > 0
    assert said["acknowledged"] == said["stored"]
    assert said["drain"] == []

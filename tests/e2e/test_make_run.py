"""The main job in one command, as `make run` starts it."""

import re
import signal
from collections.abc import Iterator

import pytest

from store.embedded import EmbeddedPostgres
from tests.e2e.place import ROOT, Place, place

pytestmark = pytest.mark.e2e

RUN = ("python", "-m", "jobs.run", "--days", "2")


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    """One place for the runs of this module: they share a database."""
    with place() as made:
        yield made


def test_make_run_is_the_command_that_these_tests_run() -> None:
    assert "\t@exec $(BIN)/python -m jobs.run $(ARGS)\n" in (ROOT / "Makefile").read_text()


def test_a_first_run_stores_two_days_proves_it_and_leaves_nothing_running(here: Place) -> None:
    done = here.run(*RUN, "--exit")

    assert done.returncode == 0, done.stdout
    assert re.search(r"holds +the log has exactly the expected events", done.stdout)
    assert re.search(r"holds +the versions of all 1,060 aggregates are 1\.\.n", done.stdout)
    assert re.search(r"5,478 events are new, 0 were there, 0 failed", done.stdout)
    assert "FAILS" not in done.stdout
    assert_all_is_over(here)


def test_a_second_run_changes_nothing_says_so_and_ends_tidily_at_ctrl_c(here: Place) -> None:
    said = ""
    with here.start(*RUN) as running:
        assert running.stdout is not None
        for line in running.stdout:  # ends with the process, if that never gets so far
            said += line
            if "Ctrl-C stops everything" in line:
                assert len(here.processes()) > 5  # the census sees them
                running.send_signal(signal.SIGINT)

    assert running.returncode == 0, said
    assert re.search(r"0 events are new, 5,478 were there, 0 failed", said)
    assert "nothing in it was changed" in said
    assert re.search(r"^stopped$", said, re.MULTILINE)
    assert_all_is_over(here)


def assert_all_is_over(here: Place) -> None:
    """Nobody is left: no Ray, no actor, no PostgreSQL."""
    assert here.left_running() == []
    assert not EmbeddedPostgres(here.data / "postgres").running()

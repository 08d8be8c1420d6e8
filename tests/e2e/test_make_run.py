"""The main job in one command, as `make run` starts it."""

import re
import signal
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from jobs.flights.air_traffic import AirTraffic
from store.embedded.server import EmbeddedPostgres
from tests.e2e.place import ROOT, Place, place
from tests.e2e.readme import blocks, command

pytestmark = pytest.mark.e2e

RUN = ("python", "-m", "jobs.run", "--days", "14")
FEWER_DAYS = ("python", "-m", "jobs.run", "--days", "7")

_CONGESTION = (
    r"holds  airports that are congested, or cleared, and why: (\d+) results, which are those of "
    "plain SQL"
)


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    """One place for the runs of this module: they share a database."""
    with place() as made:
        yield made


def test_make_run_is_the_command_that_these_tests_run() -> None:
    assert "\t@exec $(BIN)/python -m jobs.run $(ARGS)\n" in (ROOT / "Makefile").read_text()


def test_a_first_run_stores_two_weeks_proves_it_and_leaves_nothing_running(here: Place) -> None:
    done = here.run(*RUN, "--exit")

    assert done.returncode == 0, done.stdout
    assert "FAILS" not in done.stdout
    printed = [line.rstrip() for line in done.stdout.splitlines()]
    assert [line for line in _excerpt() if line not in printed] == []
    # What an airport says depends on the order in which hosts commit: it is proven, not counted.
    (results,) = re.findall(_CONGESTION, done.stdout)
    (congested,) = re.findall(r"^EWR +(\d+) +\d+ +[\d.]+ h *$", done.stdout, re.MULTILINE)
    assert 0 < int(congested) < int(results)
    _explained(done.stdout)
    assert_all_is_over(here)


def test_a_second_run_judges_what_it_replayed_changes_nothing_and_ends_tidily_at_ctrl_c(
    here: Place,
) -> None:
    said, code, printed = "", -1, "it never came up"
    refused, why, listening = -1, "", {"nobody": {""}}
    explained: subprocess.CompletedProcess[str] | None = None
    fresh: subprocess.CompletedProcess[str] | None = None
    with here.start(*FEWER_DAYS) as running:
        assert running.stdout is not None
        for line in running.stdout:  # ends with the process, if that never gets so far
            said += line
            if "Ctrl-C stops everything" in line:
                listening = _listening(here)
                code, printed = _driver_in_another_terminal(here, said)
                refused, why = _driver_without_the_lines(here, said)
                explained = here.run("thornback", "explain", _explained(said))
                fresh = here.run(*RUN, "--fresh", "--exit")
                running.send_signal(signal.SIGINT)

    assert running.returncode == 0, said
    replayed = AirTraffic(7).total
    assert f"0 events are new, {replayed:,} were there, 0 failed" in said
    assert re.search(rf"in all +{replayed:,} +{replayed:,}\n", said)
    assert "FAILS" not in said
    assert "nothing in it was changed" in said
    assert re.search(r"^stopped$", said, re.MULTILINE)
    assert (code, "rejected: below absolute zero" in printed) == (0, True), printed
    assert fresh is not None
    assert (fresh.returncode, "empties no database in use" in fresh.stdout) == (2, True), (
        fresh.stdout
    )
    assert explained is not None
    assert explained.returncode == 0, explained.stdout
    tree = explained.stdout
    assert re.search(r"^└── .* flight-departed ", tree, re.MULTILINE), tree
    # Where much contributed to it, its line is broken.
    congested = r"^    .── .* airport/(?:EWR|JFK|LGA) .*airport-congested [^├└]* <- this one"
    assert re.search(congested, tree, re.MULTILINE), tree
    assert (refused, "RAY_AUTH_TOKEN_PATH" in why) == (1, True), why
    assert {"gcs_server", "raylet", "python", "postgres"} <= listening.keys()
    assert not _others(listening), listening
    assert_all_is_over(here)


def test_over_three_nodes_of_which_one_is_killed_in_the_middle_every_count_is_proved() -> None:
    said, listening = "", {"nobody": {""}}
    with place() as apart:
        with apart.start(*FEWER_DAYS, "--nodes", "3", "--strike", "--no-streams") as running:
            assert running.stdout is not None
            for line in running.stdout:
                said += line
                if "Ctrl-C stops everything" in line:
                    listening = _listening(apart)
                    running.send_signal(signal.SIGINT)
        over = (apart.left_running(), EmbeddedPostgres(apart.data / "postgres").running())

    assert running.returncode == 0, said
    assert not _others(listening), listening
    assert "3 Ray nodes, each a raylet of its own on loopback of this machine: " in said
    assert "FAILS" not in said
    replayed = AirTraffic(7).total
    assert re.search(rf"in all +{replayed:,} +{replayed:,}\n", said), said
    # What was committed and not answered was there when it was sent again.
    new_and_there = re.findall(
        r"^holds  ([\d,]+) events are new, ([\d,]+) were there, 0 failed", said, re.MULTILINE
    )
    assert sum(int(each.replace(",", "")) for each in new_and_there[0]) == replayed
    (struck, lost) = re.findall(
        r"^node (\w{12}) was killed when [\d,]+ commands were answered, \d+ processes with (.+) "
        "among them",
        said, re.MULTILINE,
    )[0]  # fmt: skip
    (back,) = re.findall(r"^holds  .* are back on other nodes: (.+)$", said, re.MULTILINE)
    where = dict(each.rstrip().split(" on ") for each in back.split(", "))
    assert sorted(where) == lost.split(", ")
    assert any(name.startswith("host-") for name in where)
    assert struck not in where.values()
    assert over == ([], False)


def _others(listening: dict[str, set[str]]) -> set[str]:
    """Where anybody listens but on loopback."""
    return set[str]().union(*listening.values()) - {"127.0.0.1", "::ffff:127.0.0.1"}


def _explained(said: str) -> str:
    """The id of the congestion that is explained; it follows from a departure, and that from a
    command."""
    (event_id,) = re.findall(
        r"^why was (?:EWR|JFK|LGA) congested at .*\? thornback explain (\S+)\n"
        r"  \d+ departures of an hour were \d+ min late on average.*\n"
        r"  because of flight-departed of aircraft/\w+ at .* min late\n"
        r"  because of the command \S+$",
        said, re.MULTILINE,
    )  # fmt: skip
    return str(event_id)


def _driver_in_another_terminal(here: Place, said: str) -> tuple[int, str]:
    """The README's driver, in a new shell, by the lines that were printed."""
    _, _, printed = said.partition("joins with these lines:\n")
    lines = [line.strip() for line in printed.splitlines() if line.startswith("  ")]
    assert lines[-1] == " ".join(command("python -m examples.thermostat"))
    done = Place(here.folder, _of_a_new_shell(here)).run("bash", "-c", "\n".join(lines))
    return done.returncode, done.stdout


def _driver_without_the_lines(here: Place, said: str) -> tuple[int, str]:
    """It finds the Ray, and is not let in without the token."""
    (address,) = re.findall(r"RAY_ADDRESS=(\S+)", said)
    stranger = Place(here.folder, _of_a_new_shell(here) | {"RAY_ADDRESS": address})
    connect = "from thornback import ActorSystem; ActorSystem.connect(timeout_s=3.0)"
    done = stranger.run("python", "-c", connect)
    return done.returncode, done.stdout


def _of_a_new_shell(here: Place) -> dict[str, str]:
    environment = dict(here.environment)
    del environment["RAY_AUTH_MODE"]
    return environment


def _listening(here: Place) -> dict[str, set[str]]:
    """The addresses that processes of this place listen on, by the processes' names."""
    found: dict[str, set[str]] = {}
    for process in here.processes():
        for one in process.net_connections("inet"):
            if one.status in (psutil.CONN_LISTEN, psutil.CONN_NONE):
                found.setdefault(process.name(), set()).add(one.laddr.ip)
    return found


def _excerpt() -> list[str]:
    """What the README says that it prints; `...` stands for lines that are left out."""
    (shown,) = (block for block in blocks("text") if "expected events" in block)
    return [line for line in shown.splitlines() if line != "..."]


def assert_all_is_over(here: Place) -> None:
    """Nobody is left: no Ray, no actor, no PostgreSQL."""
    assert here.left_running() == []
    assert not EmbeddedPostgres(here.data / "postgres").running()

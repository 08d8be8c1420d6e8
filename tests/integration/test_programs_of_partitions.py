"""Stream programs in a system of several partitions: whatever dies, an event takes effect once."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from actors.event import BusinessEvent, Event, Payload
from jobs import programs
from jobs.cli.main import thornback
from runtime.system import ActorSystem, PartitionedSystem
from streams.failures import OnFailure
from streams.handler import Handler
from streams.pipeline import EventPipeline
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    kill,
    log_of,
    stored,
    url_of,
)
from tests.integration.test_programs import (
    assert_receipts_agree,
    report,
    under_traffic,
    wait_reached,
)
from tests.integration.test_projections import computed, table_of
from tests.projections import Tallies

pytestmark = pytest.mark.integration

COUNTERS = ("counter/*",)


class Copied(BusinessEvent):
    """An event was seen."""

    amount: int


class Copy(Handler):
    """An event for each event."""

    event_types = ("added",)
    sources = COUNTERS

    def handle(self, event: Event) -> Sequence[Payload]:
        return [Copied(amount=event.data["amount"])]


class Counted(BusinessEvent):
    """A counter has reported so often by now."""

    count: int


def counting() -> EventPipeline:
    """Of each counter, and each of its events, how many there were."""
    return (
        EventPipeline("counting", "added", sources=COUNTERS)
        .fold(0, lambda count, _: count + 1)
        .emit(lambda folded: Counted(count=folded.value))
    )


class Fussy(Handler):
    """Fails at numbers that end in 7, as long as there is a file."""

    event_types = ("added",)
    sources = COUNTERS
    on_failure: OnFailure | None = "park"
    tries = 1

    def __init__(self, bad: Path) -> None:
        super().__init__()
        self.bad = str(bad)

    def handle(self, event: Event) -> Sequence[Payload]:
        if event.data["amount"] % 10 == 7 and Path(self.bad).exists():
            raise ValueError(f"not {event.data['amount']}")
        return []


@pytest.fixture
def system(launch: Launcher) -> PartitionedSystem:
    launched = launch(actor_system={"hosts": 2}, event_store={"partitions": 2})
    assert isinstance(launched, PartitionedSystem)
    return launched


def each_reached(system: PartitionedSystem, *programs: str) -> None:
    """Wait until these have come to where each log stands now."""
    heads = [stored(part) for part in system.parts]
    for part, head in zip(system.parts, heads, strict=True):
        for program in programs:
            wait_reached(part, program, head)


def assert_once(part: ActorSystem, program: str, event_type: str) -> None:
    """Each event of a device has one output, the next version of what the program says of it."""
    rows = log_of(
        part,
        "SELECT e.source, e.version, count(o.id) AS outputs, max(o.version) AS output,"
        " max(o.source) AS output_source"
        " FROM events e LEFT JOIN events o ON o.event_type = $1 AND o.causation_id = e.id"
        " WHERE e.source LIKE 'counter/%' GROUP BY e.id",
        event_type,
    )
    assert rows
    for row in rows:
        assert row["outputs"] == 1
        assert row["output_source"] == f"{program}/{row['source']}"
        assert row["output"] == row["version"]


@pytest.mark.chaos
def test_each_event_takes_effect_once_whatever_is_killed_in_whichever_partition(
    system: PartitionedSystem,
) -> None:
    first, second = system.parts
    report(system, 200)
    for program, workers in ((Copy, 2), (counting(), 1), (Tallies, 1)):
        system.run(program, workers=workers).result(timeout_s=2 * LIMIT_S)
    with under_traffic(system, 200):
        for part, victim in (
            (second, "worker-0-of-copy"),
            (second, "writer"),
            (first, "worker-0-of-counting"),
            (second, "worker-0-of-tallies"),
            (first, "writer"),
            (second, "bus"),
        ):
            kill(part, victim)
            each_reached(system, "copy", "counting", "tallies")
    report(system, 40, first=10**6)
    each_reached(system, "copy", "counting", "tallies")
    for part in system.parts:
        for name in ("copy", "counting", "tallies"):
            assert_receipts_agree(part, name)
        assert_once(part, "copy", "copied")
        assert_once(part, "counting", "counted")
        assert table_of(part) == computed(part)
        assert_log_is_whole(part)
    keys = [{row[0] for row in table_of(part)} for part in system.parts]
    assert all(keys)
    assert not keys[0] & keys[1]


def says(system: PartitionedSystem, *command: str, code: int = 0) -> str:
    """What `thornback` prints where the settings name the databases of a system of two."""
    environment = {"DATABASE_URL": url_of(system), "THORNBACK_EVENT_STORE__PARTITIONS": "2"}
    done = CliRunner(env=environment).invoke(
        thornback, command, standalone_mode=False, catch_exceptions=False
    )
    assert (done.return_value or 0) == code, done.output
    return done.output


def rows(text: str) -> list[dict[str, Any]]:
    """Lines of JSON."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_people_see_what_runs_in_all_partitions_and_hold_it_against_the_logs(
    system: PartitionedSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    report(system, 100)
    (bad := tmp_path / "bad").touch()
    system.run(Tallies, workers=1).result(timeout_s=2 * LIMIT_S)
    fussy: Handler = Fussy(bad)
    system.run(fussy, workers=1).result(timeout_s=2 * LIMIT_S)
    each_reached(system, "fussy", "tallies")
    assert programs.list_all(system, for_programs=True) == 0
    shown = rows(capsys.readouterr().out)
    assert [(row["program"], row["partition"]) for row in shown] == [
        ("fussy", 0), ("tallies", 0), ("fussy", 1), ("tallies", 1),
    ]  # fmt: skip
    assert [row["events"] > 0 for row in shown] == [True] * 4
    assert programs.list_all(system) == 0
    assert "fussy of partition 1" in capsys.readouterr().out

    verdicts = rows(says(system, "verify", "tallies", "--json"))
    assert [(row["partition"], row["agrees"]) for row in verdicts] == [(0, True), (1, True)]
    assert sum(row["finished"] for row in verdicts) == 100
    tables = rows(says(system, "projections", "--json"))
    assert [(row["projection"], row["partition"]) for row in tables] == [
        ("tallies", 0), ("tallies", 1),
    ]  # fmt: skip
    rebuilt = [table_of(part) for part in system.parts]
    for part in system.parts:
        log_of(part, "UPDATE projections.tallies SET amount = amount + 1")
    system.rebuild("tallies").result(timeout_s=2 * LIMIT_S)
    assert [table_of(part) for part in system.parts] == rebuilt
    log_of(
        system.parts[1],
        "UPDATE subscriptions SET finished = finished + 1 WHERE name = 'tallies/3'",
    )
    said = says(system, "verify", "tallies", code=1)
    assert "1 events too many were finished" in said
    assert "agrees with the log" in said

    waiting = [queue.source or queue.key for queue in system.dead_letters("fussy").result()]
    listed = rows(says(system, "dead-letters", "list", "--json", code=1))
    assert [row["key"] or row["source"] for row in listed] == waiting
    counts = [len(part.dead_letters("fussy").result()) for part in system.parts]
    assert all(counts)
    last = [part.dead_letters("fussy").result()[0] for part in system.parts][1]
    assert last.key is not None
    shown = rows(says(system, "dead-letters", "show", "fussy", "--key", last.key, "--json"))
    assert shown[0]["event"] == str(last.event.id)
    dropped = system.drop_dead_letters("fussy", key=last.key).result(LIMIT_S)
    assert dropped == last.letters
    bad.unlink()
    replayed = system.replay_dead_letters("fussy").result(LIMIT_S)
    assert replayed.parked == {}
    assert system.dead_letters("fussy").result() == []

    system.stop("fussy").result(LIMIT_S)
    assert "is dropped" in says(system, "subscriptions", "--drop", "fussy")
    for part in system.parts:
        kept = "SELECT count(*) FROM subscriptions WHERE name LIKE 'fussy/%'"
        assert log_of(part, kept)[0][0] == 0

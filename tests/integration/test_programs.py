"""Stream programs on real Ray and PostgreSQL: whatever dies, each event takes effect once."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.event import Event
from jobs import programs
from runtime.driver.bulk import Send
from runtime.errors import UnknownProgram
from runtime.system import ActorSystem
from runtime.topology.status import WorkerFacts
from store.slots import SLOTS
from streams.errors import InvalidProgram
from streams.program import Change
from tests.integration.devices import Add, Counter
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    eventually,
    kill,
    log_of,
    statuses_of,
    stored,
)
from tests.integration.test_durable_subscriptions import says
from tests.programs import Echo, Hours, Totals

pytestmark = pytest.mark.integration

DAY = datetime(2024, 1, 1, tzinfo=UTC)


def report(system: ActorSystem, count: int, *, first: int = 0, devices: int = 40) -> int:
    """So many events of some devices, a minute of event time apart; where the log stands then."""
    refs = [system.actor(Counter, f"d{number}") for number in range(devices)]
    told = system.tell_many(
        Send(
            refs[number % devices],
            Add(amount=number),
            at=DAY + timedelta(minutes=number),
        )
        for number in range(first, first + count)
    )
    assert told.failed == 0, told
    return stored(system)


def reached(system: ActorSystem, program: str) -> int:
    """Up to which position all slots of a program are finished."""
    rows = log_of(
        system,
        "SELECT min(position), count(*) FROM subscriptions WHERE name LIKE $1",
        f"{program}/%",
    )
    [(position, slots)] = rows
    return int(position) if slots == SLOTS else -1


def wait_reached(system: ActorSystem, program: str, position: int) -> None:
    eventually(lambda: reached(system, program) >= position)


def worker_facts(system: ActorSystem, program: str) -> list[WorkerFacts]:
    """What its workers say of themselves that answer."""
    return [
        status.facts
        for name, status in sorted(statuses_of(system).items())
        if name.endswith(f"-of-{program}") and isinstance(status.facts, WorkerFacts)
    ]


def assert_echoed(system: ActorSystem, through: int) -> None:
    """Each event of a device up to there has one echo, in the order of its source."""
    rows = log_of(
        system,
        "SELECT e.id, e.source, e.version, count(o.id) AS echoes, max(o.version) AS echo,"
        " max(o.source) AS echo_source"
        " FROM events e LEFT JOIN events o"
        "   ON o.event_type = 'echoed' AND o.causation_id = e.id"
        " WHERE e.source LIKE 'counter/%' AND e.position <= $1 GROUP BY e.id",
        through,
    )
    assert rows
    for row in rows:
        assert row["echoes"] == 1
        assert (row["echo_source"], row["echo"]) == (f"echo/{row['source']}", row["version"])


def assert_receipts_agree(system: ActorSystem, program: str) -> None:
    """What each slot has finished is what the log has of it."""

    async def compare() -> None:
        store = await system.open_store()
        try:
            records = [r for r in await store.subscriptions() if r.name.startswith(f"{program}/")]
            assert len(records) == SLOTS
            for record in records:
                slot = int(record.name.partition("/")[2])
                told = await store.recount(record.selection, record.began, record.position, slot)
                assert told == record.receipt
        finally:
            await store.close()

    asyncio.run(compare())


@contextmanager
def under_traffic(system: ActorSystem, first: int) -> Iterator[None]:
    """Devices go on reporting while this lasts."""
    over = threading.Event()

    def go_on() -> None:
        number = first
        while not over.is_set():
            report(system, 100, first=number)
            number += 100

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(LIMIT_S)


def test_each_event_takes_effect_once_whatever_is_killed(launch: Launcher) -> None:
    system = launch()
    report(system, 500)
    for program, workers in ((Echo("echo", ["counter/*"]), 2), (totals(), 1)):
        system.run(program, workers=workers).result(timeout_s=LIMIT_S)
    with under_traffic(system, 500):
        for victim in (
            "worker-0-of-echo",
            "worker-0-of-totals",
            "writer",
            "worker-1-of-echo",
            "bus",
        ):
            kill(system, victim)
            head = stored(system)
            wait_reached(system, "echo", head)
            wait_reached(system, "totals", head)
    head = report(system, 40, first=10**6)
    for name in ("echo", "totals"):
        wait_reached(system, name, head)
        assert_receipts_agree(system, name)
    assert_echoed(system, head)
    assert_totalled(system, head)
    assert_log_is_whole(system)


def totals() -> Totals:
    return Totals("totals", ["counter/*"], groups=7)


def assert_totalled(system: ActorSystem, through: int) -> None:
    """Each group has counted all of its events, one after the other."""
    expected: dict[str, list[int]] = {}
    for position, aggregate in log_of(
        system,
        "SELECT position, aggregate_id FROM events WHERE source LIKE 'counter/%'"
        " AND position <= $1 ORDER BY position",
        through,
    ):
        expected.setdefault(f"totals/group-{aggregate.int % 7}", []).append(position)
    found: dict[str, list[int]] = {}
    for source, version, count, at in log_of(
        system,
        "SELECT source, version, (event_data->>'count')::int, (event_data->>'through')::bigint"
        " FROM events WHERE event_type = 'totalled' ORDER BY source, version",
    ):
        assert version == count
        found.setdefault(source, []).append(at)
    assert {source: at[: len(expected[source])] for source, at in found.items()} == expected


def test_the_number_of_workers_changes_and_the_system_is_launched_anew(launch: Launcher) -> None:
    settings = launch.settings()
    system = launch.run(settings)
    first = 0
    for workers in (3, 1, 2):
        with under_traffic(system, first):
            system.run(totals(), workers=workers).result(timeout_s=LIMIT_S)
            assert len(worker_facts(system, "totals")) == workers
        first += 10_000
        head = report(system, 40, first=first)
        wait_reached(system, "totals", head)
    launch.drain(system)
    system = launch.run(settings)
    assert worker_facts(system, "totals") == []
    head = report(system, 80, first=first + 40)
    system.run(totals(), workers=5).result(timeout_s=LIMIT_S)
    wait_reached(system, "totals", head)
    assert_totalled(system, head)
    assert_receipts_agree(system, "totals")


def test_hours_are_closed_by_event_time_and_corrected_out_of_the_log(launch: Launcher) -> None:
    system = launch()
    ref = system.actor(Counter, "late")
    system.run(Hours("hours", ["counter/*"]), workers=1).result(timeout_s=LIMIT_S)
    for minute in (10, 20, 70, 130, 30, 200):
        ref.ask(Add(amount=minute), at=DAY + timedelta(minutes=minute)).result()
    closed = eventually(lambda: hours_closed(system) if len(hours_closed(system)) == 4 else None)
    assert closed == [(0, 2, 1), (1, 1, 1), (0, 3, 2), (2, 1, 1)]


def hours_closed(system: ActorSystem) -> list[Any]:
    rows = log_of(
        system,
        "SELECT (event_data->>'hour')::int - 473352, (event_data->>'count')::int,"
        " (event_data->>'revision')::int FROM events WHERE event_type = 'hour-closed'"
        " ORDER BY position",
    )
    return [tuple(row) for row in rows]


class Picky(Totals):
    """Does not like one number."""

    on_failure = "pause"

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        if event.data["amount"] == 13:
            raise ValueError("thirteen")
        return super().step(key, item, event, state, watermark_us)


def test_a_program_that_fails_stands_there_until_it_is_told_to_go_on(launch: Launcher) -> None:
    system = launch()
    report(system, 30, devices=3)
    picky = Picky("picky", ["counter/*"], groups=1)
    system.run(picky, workers=1).result(timeout_s=LIMIT_S)

    def paused() -> list[WorkerFacts]:
        return [facts for facts in worker_facts(system, "picky") if facts.paused]

    [facts] = eventually(paused)
    assert "thirteen" in (facts.trouble or "")
    assert "test_programs.py" in (facts.trouble or "")
    assert reached(system, "picky") == 13  # all before it is finished
    assert system.resume("picky").result() == 1
    [facts] = eventually(lambda: [f for f in paused() if f.failures == 6])
    assert system.resume("picky", skip=True).result() == 1
    wait_reached(system, "picky", 30)
    counts = log_of(system, "SELECT count(*) FROM events WHERE event_type = 'totalled'")
    assert counts[0][0] == 29
    assert_receipts_agree(system, "picky")


def test_people_see_what_runs_and_hold_it_against_the_log(
    launch: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    system = launch()
    head = report(system, 100)
    assert programs.list_all(system) == 0
    assert "none runs" in capsys.readouterr().err
    system.run(totals(), workers=2).result(timeout_s=LIMIT_S)
    wait_reached(system, "totals", head)
    assert programs.list_all(system, for_programs=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["program"], shown["workers"], shown["answering"]) == ("totals", 2, 2)
    assert (shown["paused"], shown["trouble"]) == (False, [])
    assert programs.resume(system, "totals", skip=False) == 1
    assert "stands nowhere" in capsys.readouterr().err
    assert f"agrees with the log: {head} events" in says(system, "verify", "totals")
    listed = says(system, "subscriptions")
    assert listed.count("totals") == 1
    assert programs.stop(system, "totals") == 0
    log_of(system, "UPDATE subscriptions SET finished = finished + 1 WHERE name = 'totals/3'")
    assert "1 events too many were finished" in says(system, "verify", "totals", code=1)
    assert "is dropped" in says(system, "subscriptions", "--drop", "totals")
    assert log_of(system, "SELECT count(*) FROM program_states")[0][0] == 0
    assert "no durable subscription" in says(system, "subscriptions", "--drop", "totals", code=1)


def test_what_is_no_program_is_refused(system: ActorSystem) -> None:
    with pytest.raises(InvalidProgram, match="Echo: is a class, and no handler"):
        system.run(Echo)  # type: ignore[arg-type]
    with pytest.raises(InvalidProgram, match="is no handler, no pipeline and no program"):
        system.run("echo")  # type: ignore[arg-type]
    with pytest.raises(InvalidProgram, match="kebab-case"):
        system.run(Echo("No Name", ["*"]))
    with pytest.raises(ValueError, match="workers= is a number from 1 to 16, not 17"):
        system.run(Echo("echo", ["*"]), workers=17)
    with pytest.raises(UnknownProgram, match="no stream program 'nothing' runs here"):
        system.stop("nothing").result()

"""Dead letters on real Ray and PostgreSQL: whatever dies, an event takes effect once, or waits."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from actors.errors import ThornbackError
from actors.event import Event
from jobs import dead_letters, programs
from runtime.driver.reply import Reply
from runtime.errors import UnknownProgram
from runtime.processing.dead_letters import Replayed
from runtime.system import ActorSystem
from streams.program import Change
from tests.integration.systems import LIMIT_S, Launcher, eventually, kill, log_of
from tests.integration.test_durable_subscriptions import says
from tests.integration.test_programs import (
    assert_receipts_agree,
    report,
    under_traffic,
    wait_reached,
)
from tests.programs import Totals

pytestmark = pytest.mark.integration


class Fussy(Totals):
    """Counts by source, and fails at numbers that end in 77, as long as there is a file."""

    def __init__(self, bad: Path) -> None:
        super().__init__("fussy", ["counter/*"])
        self.bad = str(bad)

    def route(self, event: Event) -> Iterator[tuple[str, Any]]:
        yield event.source, None

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        if event.data["amount"] % 100 == 77 and Path(self.bad).exists():
            raise ValueError(f"not {event.data['amount']}")
        return super().step(key, item, event, state, watermark_us)


def letters_of(system: ActorSystem) -> int:
    return int(log_of(system, "SELECT count(*) FROM dead_letters")[0][0])


def assert_counted(system: ActorSystem, through: int) -> None:
    """Each event up to there was counted once by its source, in order, or waits behind one that
    failed."""
    rows = log_of(
        system,
        "SELECT e.source, e.version, e.position, d.position AS waits, d.reason,"
        "  (e.event_data->>'amount')::int % 100 = 77 AS bad,"
        "  array_agg((o.event_data->>'count')::int) FILTER (WHERE o.id IS NOT NULL) AS counts"
        " FROM events e"
        " LEFT JOIN dead_letters d ON d.event_id = e.id AND d.program = 'fussy'"
        " LEFT JOIN events o ON o.event_type = 'totalled' AND o.causation_id = e.id"
        " WHERE e.source LIKE 'counter/%' AND e.position <= $1"
        " GROUP BY e.id, d.position, d.reason ORDER BY e.source, e.version",
        through,
    )
    assert rows
    parked: set[str] = set()
    for row in rows:
        if row["waits"] is None:
            assert row["source"] not in parked, "an event has passed one that waits"
            assert row["counts"] == [row["version"]]
        else:
            assert row["counts"] is None
            if row["source"] not in parked:
                assert row["reason"] is not None
            parked.add(row["source"])


def replayed(system: ActorSystem) -> Reply[Replayed]:
    return system.replay_dead_letters("fussy")


def test_a_worker_is_killed_while_it_parks_and_while_it_replays(
    launch: Launcher, tmp_path: Path
) -> None:
    (bad := tmp_path / "bad").touch()
    system = launch()
    system.run(Fussy(bad), workers=2).result(LIMIT_S)
    with under_traffic(system, 0):
        eventually(lambda: letters_of(system) > 100)
        kill(system, "worker-0-of-fussy")
        there = letters_of(system)
        eventually(lambda: letters_of(system) > there + 100)
        kill(system, "worker-1-of-fussy")
        kill(system, "writer")
    head = report(system, 40, first=10**6)
    wait_reached(system, "fussy", head)
    assert_counted(system, head)
    assert_receipts_agree(system, "fussy")
    bad.unlink()
    there = letters_of(system)
    with under_traffic(system, 2 * 10**6):
        asked = replayed(system)
        eventually(lambda: letters_of(system) < there)
        kill(system, "worker-0-of-fussy")
        with suppress(ThornbackError):  # it may have been done before that
            asked.result(LIMIT_S)
        eventually(lambda: not _replay(system).parked)
    head = report(system, 40, first=3 * 10**6)
    wait_reached(system, "fussy", head)
    assert letters_of(system) == 0
    assert_counted(system, head)
    assert_receipts_agree(system, "fussy")


def _replay(system: ActorSystem) -> Replayed:
    """All of it; a worker may be away for a while."""

    def tried() -> Replayed | None:
        with suppress(ThornbackError):
            return replayed(system).result(LIMIT_S)
        return None

    done = eventually(tried)
    assert done is not None
    return done


def test_people_list_show_replay_and_drop_what_is_parked(
    launch: Launcher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bad := tmp_path / "bad").touch()
    system = launch()
    assert "there are none" in says(system, "dead-letters", "list")
    head = report(system, 79, first=0, devices=78)
    report(system, 1, first=177, devices=40)
    system.run(Fussy(bad), workers=1).result(LIMIT_S)
    wait_reached(system, "fussy", head)
    eventually(lambda: letters_of(system) == 2)
    [one, _] = map(json.loads, says(system, "dead-letters", "list", "--json", code=1).splitlines())
    assert (one["program"], one["key"], one["letters"]) == ("fussy", "counter/d17", 1)
    assert (one["reason"], one["tries"]) == ("ValueError: not 177", 3)
    assert "not 77" in says(system, "dead-letters", "list", "--program", "fussy", code=1)
    key = ("--key", "counter/d77")
    shown = says(system, "dead-letters", "show", "fussy", *key)
    assert "ValueError: not 77, tried 3 times" in shown
    assert "test_dead_letters.py" in shown
    assert "is not parked" in says(system, "dead-letters", "show", "fussy", "--key", "x", code=1)
    assert programs.list_all(system, for_programs=True) == 0
    assert json.loads(capsys.readouterr().out)["parked"] == 2
    assert dead_letters.replay(system, "fussy", None, None) == 1
    assert "is parked still: ValueError: not 77" in capsys.readouterr().err
    assert "1 events are dropped" in says(system, "dead-letters", "drop", "fussy", *key)
    assert "is parked" in says(system, "dead-letters", "drop", "fussy", *key, code=1)
    bad.unlink()
    assert dead_letters.replay(system, "fussy", None, None, for_programs=True) == 0
    assert json.loads(capsys.readouterr().out) == {"events": 1, "parked": {}}
    assert "there are none" in says(system, "dead-letters", "list")
    with pytest.raises(UnknownProgram):
        dead_letters.replay(system, "nothing", None, None)

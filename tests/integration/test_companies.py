"""Handlers that run together on real Ray and PostgreSQL: whatever dies, the order holds, and each
event takes effect once."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from actors.event import Event, Kind
from jobs import programs
from streams.failures import OnFailure
from streams.handler import Handler
from streams.handlers import Handlers
from streams.program import Fact
from tests.e2e.place import free_port
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    eventually,
    kill,
    log_of,
    stored,
)
from tests.integration.test_metrics import total
from tests.integration.test_programs import (
    assert_receipts_agree,
    report,
    under_traffic,
    wait_reached,
    worker_facts,
)

pytestmark = pytest.mark.integration


class Noting(Handler):
    """Notes every event of a device."""

    event_types: Sequence[str] = ("added",)
    sources: Sequence[str] = ("counter/*",)

    def handle(self, event: Event) -> Iterator[Fact]:
        """One for one."""
        yield Fact("seen", Kind.BUSINESS, {"by": self.name})


class Eager(Noting):
    """Is always first, but for one that fails."""

    priority = 200


class Patient(Noting):
    """Is always last."""

    priority = 0


class Moody(Noting):
    """Fails at one of 997, and passes it over."""

    priority = 255
    on_failure: OnFailure | None = "skip"
    tries: int | None = 2
    backoff: timedelta | None = timedelta(milliseconds=20)

    def handle(self, event: Event) -> Iterator[Fact]:
        """But for some."""
        if event.data["amount"] % 997 == 996:
            raise ValueError(event.data["amount"])
        yield from super().handle(event)


WARD = Handlers("ward", Patient, Moody, Eager)

#: What each event has come to, by handler: how much, and where the first of that stands.
SEEN = """
    SELECT causation_id, event_data->>'by' AS by, count(*) AS count, min(position) AS first
    FROM events WHERE event_type = 'seen' GROUP BY 1, 2
"""
SENT = """
    SELECT id, (event_data->>'amount')::int AS amount
    FROM events WHERE event_type = 'added' AND position <= $1
"""


def test_the_order_holds_and_nothing_comes_twice_whatever_is_killed(launch: Launcher) -> None:
    system = launch()
    report(system, 500)
    system.run(WARD, workers=2).result(timeout_s=LIMIT_S)
    names = [handler.name for handler in WARD.handlers]
    with under_traffic(system, 500):
        for victim in ("worker-0-of-ward", "writer", "worker-1-of-ward", "bus"):
            kill(system, victim)
            head = stored(system)
            for name in ("eager", "patient"):  # who fails may take longer
                wait_reached(system, name, head)
        system.run(WARD, workers=1).result(timeout_s=LIMIT_S)
    head = report(system, 40, first=10**6)
    for name in names:
        wait_reached(system, name, head)
        assert_receipts_agree(system, name)
    seen: dict[Any, dict[str, int]] = {}
    for row in log_of(system, SEEN):
        assert row["count"] == 1
        seen.setdefault(row["causation_id"], {})[row["by"]] = row["first"]
    sent = log_of(system, SENT, head)
    assert len(seen) == len(sent) > 1_000
    for row in sent:
        spared = {"moody"} if row["amount"] % 997 == 996 else set()
        theirs = seen[row["id"]]
        assert theirs.keys() == {"eager", "patient", "moody"} - spared
        assert theirs["eager"] < theirs["patient"]
    assert_log_is_whole(system)


def test_they_are_shown_and_counted_however_many_workers_there_are(
    launch: Launcher, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    system = launch(metrics={"port": port})
    system.run(WARD, workers=3).result(timeout_s=LIMIT_S)
    system.run(type("Alone", (Noting,), {}), workers=2).result(timeout_s=LIMIT_S)
    eventually(lambda: total(port, "active_event_handlers") == 4)
    head = report(system, 40)
    for name in ("moody", "eager", "patient", "alone"):
        wait_reached(system, name, head)
    eventually(lambda: sum(one.outputs for one in worker_facts(system, "ward")) == 120)
    assert programs.list_all(system, for_programs=True) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["program"], each["runs_in"], each["workers"]) for each in shown] == [
        ("alone", None, 2), ("ward", None, 3),
        ("moody", "ward", 3), ("eager", "ward", 3), ("patient", "ward", 3),
    ]  # fmt: skip
    assert [each["outputs"] for each in shown] == [40, 120, 40, 40, 40]
    assert programs.list_all(system) == 0
    assert "  eager" in capsys.readouterr().out
    system.stop("ward").result(timeout_s=LIMIT_S)
    eventually(lambda: total(port, "active_event_handlers") == 1)

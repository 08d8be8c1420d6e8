"""Every actor of a type as it was: folded in parallel over a real Ray."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

import jobs.as_of
from jobs.cli.main import thornback
from runtime.system import ActorSystem
from tests.integration.devices import Add, Counter
from tests.integration.systems import LIMIT_S, Launcher, url_of

pytestmark = pytest.mark.integration

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def said(system: ActorSystem, *arguments: str, code: int = 0) -> str:
    environment = {
        "DATABASE_URL": url_of(system),
        "THORNBACK_ACTOR_SYSTEM__NAMESPACE": system.namespace,
        "COLUMNS": "200",
    }
    done = CliRunner(env=environment).invoke(
        thornback, ["as-of", "--type", "counter", "--module", "tests.integration.devices",
        *arguments], standalone_mode=False, catch_exceptions=False,
    )  # fmt: skip
    assert (done.return_value or 0) == code, done.output
    return done.output


def test_every_actor_of_a_type_is_as_it_was_at_a_moment_and_at_a_position(
    launch: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.as_of, "ACTORS", 3)  # so that there are several tasks
    system = launch()
    for number in range(8):
        for minute in (0, 10):
            system.actor(Counter, f"c-{number}").ask(
                Add(amount=number + 1), at=NOON + timedelta(minutes=minute)
            ).result(timeout_s=LIMIT_S)
    late = system.actor(Counter, "late").ask(Add(), at=NOON + timedelta(hours=1))
    late.result(timeout_s=LIMIT_S)

    rows = [json.loads(line) for line in said(
        system, "--time", "2026-07-01T12:05", "--json"
    ).splitlines()]  # fmt: skip
    assert [(row["source"], row["version"], row["state"]["total"]) for row in rows] == [
        (f"counter/c-{number}", 1, number + 1) for number in range(8)
    ]
    assert {row["happened_at"] for row in rows} == {NOON.isoformat()}
    known = [json.loads(line) for line in said(system, "--position", "4", "--json").splitlines()]
    assert [(row["source"], row["state"]["total"]) for row in known] == [
        ("counter/c-0", 2), ("counter/c-1", 4)
    ]  # fmt: skip
    table = said(system, "--time", "2026-07-01T12:15", "--limit", "2")
    assert "counter/c-1" in table
    assert "counter/c-2" not in table
    assert "and 6 more" in table
    assert "no actor of this type has an event by then" in said(system, "--time", "1999-01-01")

    pyarrow = pytest.importorskip("pyarrow.parquet", reason="the parquet extra brings pyarrow")
    file = tmp_path / "then.parquet"
    assert "8 actors are in" in said(system, "--time", "2026-07-01T12:15", "--to", str(file))
    written = pyarrow.read_table(file).to_pylist()
    assert [(row["source"], json.loads(row["state"])["total"]) for row in written] == [
        (f"counter/c-{number}", 2 * (number + 1)) for number in range(8)
    ]
    assert written[0]["happened_at"] == NOON + timedelta(minutes=10)

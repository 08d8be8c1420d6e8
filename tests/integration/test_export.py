"""The log as Parquet files, by tasks over a real Ray, and back into a database that has none."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner

import jobs.export
from actors.event import Event
from jobs.cli.main import thornback
from runtime.errors import NotPossible
from runtime.system import ActorSystem
from store.errors import DatabaseClaimed
from tests.integration.devices import Add, Added, Burst, Counter, Note
from tests.integration.systems import LIMIT_S, Launcher, log_of, url_of
from thornback.testing.databases import query

pytestmark = pytest.mark.integration

parquet = pytest.importorskip("pyarrow.parquet", reason="the parquet extra brings pyarrow")

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
WHOLE_LOG = "SELECT * FROM events ORDER BY position"


def said(url: str, namespace: str, *arguments: str, code: int = 0) -> str:
    environment = {"DATABASE_URL": url, "THORNBACK_ACTOR_SYSTEM__NAMESPACE": namespace}
    done = CliRunner(env=environment).invoke(
        thornback, arguments, standalone_mode=False, catch_exceptions=False
    )
    assert (done.return_value or 0) == code, done.output
    return done.output


def filled(system: ActorSystem) -> None:
    """Some events of several actors and hosts, and one that was published."""
    for number in range(5):
        counter = system.actor(Counter, f"c-{number}")
        [cause] = counter.ask(Add(amount=number), at=NOON + timedelta(hours=number)).result(LIMIT_S)
        counter.ask(Burst(count=3), causation_id=cause.id).result(LIMIT_S)
        counter.ask(Note(text="ø ☃ \"'")).result(LIMIT_S)
    report = Event.of(
        Added(amount=7), source="outside", id=uuid4(), timestamp=NOON, metadata={"by": "hand"}
    )
    system.publish(report).result(LIMIT_S)


def test_a_log_that_is_exported_and_ingested_is_the_same_log(
    launch: Launcher,
    new_database: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs.export, "FILE_EVENTS", 7)  # so that there are several tasks
    system = launch(actor_system={"hosts": 2})
    filled(system)
    folder = tmp_path / "log"
    assert "26 events in 4 files" in said(url_of(system), system.namespace, "export", str(folder))
    files = sorted(folder.glob("*.parquet"))
    assert len(files) == 4
    assert [file.name for file in folder.iterdir() if file.name.startswith(".")] == []
    with pytest.raises(NotPossible, match="is not empty"):
        said(url_of(system), system.namespace, "export", str(folder))

    # Not into the database of a system that lives, and not while one has it.
    with pytest.raises(DatabaseClaimed):
        said(url_of(system), system.namespace, "ingest", str(folder))
    other = new_database()
    assert "26 events: 26 new, 0 were there" in said(other, "other", "ingest", str(folder))
    assert query(other, WHOLE_LOG) == log_of(system, WHOLE_LOG)
    assert "26 events: 0 new, 26 were there" in said(other, "other", "ingest", str(folder))

    # And a system goes on with it.
    second = launch(event_store={"connection_string": other}, actor_system={"hosts": 2})
    counter = second.actor(Counter, "c-4")
    assert counter.state().result(LIMIT_S) == system.actor(Counter, "c-4").state().result(LIMIT_S)
    before = system.subscribe(sources="counter/c-4", after=0)
    last = [next(iter(before)) for _ in range(5)][-1]
    before.close()
    [added] = counter.ask(Add()).result(LIMIT_S)
    assert (added.position, added.version) == (27, 6)
    assert added.vector_clock > last.vector_clock


def test_a_slice_is_exported_with_columns_of_what_events_say(
    launch: Launcher, tmp_path: Path
) -> None:
    system = launch(actor_system={"actor_modules": ["tests.integration.devices"]})
    filled(system)
    folder = tmp_path / "slice"
    said(
        url_of(system), system.namespace, "export", str(folder), "--columns", "--type", "added",
        "--source", "counter/*", "--since", "2026-07-01T13:00", "--until", "2026-07-01T15:00",
    )  # fmt: skip
    [file] = folder.glob("*.parquet")
    rows = parquet.read_table(file).to_pylist()
    assert [(row["source"], row["added"]) for row in rows] == [
        ("counter/c-1", {"amount": 1}), ("counter/c-2", {"amount": 2})
    ]  # fmt: skip
    assert {row["happened_at"] for row in rows} == {NOON + timedelta(hours=hour) for hour in (1, 2)}
    assert [json.loads(row["data"])["amount"] for row in rows] == [1, 2]
    assert all(row["noted"] is None for row in rows)
    manifest = json.loads((folder / "export.json").read_text())
    assert (manifest["events"], manifest["event_types"]) == (2, ["added"])

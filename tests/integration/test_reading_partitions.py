"""What reads whole logs, over several partitions: exports, and actors as they were."""

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import jobs.as_of
import jobs.export
from jobs.as_of import as_of
from jobs.export import Slice, export
from runtime.driver.as_of import AsOf
from runtime.errors import NotPossible
from runtime.system import PartitionedSystem
from tests.integration.devices import Add, Counter
from tests.integration.systems import Launcher, stored

pytestmark = pytest.mark.integration

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
COUNT = 12


@pytest.fixture(scope="module")
def system(cluster: None, new_database: Callable[[], str]) -> Iterator[PartitionedSystem]:
    launcher = Launcher(new_database)
    launched = launcher(actor_system={"hosts": 2}, event_store={"partitions": 2})
    assert isinstance(launched, PartitionedSystem)
    for number in range(COUNT):
        for minute in (0, 10):
            at = NOON + timedelta(minutes=minute)
            launched.actor(Counter, f"c-{number:02}").ask(Add(amount=number), at=at).result()
    yield launched
    launcher.drain_all()


@pytest.fixture(autouse=True)
def connected(system: PartitionedSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (jobs.as_of, jobs.export):
        monkeypatch.setattr(module, "connected_by", lambda _: nullcontext(system))


def test_every_actor_of_all_partitions_is_as_it_was(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.as_of, "ACTORS", 3)  # so that there are several tasks
    moment = AsOf.of(NOON + timedelta(minutes=5), None)
    module = "tests.integration.devices"
    assert as_of(None, "counter", moment, module=module, for_programs=True) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["source"], row["version"], row["state"]["total"]) for row in rows] == [
        (f"counter/c-{number:02}", 1, number) for number in range(COUNT)
    ]
    with pytest.raises(NotPossible, match="say a moment"):
        as_of(None, "counter", AsOf.of(None, 4), module=module)


def test_each_partition_is_exported_into_a_folder_that_is_an_export(
    system: PartitionedSystem, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the parquet extra brings pyarrow")
    folder = tmp_path / "log"
    assert export(None, folder, Slice.of((), (), None, None)) == 0
    for number, part in enumerate(system.parts):
        own = folder / f"partition-{number}"
        said = json.loads((own / jobs.export.MANIFEST).read_text())
        assert said["through"] == part.head().result()
        found = [
            row for file in own.glob("*.parquet") for row in parquet.read_table(file).to_pylist()
        ]
        assert len(found) == stored(part)
        assert {system.part_of(row["source"]) for row in found} <= {part}

"""What the exporter of a machine shows: what was counted there, and how those are that live."""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from runtime.telemetry.exporter import NewestFolder, OfFolder, folder_here, fresh_folder
from runtime.telemetry.metrics import lives
from runtime.telemetry.totals import PROCESSED, Totals


@pytest.fixture(autouse=True)
def own_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def launched(namespace: str, commands: int, at_s: int) -> None:
    """A host of a system that was launched then has counted so many commands."""
    folder = folder_here(fresh_folder(namespace))
    folder.mkdir()
    mapped: Any = MmapedDict
    file = mapped(str(folder / "counter_host-0.db"))
    file.write_value(mmap_key("commands", "commands_total", [], [], "Commands"), commands, 0.0)
    file.close()
    os.utime(folder, (at_s, at_s))


def shown(namespace: str) -> str:
    registry = CollectorRegistry()
    registry.register(NewestFolder(namespace))
    return generate_latest(registry).decode()


COUNTS = """
import sys
from pathlib import Path
from runtime.telemetry.metrics import Metrics
from runtime.telemetry.totals import PROCESSED

metrics = Metrics(sys.argv[2], Path(sys.argv[1]))
metrics.residents.labels(sys.argv[2]).set(7)
metrics.evicted.labels(sys.argv[2]).inc(5)
metrics.subscriptions.set(3)
metrics.handlers.set(2)
metrics.position.set(9)
metrics.totals.show(PROCESSED, sys.argv[2], int(sys.argv[3]))
print("counted", flush=True)
sys.stdin.read()
"""


BEGINS = """
import sys
from pathlib import Path
from runtime.host.host_metrics import HostMetrics
from runtime.telemetry.metrics import BusMetrics, Metrics

metrics = Metrics(sys.argv[2], Path(sys.argv[1]))
BusMetrics(metrics)
HostMetrics(metrics, sys.argv[2], lambda: 0)
print("counted", flush=True)
sys.stdin.read()
"""


@contextmanager
def counting(
    folder: Path, node: str, events: int = 5, program: str = COUNTS
) -> Iterator["subprocess.Popen[str]"]:
    """A process that has evicted five, has seven residents, and knows of so many events."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder), node, str(events)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "counted\n"
        yield process
        process.kill()


def test_what_a_process_has_counted_stays_and_how_it_is_goes_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "counted"
    with counting(folder, "n.host-0"), counting(folder, "n.host-1") as second:
        assert total(folder, "resident_actors") == 14
        second.kill()
        second.wait()
        assert total(folder, "resident_actors") == 7
        assert total(folder, "evicted_actors_total") == 10
    assert total(folder, "evicted_actors_total") == 10
    assert total(folder, "resident_actors") == 0


def test_handlers_of_all_workers_add_up_and_those_of_one_that_ends_are_gone(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "counted"
    with counting(folder, "n.worker-0-of-a"), counting(folder, "n.worker-0-of-b") as second:
        assert total(folder, "active_event_handlers") == 4
        assert total(folder, "live_subscriptions") == 3  # which one process alone counts
        second.kill()
        second.wait()
        assert total(folder, "active_event_handlers") == 2


def test_what_the_log_has_is_shown_where_it_is_known_and_not_where_it_was(tmp_path: Path) -> None:
    machines = [tmp_path / name for name in ("first", "second")]

    def events() -> float:
        return sum(total(machine, "events_processed_total") for machine in machines)

    with counting(machines[0], "n.bus"):
        assert events() == 5
    assert events() == 0
    with counting(machines[1], "n.bus", events=12):
        assert events() == 12
    with counting(machines[0], "n.bus", events=12):
        assert events() == 12


def test_two_who_look_at_the_same_time_do_not_take_each_other_for_a_process_that_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, flock = tmp_path / "counted", fcntl.flock
    with counting(folder, "n.host-0"):
        pass
    (identifier,) = {file.stem.split("_", 2)[2] for file in folder.glob("gauge_*.db")}
    meanwhile: list[bool] = []

    def looked_at_meanwhile(file: int, how: int) -> None:
        flock(file, how)
        monkeypatch.setattr(fcntl, "flock", flock)
        meanwhile.append(lives(folder, identifier))

    monkeypatch.setattr(fcntl, "flock", looked_at_meanwhile)
    assert not lives(folder, identifier)
    assert meanwhile == [False]


def test_of_two_who_count_under_one_name_one_suffices_to_be_alive(tmp_path: Path) -> None:
    folder = tmp_path / "counted"
    with counting(folder, "n.host-0") as replaced, counting(folder, "n.host-0"):
        replaced.kill()
        replaced.wait()
        assert total(folder, "resident_actors") == 7
    assert total(folder, "resident_actors") == 0


def test_a_folder_that_nobody_has_counted_into_shows_nothing(tmp_path: Path) -> None:
    assert list(OfFolder(tmp_path / "none").collect()) == []


def total(folder: Path, name: str) -> float:
    """The sum over all labels."""
    found = (sample for metric in OfFolder(folder).collect() for sample in metric.samples)
    return sum(sample.value for sample in found if sample.name == name)


def test_nothing_is_shown_before_a_launch() -> None:
    assert shown("fleet") == ""


def test_the_system_that_was_launched_last_is_shown() -> None:
    launched("fleet", 2, at_s=200)
    launched("fleet", 1, at_s=100)
    assert "commands_total 2.0" in shown("fleet")
    launched("fleet", 3, at_s=300)
    assert "commands_total 3.0" in shown("fleet")


def test_another_namespace_is_not_shown() -> None:
    launched("other", 2, at_s=200)
    assert shown("fleet") == ""


def test_who_begins_anew_has_nothing_of_its_predecessors_in_memory(tmp_path: Path) -> None:
    folder = tmp_path / "counted"
    with counting(folder, "n.host-0"):
        assert total(folder, "resident_actors") == 7
        assert total(folder, "live_subscriptions") == 3
    with counting(folder, "n.host-0", program=BEGINS):
        assert total(folder, "resident_actors") == 0
        assert total(folder, "live_subscriptions") == 0
        assert total(folder, "evicted_actors_total") == 5


def test_who_comes_back_to_a_machine_shows_nothing_of_the_log_until_he_knows_it(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "counted"
    with counting(folder, "n.bus"):
        assert total(folder, "events_processed_total") == 5
        assert total(folder, "log_position") == 9
    # Meanwhile another machine has the bus, and shows more.
    with counting(folder, "n.bus", program=BEGINS):
        shown = {sample.name for metric in OfFolder(folder).collect() for sample in metric.samples}
        assert {"active_event_handlers", "live_subscriptions"} <= shown
        assert not {"events_processed_total", "log_position"} & shown


def test_what_one_who_was_replaced_goes_on_to_show_spoils_nothing(tmp_path: Path) -> None:
    file = tmp_path / "counter_totals-n.bus.db"
    replaced = Totals(file)
    replaced.show(PROCESSED, "n.a", 1)
    successor = Totals(file)
    successor.show(PROCESSED, "n.a", 2)
    successor.show(PROCESSED, "n.host-of-a-longer-name", 2)
    replaced.show(PROCESSED, "n.b", 1)
    successor.show(PROCESSED, "n.c", 2)
    for each in (replaced, successor):
        each._values.close()
    mapped: Any = MmapedDict
    assert [count for _, count, *_ in mapped.read_all_values_from_file(str(file))] == [2, 2, 2]

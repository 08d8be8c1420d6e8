"""What `make bench` says: the names of its figures, and how runs turn into a table."""

import io
import json
from pathlib import Path

from rich.console import Console

from benchmarks import measures, report
from benchmarks.figures import FULL, QUICK, Figure, Results, at_least, times

FLOOR = Figure(key="floor_ms", input="{asks:,} calls", at_most=True)
ASK = Figure(key="ask_ms", input="{asks:,} asks", target=times(1.5, "floor_ms"), at_most=True)
SPEED = Figure(key="speed", input="{actors:,} actors", target=at_least(100))
FIGURES = (FLOOR, ASK, SPEED)


def results(**values: list[float]) -> Results:
    return Results(values=values)


def table(found: Results) -> str:
    console = Console(file=io.StringIO(), width=200)
    report.show(console, FIGURES, found, FULL, "three runs")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(text: str, key: str) -> str:
    (line,) = (line for line in text.splitlines() if f"│{key} " in line)
    return line


def test_the_bench_measures_these_figures_under_these_names() -> None:
    assert [figure.key for measure in measures.ALL for figure in measure.figures] == [
        "durable_commands_per_s",
        "copy_ceiling_rows_per_s",
        "catch_up_events_per_s",
        "replay_events_per_s",
        "ask_per_s",
        "ask_p50_ms",
        "ask_p99_ms",
        "ray_two_hop_p50_ms",
        "bytes_per_resident_actor",
        "rehydrate_events_per_s",
        "naive_ray_per_s",
        "eventsourcing_single_per_s",
        "eventsourcing_batched_per_s",
    ]


def test_every_figure_says_its_input_in_numbers() -> None:
    for measure in measures.ALL:
        for figure in measure.figures:
            for sizes in (FULL, QUICK):
                assert "{" not in figure.says(sizes)


def test_a_figure_is_the_median_of_its_runs_with_the_spread_beside_it() -> None:
    found = report.flat([SPEED], results(speed=[90.0, 300.0, 120.0]), FULL, {})
    assert (found["speed"], found["speed_min"], found["speed_max"]) == (120.0, 90.0, 300.0)
    assert found["speed_target"] == 100.0
    assert found["speed_input"] == "1,000 actors"


def test_a_target_may_follow_from_another_figure() -> None:
    found = report.flat(FIGURES, results(floor_ms=[2.0], ask_ms=[3.1]), FULL, {})
    assert found["ask_ms_target"] == 3.0


def test_a_target_that_follows_from_what_was_not_measured_is_left_out() -> None:
    found = report.flat([ASK], results(ask_ms=[3.1]), FULL, {})
    assert "ask_ms_target" not in found


def test_durable_commands_have_to_reach_both_their_targets() -> None:
    durable = measures.ALL[0].figures[0]
    assert durable.target is not None
    assert durable.target({"copy_ceiling_rows_per_s": 90_000.0}) == 50_000
    assert durable.target({"copy_ceiling_rows_per_s": 120_000.0}) == 60_000


def test_the_table_says_what_met_its_target_and_what_fell_short() -> None:
    text = table(results(floor_ms=[2.0], ask_ms=[3.1], speed=[101.0]))
    assert "<= 3.00 short" in row(text, "ask_ms")
    assert ">= 100 met" in row(text, "speed")


def test_a_figure_that_failed_has_no_value_in_table_and_json() -> None:
    found = results(speed=[101.0])
    found.failures["speed"] = "NotAsExpected: 3 events are missing"
    assert "failed" in row(table(found), "speed")
    assert "3 events are missing" in table(found)
    flat = report.flat([SPEED], found, FULL, {})
    assert flat["speed"] is None
    assert "speed_min" not in flat
    assert flat["speed_failure"] == "NotAsExpected: 3 events are missing"


def test_the_json_is_flat_and_has_the_facts_of_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    report.write(path, report.flat([SPEED], results(speed=[101.0]), QUICK, {"quick": True}))
    content = json.loads(path.read_text())
    assert content["quick"] is True
    assert not any(isinstance(value, list | dict) for value in content.values())

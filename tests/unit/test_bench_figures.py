"""What `make bench` says: the names of its figures, and how runs turn into a table."""

import io
import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import measures, publish, report
from benchmarks.figures import Figure, Results, at_least, times
from benchmarks.measures import commands
from benchmarks.sizes import FULL, QUICK
from store.postgres.migrations import migration

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
        "first_touch_actors_per_s",
        "first_contact_s",
        "replay_events_per_s",
        "hosts_1_commands_per_s",
        "hosts_1_cpu_us",
        "hosts_2_commands_per_s",
        "hosts_2_cpu_us",
        "hosts_4_commands_per_s",
        "hosts_4_cpu_us",
        "partitions_1_commands_per_s",
        "partitions_1_cpu_us",
        "partitions_2_commands_per_s",
        "partitions_2_cpu_us",
        "ask_per_s",
        "ask_p50_ms",
        "ask_p99_ms",
        "commit_floor_p50_ms",
        "ray_two_hop_p50_ms",
        "publish_per_s",
        "publish_single_per_s",
        "live_1_commands_per_s",
        "live_50_commands_per_s",
        "live_100_commands_per_s",
        "live_1000_commands_per_s",
        "live_1_bus_us",
        "live_50_bus_us",
        "live_100_bus_us",
        "live_1000_bus_us",
        "bus_behind_bytes",
        "fanout_0_commands_per_s",
        "fanout_4_commands_per_s",
        "fanout_deliveries_per_s",
        "publish_to_delivery_p50_ms",
        "nats_core_deliveries_per_s",
        "bytewax_window_events_per_s",
        "pipeline_stateless_events_per_s",
        "pipeline_keyed_state_events_per_s",
        "pipeline_window_events_per_s",
        "handler_events_per_s",
        "projection_events_per_s",
        "actor_messages_per_s",
        "timer_schedule_per_s",
        "timer_fire_per_s",
        "timer_lateness_p99_ms",
        "timers_pending_bytes",
        "timers_pending_actors_bytes",
        "timers_pending_passive_bytes",
        "shard_move_pause_ms",
        "shard_move_p50_ms",
        "host_kill_recovery_s",
        "writer_kill_recovery_s",
        "postgres_restart_recovery_s",
        "http_commands_per_s",
        "http_bulk_commands_per_s",
        "sse_deliveries_per_s",
        "sse_idle_client_bytes",
        "akka_workload_per_s",
        "akka_workload_p99_ms",
        "bytes_per_resident_actor",
        "resident_million_per_s",
        "resident_million_bytes",
        "rehydrate_events_per_s",
        "node_kill_recovery_s",
        "node_kill_recovery_default_s",
        "clock_compare_ns",
        "naive_ray_per_s",
        "eventsourcing_single_per_s",
        "eventsourcing_batched_per_s",
        "dbos_batched_per_s",
        "dbos_single_per_s",
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
    assert found["ask_ms_met"] is False


def test_a_target_that_follows_from_what_was_not_measured_is_left_out() -> None:
    found = report.flat([ASK], results(ask_ms=[3.1]), FULL, {})
    assert "ask_ms_target" not in found


def target(key: str, **medians: float) -> float | None:
    """What a figure of the bench has to reach beside those medians."""
    (figure,) = (one for measure in measures.ALL for one in measure.figures if one.key == key)
    assert figure.target is not None
    return figure.target(medians)


def test_durable_commands_have_to_reach_both_their_targets() -> None:
    assert target("durable_commands_per_s", copy_ceiling_rows_per_s=90_000.0) == 50_000
    assert target("durable_commands_per_s", copy_ceiling_rows_per_s=120_000.0) == pytest.approx(
        66_000
    )


def test_one_ask_at_a_time_is_held_to_a_bare_commit_and_its_tail_to_the_middle() -> None:
    assert target("ask_p50_ms", commit_floor_p50_ms=0.5) == 1.5
    assert target("ask_p99_ms", ask_p50_ms=1.5) == 4.5


def test_fifty_live_subscriptions_may_cost_publishers_a_tenth() -> None:
    assert target("live_50_commands_per_s", live_1_commands_per_s=60_000.0) == 54_000


def test_new_actors_are_to_be_touched_at_a_fixed_rate() -> None:
    assert target("first_touch_actors_per_s") == 50_000


def test_quick_sizes_are_smaller_and_never_more_than_the_figures_need() -> None:
    full, quick = asdict(FULL), asdict(QUICK)
    assert all(quick[name] <= size for name, size in full.items())
    assert quick["million"] < full["million"] == 1_000_000
    assert QUICK.live_commands % QUICK.actors == FULL.live_commands % FULL.actors == 0


def test_the_ceiling_is_measured_with_the_columns_of_the_first_migration() -> None:
    table = migration(1).partition("CREATE TABLE events (")[2].partition(");")[0]
    columns = dict(
        re.findall(r"^    ([a-z_]+) +(uuid|bigint|timestamptz|text|jsonb)\b", table, re.M)
    )
    assert columns == commands.REFERENCE


def test_the_readme_gets_every_figure_of_a_row_with_spread_target_and_verdict() -> None:
    found = report.flat(FIGURES, results(floor_ms=[2.0], ask_ms=[2.9, 3.1, 3.2]), FULL, {})
    begin, end = f"text\n{publish.BEGIN} -->\n", f"{publish.END}\nmore\n"
    old, new = "old", "3.1 (2.9 to 3.2), target 3.0: short; 2.0 (2.0 to 2.0)"
    row = "| asks | `ask_ms`, `floor_ms` | {} |\n"
    assert publish.filled(begin + row.format(old) + end, found) == begin + row.format(new) + end


def test_a_failure_of_many_lines_stays_in_its_cell_of_the_readme() -> None:
    failed = {"speed": None, "speed_failure": "GetTimeoutError: a | b\nTraceback\n  and more"}
    assert publish.shown(failed, "speed") == "failed: GetTimeoutError: a / b"


def test_the_readme_has_a_row_for_every_figure() -> None:
    readme = (publish.ROOT / "README.md").read_text()
    table = readme.partition(publish.BEGIN)[2].partition(publish.END)[0]
    named = re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\|.*", table, re.M)))
    assert sorted(named) == sorted(one.key for measure in measures.ALL for one in measure.figures)


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

"""Names of processes: what each is, whose it is, and when it is drained."""

import pytest

from runtime.topology.names import (
    ProcessKind,
    drain_stages,
    exporter_name,
    gateway_name,
    kind_of,
    processes_among,
)

PLACEMENT = {"beacon": "dedicated", "counter": "pooled"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("directory", ProcessKind.DIRECTORY),
        ("writer", ProcessKind.WRITER),
        ("bus", ProcessKind.BUS),
        ("host-0", ProcessKind.POOLED_HOST),
        ("host-117", ProcessKind.POOLED_HOST),
        ("gateway-0", ProcessKind.GATEWAY),
        (gateway_name("1506096f3235f75aa327c655bf39dbb0"), ProcessKind.GATEWAY),
        (exporter_name("1506096f3235f75aa327c655bf39dbb0"), ProcessKind.EXPORTER),
        ("beacon/north", ProcessKind.DEDICATED_HOST),
        ("beacon/north/east", ProcessKind.DEDICATED_HOST),
    ],
)
def test_a_name_says_what_a_process_does(name: str, kind: ProcessKind) -> None:
    assert kind_of(name, PLACEMENT) is kind


@pytest.mark.parametrize(
    "name",
    ["mine", "host-", "host-0x", "ghost-0", "counter/a", "team/worker", "beacon", "beacon/", "/x"],
)
def test_an_actor_of_somebody_else_has_no_kind(name: str) -> None:
    assert kind_of(name, PLACEMENT) is None


def test_those_of_somebody_else_are_not_among_the_processes() -> None:
    found = processes_among(["writer", "mine", "beacon/b", "beacon/a", "team/worker"], PLACEMENT)
    assert list(found) == ["beacon/a", "beacon/b", "writer"]


def test_hosts_are_drained_before_the_writer_they_need_and_that_before_the_bus() -> None:
    names = ["directory", "bus", "writer", "beacon/a", "host-1", "host-0", "gateway-0"]
    stages = drain_stages(processes_among(names, PLACEMENT))
    assert [sorted(stage) for stage in stages] == [
        ["gateway-0"],
        ["beacon/a", "host-0", "host-1"],
        ["writer"],
        ["bus"],
        ["directory"],
    ]


def test_a_stage_without_a_process_is_left_out() -> None:
    assert drain_stages({"writer": ProcessKind.WRITER}) == [["writer"]]

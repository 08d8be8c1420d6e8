"""What a user would do instead, in the same run, each in a database of its own."""

from benchmarks.baselines import naive_ray_per_s
from benchmarks.bed import Bed, settle
from benchmarks.dbos_baseline import dbos_batched_per_s, dbos_single_per_s
from benchmarks.eventsourcing_baseline import (
    eventsourcing_batched_per_s,
    eventsourcing_single_per_s,
)
from benchmarks.figures import Figure, Measure

NAIVE, SINGLE, BATCHED = (
    "naive_ray_per_s", "eventsourcing_single_per_s", "eventsourcing_batched_per_s",
)  # fmt: skip
DBOS_BATCHED, DBOS_SINGLE = "dbos_batched_per_s", "dbos_single_per_s"


def naive_ray(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """A Ray actor a device and an INSERT an event."""
    with bed.database() as url:
        settle(url)
        sizes = bed.sizes
        return {NAIVE: naive_ray_per_s(url, devices=sizes.naive_devices, limit_s=sizes.rival_s)}


def eventsourcing_single(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """The library eventsourcing, one save an event."""
    with bed.database() as url:
        settle(url)
        return {SINGLE: eventsourcing_single_per_s(url, limit_s=bed.sizes.rival_s)}


def eventsourcing_batched(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """The library eventsourcing, many aggregates in one save."""
    with bed.database() as url:
        settle(url)
        return {BATCHED: eventsourcing_batched_per_s(url, limit_s=bed.sizes.rival_s)}


def dbos_batched(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """The library dbos, thousands of commands in one transaction of one workflow."""
    with bed.database() as url:
        settle(url)
        sizes = bed.sizes
        return {DBOS_BATCHED: dbos_batched_per_s(url, batch=sizes.job, limit_s=sizes.rival_s)}


def dbos_single(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """The library dbos, a workflow of one transaction for each command."""
    with bed.database() as url:
        settle(url)
        return {DBOS_SINGLE: dbos_single_per_s(url, limit_s=bed.sizes.rival_s)}


MEASURES = (
    Measure(
        naive_ray,
        (
            Figure(
                key=NAIVE,
                input="{naive_devices} Ray actors, an INSERT an event; 4,000 events "
                "or {rival_s:g} s",
            ),
        ),
    ),
    Measure(
        eventsourcing_single,
        (
            Figure(
                key=SINGLE,
                input="the library eventsourcing, 20 aggregates, one save an event; 3,000 events "
                "or {rival_s:g} s",
            ),
        ),
    ),
    Measure(
        eventsourcing_batched,
        (
            Figure(
                key=BATCHED,
                input="the same, 1,000 aggregates a save, two processes; 50,000 events or "
                "{rival_s:g} s",
            ),
        ),
    ),
    Measure(
        dbos_batched,
        (
            Figure(
                key=DBOS_BATCHED,
                input="the library dbos, {job:,} commands the input of one workflow and the rows "
                "of one transaction, two under way; 500,000 commands or {rival_s:g} s",
            ),
        ),
    ),
    Measure(
        dbos_single,
        (
            Figure(
                key=DBOS_SINGLE,
                input="the same, a workflow and a transaction a command, four under way; 3,000 "
                "commands or {rival_s:g} s",
            ),
        ),
    ),
)

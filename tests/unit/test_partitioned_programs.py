"""Which stream programs may run in a system of several partitions."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from actors.event import Event, Payload
from runtime.errors import NotPossible
from runtime.processing.partitioned_programs import (
    home_of_program,
    is_merged,
    reads_all_logs,
)
from runtime.topology.partitions import COUNTS, partition_of
from streams.aggregates import Count
from streams.errors import InvalidProgram
from streams.handler import Handler
from streams.handlers import Handlers
from streams.pipeline import EventPipeline
from streams.programs import program_of
from streams.projection import Rebuilt
from streams.windows import Tumbling
from tests.integration.devices import Counter
from tests.programs import Totals
from tests.projections import Tallies

HOUR = Tumbling(timedelta(hours=1))


class Copy(Handler):
    """Takes the key that handlers have."""

    event_types = ("added",)

    def handle(self, event: Event) -> Sequence[Payload]:
        return []


class Elsewhere(Copy):
    """Has its own keys, though it is a handler."""

    def route(self, event: Event) -> Iterator[tuple[str, Any]]:
        yield str(event.data["amount"]), None


class ByAmount(Tallies):
    """Of each amount, of whichever counter."""

    def key(self, event: Event) -> str:
        return str(event.data["amount"])


class Routed(Tallies):
    """Says in another place whose row it is."""

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        return ((event.event_type, None),)


def added() -> EventPipeline:
    return EventPipeline("counted", "added")


@pytest.mark.parametrize(
    "program",
    [
        ByAmount,
        Routed,
        Elsewhere,
        added().key_by("amount").fold(0, lambda count, _: count + 1).emit("counted"),
        added().key_by("amount").window(HOUR, Count()).emit("counted"),
        Totals("totals", ["counter/*"]),
    ],
    ids=lambda program: str(getattr(program, "name", program)),
)
def test_a_program_reads_all_logs_whose_keys_may_be_in_several(program: Any) -> None:
    assert reads_all_logs(program)
    made = program_of(program)
    assert is_merged(made, 2)
    assert not is_merged(made, 1)


def test_handlers_run_together_where_the_keys_of_each_are_the_sources_of_events() -> None:
    with pytest.raises(NotPossible, match="other keys than the sources of events"):
        reads_all_logs(Handlers("both", Copy, Elsewhere))


def test_what_is_built_anew_has_its_home_where_the_other_one_has() -> None:
    rebuilt = Rebuilt(ByAmount())
    assert is_merged(rebuilt, 2)
    assert not is_merged(Rebuilt(Tallies()), 2)
    assert {home_of_program(name, 16) for name in (ByAmount().name, rebuilt.name)} == {
        home_of_program(ByAmount().name, 16)
    }
    assert {home_of_program(f"program-{number}", 2) for number in range(50)} == {0, 1}


@pytest.mark.parametrize(
    "program",
    [
        Copy,
        Copy(),
        Handlers("alone", Copy),
        added().fold(0, lambda count, _: count + 1).emit("counted"),
        added().window(HOUR, Count()).emit("counted"),
        Tallies,
        Counter,
    ],
    ids=lambda program: str(getattr(program, "name", program)),
)
def test_a_program_runs_whose_keys_are_the_sources_of_events(program: Any) -> None:
    assert not reads_all_logs(program)


def test_what_is_no_program_is_told_as_ever() -> None:
    with pytest.raises(InvalidProgram):
        reads_all_logs(object())  # type: ignore[arg-type]


@pytest.mark.parametrize("partitions", COUNTS)
def test_what_programs_make_of_a_source_is_at_home_beside_it(partitions: int) -> None:
    """Also what a second program makes of that, and where names have slashes."""
    homes = set()
    for number in range(200):
        for source in (f"meter/{number}", f"meter/{number}/left", f"meter/a/{number}/b"):
            home = partition_of(source, partitions)
            homes.add(home)
            for output in (f"alerts/{source}", f"mails/alerts/{source}"):
                assert partition_of(output, partitions) == home
    assert homes == set(range(partitions))

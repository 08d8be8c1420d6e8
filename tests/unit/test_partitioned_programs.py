"""Which stream programs may run in a system of several partitions."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from actors.event import Event, Payload
from runtime.errors import NotPossible
from runtime.processing.partitioned_programs import check_for_partitions
from runtime.topology.partitions import COUNTS, partition_of
from streams.aggregates import Count
from streams.errors import InvalidProgram
from streams.handler import Handler
from streams.handlers import Handlers
from streams.pipeline import EventPipeline
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
        Handlers("both", Copy, Elsewhere),
        added().key_by("amount").fold(0, lambda count, _: count + 1).emit("counted"),
        added().key_by("amount").window(HOUR, Count()).emit("counted"),
        Totals("totals", ["counter/*"]),
    ],
    ids=lambda program: str(getattr(program, "name", program)),
)
def test_a_program_is_refused_whose_keys_may_be_in_several_logs(program: Any) -> None:
    with pytest.raises(NotPossible, match="other keys than the sources of events"):
        check_for_partitions(program)


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
    check_for_partitions(program)


def test_what_is_no_program_is_told_as_ever() -> None:
    with pytest.raises(InvalidProgram):
        check_for_partitions(object())  # type: ignore[arg-type]


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

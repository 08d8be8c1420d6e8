"""Nodes that somebody made up stay in the event that names them."""

from typing import Any

from actors.clock import MAX_COUNT, MAX_NODES
from runtime.wire.answers import read_events
from runtime.wire.commands import (
    PUBLISH,
    pack_request,
)
from runtime.wire.reading import unpack_request
from tests.unit.hosting import Add, Hosting, command
from tests.virtual_time import virtual_time


def published(clock: dict[str, int]) -> list[Any]:
    data = {"event_type": "seen", "kind": "system", "data": b"{}", "metadata": {}, "clock": clock}
    return command("tower/jfk", PUBLISH, data=data)


@virtual_time
async def test_nodes_that_somebody_made_up_are_in_the_event_that_names_them_and_in_no_other() -> (
    None
):
    host = await Hosting.begin()
    named = {f"made-up-{number}": 1 for number in range(MAX_NODES - 1)} | {"elsewhere": 7}
    first = await host.deliver(published(named))
    second = await host.deliver(published({"another": 2}), clock=named)
    third = await host.deliver(command("counter/a", Add()), clock=named)
    host = await Hosting.begin(host.store)  # which loads the last published event
    fourth = await host.deliver(published({}))
    clocks = [dict(read_events(one, 0)[0].vector_clock) for one in (first, second, third, fourth)]
    assert clocks == [
        {**named, "host": 1},
        {"another": 2, "elsewhere": 7, "host": 2},
        {"elsewhere": 7, "host": 3},
        {"elsewhere": 7, "host": 4},
    ]
    assert second.clock == third.clock | {"host": 2} == {"elsewhere": 7, "host": 2}


@virtual_time
async def test_an_answer_that_repeats_a_published_event_does_not_pass_its_made_up_nodes_on() -> (
    None
):
    host = await Hosting.begin()
    await host.deliver(sent := published({"made-up": 1}))
    host = await Hosting.begin(host.store)
    again = await host.deliver(sent)
    assert dict(read_events(again, 0)[0].vector_clock) == {"made-up": 1, "host": 1}
    assert again.clock == {"host": 1}


@virtual_time
async def test_a_clock_of_as_many_events_as_one_counts_shuts_no_driver_out() -> None:
    host = await Hosting.begin()
    await host.deliver(published({"host": MAX_COUNT}))
    answer = await host.deliver(command("counter/a", Add()), clock={"host": MAX_COUNT})
    assert answer.clock == {"host": 2}
    pack = pack_request(b"driver", 0, 0, answer.clock, True, [])
    assert unpack_request(pack).clock == {"host": 2}

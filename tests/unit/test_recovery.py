"""The states of a host's recovery: what follows what is what its table says."""

import asyncio

import pytest

from runtime.host import recovery
from runtime.host.recovery import Recovery, State
from runtime.partition.writer_link import WriterAway
from runtime.wire.answers import read_events
from runtime.wire.commands import unpack_answer
from store.appends import Acknowledged, Append
from store.errors import StaleEpoch, StoreUnavailable, VersionConflict
from tests.unit.hosting import NODE, Add, Break, Hosting, command, versions
from tests.unit.test_host_histories import history
from tests.unit.writing import GONE
from tests.virtual_time import virtual_time

Transition = tuple[State, State]


def table() -> set[Transition]:
    """The transitions that the module's docstring promises."""
    assert recovery.__doc__ is not None
    found, state = set(), ""
    for line in recovery.__doc__.splitlines():
        if line.startswith("|") and not line.startswith(("|-", "| state")):
            first, *_, following = [cell.strip() for cell in line.strip("|").split("|")]
            state = first or state
            if following:
                found.add((State[state], State[following]))
    return found


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> set[Transition]:
    """The transitions that the recoveries of a test make."""
    transitions: set[Transition] = set()

    def become(self: Recovery, state: State) -> None:
        before = self.__dict__.get("_state", state)
        if before is not state:
            transitions.add((before, state))
        self.__dict__["_state"] = state

    present = property(lambda self: self.__dict__["_state"], become)
    monkeypatch.setattr(Recovery, "state", present, raising=False)
    return transitions


def fail(host: Hosting, *failures: Exception) -> None:
    """The next appends end with these failures."""
    left = list(failures)

    async def way(append: Append) -> Acknowledged:
        if left:
            raise left.pop(0)
        return await host.writing.writer.append(append)

    host.way = way  # type: ignore[method-assign]


@virtual_time
async def test_every_transition_of_the_table_happens(seen: set[Transition]) -> None:
    host = await Hosting.begin()
    fail(host, VersionConflict("on cue"), WriterAway("killed"), VersionConflict("on cue"))
    answer = await host.deliver(command("counter/a", Add()), command("counter/b", Break()))
    assert versions(read_events(answer, 0)) == [1]
    fail(host, GONE)
    with pytest.raises(StoreUnavailable):
        await host.ask("counter/a", Add())
    host.begin_generation()
    fail(host, WriterAway("killed"))
    host.writer_back.clear()
    asking = asyncio.ensure_future(host.ask("counter/a", Add()))
    await asyncio.sleep(1)
    host.gone = GONE
    host.writer_back.set()
    with pytest.raises(StoreUnavailable):
        await asking
    host.gone = None
    host.begin_generation()
    fail(host, StaleEpoch(NODE, 1))
    batches = [host.send(command("counter/a", Add())) for _ in range(2)]
    answers = [await batch.answer for batch in batches]
    assert len(answers) == 2
    with pytest.raises(StaleEpoch):
        await host.running
    assert seen == table()


@pytest.mark.parametrize("seed", range(20))
@virtual_time
async def test_no_other_transition_happens(seen: set[Transition], seed: int) -> None:
    await history(seed)
    assert seen <= table()


@virtual_time
async def test_a_writer_that_is_waited_for_is_given_the_same_commands(
    seen: set[Transition],
) -> None:
    host = await Hosting.begin()
    fail(host, WriterAway("killed"))
    host.writer_back.clear()
    batch = host.send(command("counter/a", Add()))
    await asyncio.sleep(1)
    assert not batch.answer.done()
    host.writer_back.set()
    assert versions(read_events(unpack_answer(await batch.answer), 0)) == [1]
    assert (State.SETTLING, State.WAITING) in seen

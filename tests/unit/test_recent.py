"""The table of recent commands: bounded, and without ties to what it remembers no more."""

import gc
import weakref
from itertools import pairwise

from runtime.host.batch import Attempt, Batch
from runtime.host.effects import Effects
from runtime.host.recent import InVain, Recent
from runtime.wire.answers import read_events
from store.rows.layout import EncodedRows
from tests.unit.hosting import Add, Hosting, command
from tests.virtual_time import virtual_time


def effects_of(*command_ids: bytes, size: int = 10) -> Effects:
    """Of commands with one event of so many bytes each."""
    effects = Effects()
    effects.counts = dict.fromkeys(command_ids, 1)
    effects.rows = EncodedRows.of([bytes(size)] * len(command_ids))
    return effects


def remembered(recent: Recent, *all_effects: Effects) -> Recent:
    for effects in all_effects:
        recent.update(dict.fromkeys(effects.counts, effects))
        recent.keep(effects)
    return recent


def test_so_many_commands_are_remembered_and_the_oldest_are_forgotten() -> None:
    recent = remembered(Recent(3), effects_of(b"a", b"b"), effects_of(b"c"), effects_of(b"d", b"e"))
    assert set(recent) == {b"c", b"d", b"e"}


def test_so_many_bytes_are_remembered_however_few_commands_they_are() -> None:
    recent = Recent(1_000, max_bytes=10_000)
    for number in range(50):
        remembered(recent, effects_of(bytes([number]), size=3_000))
        assert recent.bytes <= 10_000
    assert set(recent) == {bytes([number]) for number in (47, 48, 49)}
    remembered(recent, effects_of(b"huge", size=20_000))
    assert (set(recent), recent.bytes) == (set(), 0)


def test_a_command_that_ran_anew_is_not_forgotten_with_its_first_run() -> None:
    first, second = effects_of(b"a"), effects_of(b"a")
    recent = remembered(Recent(10), first)
    recent[b"a"] = second
    recent.forget(first)
    assert recent[b"a"] is second


@virtual_time
async def test_repeats_tie_no_batch_to_older_ones() -> None:
    """Each batch repeats a command of the last, as those of an at-least-once feed do."""
    host = await Hosting.begin(recent=20)
    commands = [command("counter/a", Add()) for _ in range(60)]
    batches: list[weakref.ref[Batch]] = []
    for last, this in pairwise(commands):
        batch = host.send(last, this)
        await batch.answer
        batches.append(weakref.ref(batch))
        del batch
    gc.collect()
    assert sum(one() is not None for one in batches) <= 1, "the last alone"
    attempts = [one for one in gc.get_objects() if isinstance(one, Attempt)]
    # Those of other tests may be there still, of batches without a command, too.
    ours = [one for one in attempts if any(each in commands for each in one.batch.commands[-1:])]
    assert len(ours) <= 1
    assert len(host.recent) <= 20


@virtual_time
async def test_a_repeat_is_answered_though_its_first_run_is_forgotten_meanwhile() -> None:
    host = await Hosting.begin(recent=1)
    sent = command("counter/a", Add(times=2))
    answers = [await host.deliver(sent, command("counter/b", Add())) for _ in range(2)]
    assert read_events(answers[0], 0) == read_events(answers[1], 0) == await host.log("counter/a")


def test_of_commands_without_effect_so_many_are_remembered_and_so_many_bytes() -> None:
    in_vain = InVain(3)
    for number in range(5):
        in_vain.add(bytes([number]), "lamp/a", "use", ("Rejected", ["it is off"]))
    assert [in_vain.of(bytes([n]), "lamp/a", "use") is not None for n in range(5)] == (
        [False] * 2 + [True] * 3
    )
    in_vain = InVain(1_000, max_bytes=10_000)
    for number in range(50):
        in_vain.add(bytes([number]), "lamp/a", "use", ("Rejected", ["x" * 2_900]))
        assert in_vain.bytes <= 10_000
    assert len(in_vain) == 3
    for number in range(50):
        in_vain.forget(bytes([number]))
    assert (len(in_vain), in_vain.bytes) == (0, 0)


def test_an_outcome_without_effect_is_that_of_one_actor_s_command() -> None:
    in_vain = InVain(3)
    in_vain.add(b"id", "lamp/a", "use", None)
    assert in_vain.of(b"id", "lamp/b", "use") is None
    assert in_vain.of(b"id", "lamp/a", "switch") is None
    outcome = in_vain.of(b"id", "lamp/a", "use")
    assert outcome is not None
    assert outcome.error is None

"""The checker of the chaos suite finds what is wrong, and names it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest

from actors import ids
from actors.naming import aggregate_key_of
from runtime.processing.letters import derived
from store.receipts import Receipt
from tests.chaos import identity
from tests.chaos.checker import problems
from tests.chaos.history import ClockSet, EventRow, History, Seen, Sending, TallyRow
from tests.chaos.judging_followers import receipt
from tests.chaos.made_history import made_history


def without_event(history: History, **like: Any) -> History:
    """As if the first such event had never been stored: what comes after it moves up."""
    [gone, *_] = [row for row in history.events if _is_like(row, like)]
    rows = []
    for row in history.events:
        if row is gone:
            continue
        later = row.source == gone.source and row.version > gone.version
        rows.append(
            replace(
                row,
                position=row.position - (row.position > gone.position),
                version=row.version - later,
            )
        )
    return _of(history, events=rows)


def changed(history: History, position: int, **values: Any) -> History:
    """One event is another."""
    rows = [replace(row, **values) if row.position == position else row for row in history.events]
    return _of(history, events=rows)


def clocks_set(
    history: History, by_us: int, from_ns: int = 0, until_ns: int = 1, right_ns: int | None = None
) -> History:
    """A machine's clock was set, and perhaps right again later."""
    off = ClockSet(machine="one", by_us=by_us, from_ns=from_ns, until_ns=until_ns)
    right = [] if right_ns is None else [replace(off, by_us=0, from_ns=right_ns, until_ns=right_ns)]
    return replace(history, clocks=[off, *right])


def with_event(history: History, of: int, **values: Any) -> History:
    """One event more at the end of the log, like another one."""
    row = history.events[of - 1]
    version = 1 + sum(each.source == row.source for each in history.events)
    at = len(history.events) + 1
    more: dict[str, Any] = {
        "position": at,
        "version": version,
        "recorded_us": at,
        "id": uuid4().bytes,
    } | values
    return _of(history, events=[*history.events, replace(row, **more)])


def swapped(history: History, one: int, other: int) -> History:
    """Two events, at each other's place in the log; each with its version."""
    rows = list(history.events)
    first, second = rows[one - 1], rows[other - 1]
    rows[one - 1] = replace(second, position=one, recorded_us=first.recorded_us)
    rows[other - 1] = replace(first, position=other, recorded_us=second.recorded_us)
    return _of(history, events=rows)


def with_data(history: History, position: int, **values: Any) -> History:
    """The data of one event say something else."""
    row = history.events[position - 1]
    return changed(history, position, data={**row.data, **values})


def moved_from(history: History, first: int, *, by: int) -> History:
    """All events from a position on are elsewhere."""
    rows = [
        replace(row, position=row.position + by * (row.position >= first)) for row in history.events
    ]
    return _of(history, events=rows)


def heard_otherwise(history: History, number: int, **values: Any) -> History:
    """One driver heard something else."""
    sendings = list(history.sendings)
    sendings[number] = replace(sendings[number], **values)
    return _of(history, sendings=sendings)


def receipt_otherwise(history: History, **values: Any) -> History:
    """The subscription says something else of itself."""
    first, *others = history.checkpoints
    return _of(history, checkpoints=[replace(first, **values), *others])


def seen_otherwise(history: History, change: Callable[[list[Seen]], list[Seen]]) -> History:
    """The last reader saw something else."""
    first, last = history.seen["ledger"]
    return _of(history, seen={"ledger": [first, change(list(last))]})


def tallied_otherwise(history: History, *rows: TallyRow) -> History:
    """The projection has these rows."""
    return _of(history, tallies=rows)


def _of(history: History, **values: Any) -> History:
    parts = {
        name: getattr(history, name)
        for name in (
            "events", "sendings", "seen", "checkpoints", "tallies", "zero_us", "clocks",
        )
    }  # fmt: skip
    return History(**(parts | values))


def _is_like(row: EventRow, like: dict[str, Any]) -> bool:
    return all(getattr(row, name) == value for name, value in like.items())


def position_of(history: History, event_type: str, **data: Any) -> int:
    """Of the first such event."""
    return next(
        row.position
        for row in history.events
        if row.event_type == event_type and all(row.data.get(k) == v for k, v in data.items())
    )


def cause_of(history: History, event_type: str, **data: Any) -> EventRow:
    """The first such event."""
    return history.events[position_of(history, event_type, **data) - 1]


def sent_twice_in_effect(history: History) -> History:
    """A message takes effect a second time, at the end of the log."""
    at = position_of(history, "power-queued", charger="other")
    return with_event(history, at)


def driver_order_turned(history: History) -> History:
    """Two commands to one actor were sent the other way round, and at once."""
    sendings = list(history.sendings)
    one, other = sendings[1], sendings[3]
    assert one.source == other.source
    sendings[1] = replace(one, number=other.number, sent_ns=0)
    sendings[3] = replace(other, number=one.number, sent_ns=0)
    return _of(history, sendings=sendings)


def sent_after_an_acknowledgement(history: History) -> History:
    """A command that another driver sent when a later one had been acknowledged."""
    return heard_otherwise(history, 1, driver="driver-1-0", sent_ns=10**6, answered_ns=10**6 + 1)


#: What was done to the history, and what has to be found: its kind, and words that name it.
WRONG: dict[str, tuple[Callable[[History], History], str, str]] = {
    "an acknowledged command is lost": (
        lambda h: without_event(h, event_type="added", source="counter/c-1"),
        "loss",
        "add",
    ),
    "one event of a command is lost": (
        lambda h: without_event(h, event_type="added", data={"amount": 1}, source="counter/c-0"),
        "loss",
        "burst",
    ),
    "a command took effect twice": (
        lambda h: with_event(h, 2),
        "duplicate",
        "not those of one effect",
    ),
    "an event stands in the log twice": (
        lambda h: with_event(h, 2, id=h.events[1].id),
        "duplicate",
        "stands 2 times",
    ),
    "a position is missing": (
        lambda h: moved_from(h, 5, by=1),
        "gap",
        "no position 5",
    ),
    "a position stands twice": (
        lambda h: moved_from(h, 5, by=-1),
        "duplicate",
        "position 4 stands twice",
    ),
    "a version is missing": (
        lambda h: changed(h, position_of(h, "charging-started", kw=30.0), version=9),
        "gap",
        "managed-charger/other has no version 3",
    ),
    "versions do not follow positions": (
        lambda h: swapped(h, 2, 4),
        "reordering",
        "the versions of counter/c-0",
    ),
    "an event was recorded before the one in front of it": (
        lambda h: changed(h, 4, recorded_us=1),
        "reordering",
        "position 4 was recorded before",
    ),
    "commands of one driver to one actor changed places": (
        driver_order_turned,
        "reordering",
        "sent earlier",
    ),
    "a command stands before one that had been acknowledged": (
        sent_after_an_acknowledgement,
        "reordering",
        "had been acknowledged when it was sent",
    ),
    "an event has other data": (
        lambda h: changed(h, 2, data={"amount": 99}),
        "altered",
        "other data",
    ),
    "a driver was told another position": (
        lambda h: heard_otherwise(h, 1, events=[replace(h.sendings[1].events[0], position=3)]),
        "altered",
        "was told position 3",
    ),
    "a command that was rejected has an effect": (
        lambda h: heard_otherwise(h, 1, outcome="rejected", events=()),
        "stranger",
        "was rejected",
    ),
    "nobody sent it": (
        lambda h: _of(h, sendings=[s for s in h.sendings if s.number != 3]),
        "stranger",
        "nobody sent",
    ),
    "a command had an effect on somebody else": (
        lambda h: with_event(h, 3, causation_id=h.sendings[1].id),
        "stranger",
        "nobody sent",
    ),
    "the subscription skipped an event": (
        lambda h: seen_otherwise(h, lambda seen: [*seen[:2], *seen[3:]]),
        "loss",
        "skipped 1",
    ),
    "the subscription began behind what nobody saw": (
        lambda h: seen_otherwise(h, lambda seen: seen[3:]),
        "loss",
        "nobody saw",
    ),
    "the subscription never saw the end": (
        lambda h: seen_otherwise(h, lambda seen: seen[:-1]),
        "loss",
        "never saw the last 1",
    ),
    "the subscription saw an event twice in a row": (
        lambda h: seen_otherwise(h, lambda seen: [*seen[:2], *seen[1:]]),
        "duplicate",
        "behind a later one",
    ),
    "the subscription saw two events in the wrong order": (
        lambda h: seen_otherwise(h, lambda seen: [seen[0], seen[2], seen[1], *seen[3:]]),
        "reordering",
        "behind a later one",
    ),
    "a receipt counts one too few": (
        lambda h: receipt_otherwise(h, finished=h.checkpoints[0].finished - 1),
        "receipt",
        "ledger",
    ),
    "a receipt is of other events": (
        lambda h: receipt_otherwise(h, digest=sha256(b"x").digest()[:16]),
        "receipt",
        "other events",
    ),
    "a checkpoint stands before the end": (
        lambda h: receipt_otherwise(
            h, position=3, finished=2, digest=receipt(r.id for r in h.events[1:3])[1]
        ),
        "loss",
        "never came to",
    ),
    "a slot of the program is missing": (
        lambda h: _of(h, checkpoints=h.checkpoints[:-1]),
        "loss",
        "15 of 16 slots",
    ),
    "the projection has a row too many": (
        lambda h: tallied_otherwise(
            h, *h.tallies, TallyRow(key="counter/x", events=1, amount=1, through=1)
        ),
        "projection",
        "a row too many: counter/x",
    ),
    "the projection has a row too few": (
        lambda h: tallied_otherwise(h, *h.tallies[1:]),
        "projection",
        "a row too few",
    ),
    "the projection counted an event twice": (
        lambda h: tallied_otherwise(
            h, replace(h.tallies[0], events=h.tallies[0].events + 1), *h.tallies[1:]
        ),
        "projection",
        "should be",
    ),
    "an output of the program is missing": (
        lambda h: _of(h, events=[r for r in h.events if r.position < len(h.events)]),
        "output",
        "instead of",
    ),
    "a message took effect twice": (
        sent_twice_in_effect,
        "duplicate",
        "not those of one effect",
    ),
    "a message had no effect": (
        lambda h: without_event(h, event_type="power-queued", source="load-manager/s", version=5),
        "loss",
        "was not returned",
    ),
    "a message was returned and had an effect too": (
        lambda h: with_event(
            h,
            position_of(h, "power-queued"),
            causation_id=cause_of(h, "message-returned").causation_id,
        ),
        "duplicate",
        "not those of one effect",
    ),
    "messages of a pair changed places": (
        lambda h: swapped(
            h, position_of(h, "power-queued"), position_of(h, "power-released", charger="one")
        ),
        "reordering",
        "took effect before",
    ),
    "more is granted than there is": (
        lambda h: changed(h, position_of(h, "limit-set"), data={"kw": 35.0}),
        "limit",
        "40 of 35 kW",
    ),
    "a timer has never fired": (
        lambda h: without_event(h, event_type="timer-fired", source="alarm/a-0"),
        "loss",
        "of alarm/a-0 has never fired",
    ),
    "a timer has fired twice": (
        lambda h: with_event(h, position_of(h, "timer-fired", timer="timer-alarm/a-0-1")),
        "duplicate",
        "has fired 2 times",
    ),
    "a timer has fired before its time": (
        lambda h: with_data(
            h, position_of(h, "timer-set", timer="timer-alarm/a-0-1"), due_us=10**9
        ),
        "early",
        "before its time",
    ),
    "a timer that was set anew has fired": (
        lambda h: with_event(
            h,
            position_of(h, "timer-fired", timer="timer-alarm/a-1-2"),
            data={"key": "bell", "timer": "timer-alarm/a-1-1"},
        ),
        "duplicate",
        "though it was set anew or cancelled before",
    ),
    "a timer that was cancelled has fired": (
        lambda h: with_event(
            h,
            position_of(h, "timer-set", timer="timer-alarm/a-2-1"),
            event_type="timer-fired",
            data={"key": "bell", "timer": "timer-alarm/a-2-1"},
        ),
        "duplicate",
        "though it was set anew or cancelled before",
    ),
    "a timer has fired that nobody set": (
        lambda h: with_data(
            h, position_of(h, "timer-fired", timer="timer-alarm/a-0-1"), timer="another"
        ),
        "stranger",
        "that nobody set",
    ),
    "a timer has fired and led to nothing": (
        lambda h: without_event(h, event_type="rang", source="alarm/a-1"),
        "loss",
        "the clock has not rung",
    ),
    "a timer has led to what another one says": (
        lambda h: with_data(h, position_of(h, "rang", number=2), number=1),
        "altered",
        "rang for another one",
    ),
    "a timer has fired early by its host's clock, which the writer's does not show": (
        lambda h: changed(
            clocks_set(with_data(h, position_of(h, "timer-set"), due_us=2), 10**9),
            position_of(h, "timer-fired"),
            at_us=1,
        ),
        "early",
        "by the clock of its host",
    ),
    "a timer has fired earlier than clocks were apart": (
        lambda h: changed(
            clocks_set(with_data(h, position_of(h, "timer-set"), due_us=10**7), 10**6),
            position_of(h, "timer-fired"),
            at_us=10**7,
        ),
        "early",
        "by the clock of its writer",
    ),
    "moments fall by more than clocks were apart": (
        lambda h: changed(clocks_set(h, 1_000), 1, recorded_us=5_000),
        "reordering",
        "was recorded before",
    ),
    "what was acknowledged was recorded at another time than between command and answer": (
        lambda h: changed(replace(h, zero_us=0), 4, recorded_us=10**9),
        "moment",
        "neither between",
    ),
    "it was recorded by a clock that was right again": (
        lambda h: changed(
            clocks_set(replace(h, zero_us=0), 10**9, until_ns=-2, from_ns=-3, right_ns=-1),
            4,
            recorded_us=10**9,
        ),
        "moment",
        "neither between",
    ),
    "what a timer leads to is somebody else's": (
        lambda h: with_event(
            h,
            position_of(h, "rang", number=2),
            causation_id=h.events[position_of(h, "timer-set", timer="timer-alarm/a-0-1") - 1].id,
        ),
        "stranger",
        "nobody sent",
    ),
    "who has a grant was never told": (
        lambda h: without_event(h, event_type="charging-started", source="managed-charger/other"),
        "loss",
        "was never told what",
    ),
}


def test_nothing_is_wrong_with_a_history_that_keeps_what_is_promised() -> None:
    assert problems(made_history()) == []


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_found_and_named(wrong: str) -> None:
    damage, kind, words = WRONG[wrong]

    found = problems(damage(made_history()))

    assert [each for each in found if each.kind == kind and words in each.what], found


def test_moments_may_be_those_of_a_clock_that_was_off_just_then() -> None:
    history = clocks_set(replace(made_history(), zero_us=0), 10**9)

    assert problems(history) == []
    assert problems(changed(history, 4, recorded_us=10**9)) == []


def test_what_was_sent_again_is_held_against_its_first_effect() -> None:
    history = made_history()
    again: Sending = replace(history.sendings[1], driver="driver-0-1", sent_ns=10**6)

    assert problems(_of(history, sendings=[*history.sendings, again])) == []


def test_what_may_be_rejected_may_stand_behind_what_was_sent_after_it() -> None:
    """Its host had rejected it when it was killed, and the next one decided it anew."""
    history = made_history()
    sendings = list(history.sendings)
    plugged, unplugged = (
        next(
            place
            for place, each in enumerate(sendings)
            if (each.source, each.message_type) == ("managed-charger/one", message_type)
        )
        for message_type in ("plug-in", "unplug")
    )
    one, other = sendings[plugged], sendings[unplugged]
    sendings[plugged] = replace(one, number=other.number, sent_ns=0)
    sendings[unplugged] = replace(other, number=one.number, sent_ns=0)

    assert problems(_of(history, sendings=sendings)) == []


def test_what_nothing_could_have_rejected_stands_in_its_order() -> None:
    """A car that was plugged in later stands first, and the charger was free before it."""
    history = made_history()
    sendings = list(history.sendings)
    places = [at for at, each in enumerate(sendings) if each.source == "managed-charger/one"]
    first, away, second = (sendings[at] for at in places)
    assert [each.message_type for each in (first, away, second)] == ["plug-in", "unplug", "plug-in"]
    for at, number in zip(places, (away.number, second.number, first.number), strict=True):
        sendings[at] = replace(sendings[at], number=number, sent_ns=0)

    [problem] = problems(_of(history, sendings=sendings))
    assert problem.kind == "reordering"


def test_what_follows_from_an_event_with_a_command_s_id_is_no_effect_of_the_command() -> None:
    history = made_history()
    last = history.sendings[-1]
    twin: Sending = replace(last, id=history.events[1].id, number=99, outcome="rejected", events=())

    assert problems(_of(history, sendings=[*history.sendings, twin])) == []


def test_what_was_never_answered_may_be_in_the_log_or_not() -> None:
    history = made_history()
    unanswered = heard_otherwise(history, 1, outcome=None, answered_ns=None, events=())
    never_came = replace(unanswered.sendings[1], id=uuid4().bytes, number=99)

    assert problems(_of(unanswered, sendings=[*unanswered.sendings, never_came])) == []


def test_ids_are_written_anew_as_the_runtime_has_them() -> None:
    for command in (uuid4().bytes for _ in range(50)):
        assert identity.event_ids(command, 4) == [ids.event_id(command, n) for n in range(4)]
        assert identity.message_command_id(command) == derived(command, b"message")
        source = f"counter/{UUID(bytes=command)}"
        assert identity.aggregate_id(source) == aggregate_key_of(source)


def test_receipts_are_written_anew_as_the_runtime_has_them() -> None:
    many: Sequence[bytes] = [uuid4().bytes for _ in range(300)]
    theirs = Receipt().plus(many)

    assert receipt(many) == (theirs.count, theirs.digest)

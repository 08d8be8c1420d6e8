"""Timers: each fired once, not before its time, unless it was set anew or cancelled before."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.chaos.history import EventRow, History, Problem

SET, CANCELLED, FIRED = "timer-set", "timer-cancelled", "timer-fired"


def timer_problems(history: History) -> Iterator[Problem]:
    """All there is to say of them."""
    of_source: dict[str, list[EventRow]] = defaultdict(list)
    for row in history.events:
        of_source[row.source].append(row)
    for source, rows in of_source.items():
        if any(row.event_type in (SET, CANCELLED, FIRED) for row in rows):
            yield from _of_one(source, rows, history.spread_us)


def _of_one(source: str, rows: Sequence[EventRow], spread_us: int) -> Iterator[Problem]:
    """Of the timers of one actor, whose events these are, where clocks were so far apart."""
    known = {row.data["timer"] for row in rows if row.event_type == SET}
    for place, row in enumerate(rows):
        if row.event_type == SET:
            name = f"timer at {row.position} of {source}"
            yield from _of_timer(name, row, rows[place + 1 :], spread_us)
        elif row.event_type == FIRED and row.data["timer"] not in known:
            yield Problem(
                "stranger", f"at {row.position} of {source} a timer fired that nobody set"
            )


def _of_timer(
    name: str, timer: EventRow, later: Sequence[EventRow], spread_us: int
) -> Iterator[Problem]:
    fired = [
        place
        for place, row in enumerate(later)
        if row.event_type == FIRED and row.data["timer"] == timer.data["timer"]
    ]
    over = [
        place
        for place, row in enumerate(later)
        if row.event_type in (SET, CANCELLED) and row.data["key"] == timer.data["key"]
    ]
    if len(fired) > 1:
        yield Problem("duplicate", f"{name} has fired {len(fired)} times")
    if not fired and not over:
        yield Problem("loss", f"{name} has never fired")
    if not fired:
        return
    first = later[fired[0]]
    if over and over[0] < fired[0]:
        said = "though it was set anew or cancelled before"
        yield Problem("duplicate", f"{name} has fired at {first.position}, {said}")
    # By the clock of its host never, and by that of the writer by as much as they are apart.
    for clock, moment_us in (("host", first.at_us), ("writer", first.recorded_us + spread_us)):
        if (early_us := timer.data["due_us"] - moment_us) > 0:
            said = f"{early_us} us before its time by the clock of its {clock}"
            yield Problem("early", f"{name} has fired {said}")
            return
    yield from _led_to(name, timer, later[fired[0] + 1 :])


def _led_to(name: str, timer: EventRow, behind: Sequence[EventRow]) -> Iterator[Problem]:
    """An alarm clock that is told to ring rings, in the same append."""
    if timer.data["message_type"] != "ring":
        return
    rang = behind[0] if behind else None
    if rang is None or rang.event_type != "rang":
        yield Problem("loss", f"{name} has fired, and the clock has not rung")
    elif rang.data["number"] != timer.data["message"]["number"]:
        yield Problem("altered", f"{name} has fired, and the clock rang for another one")

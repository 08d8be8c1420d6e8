"""Moments: what is recorded when, though clocks are set while all of it runs."""

from collections.abc import Iterator

from tests.chaos.history import History, Problem

#: By how much the time of day and a monotonic clock may part while a run lasts: the one is
#: slewed, by half a thousandth at the most.
_SLEWED_US = 200_000


def clock_problems(history: History) -> Iterator[Problem]:
    """All there is to say of them."""
    yield from _order(history)
    if history.zero_us is not None:
        yield from _within(history, history.zero_us)


def _order(history: History) -> Iterator[Problem]:
    """Moments rise with positions, but by as much as clocks were apart: a writer's may be set
    back, and its successor may run by another one."""
    latest = 0
    for row in history.events:
        if row.recorded_us < latest - history.spread_us:
            yield Problem("reordering", f"position {row.position} was recorded before the last one")
        latest = max(latest, row.recorded_us)


def _within(history: History, zero_us: int) -> Iterator[Problem]:
    """What was acknowledged was recorded after it was sent and before it was answered, by some
    clock as that was just then."""
    for command, sendings in history.by_command.items():
        answers = [each.answered_ns for each in sendings if each.acknowledged]
        heard_ns = min((each for each in answers if each is not None), default=None)
        if heard_ns is None:
            continue
        sent_ns = min(each.sent_ns for each in sendings)
        least_us = zero_us + sent_ns // 1000 - _SLEWED_US
        most_us = zero_us + heard_ns // 1000 + _SLEWED_US
        off = _off(history, sent_ns, heard_ns)
        for row in history.effects(command, sendings[0].source):
            if not any(least_us <= row.recorded_us - each <= most_us for each in off):
                said = "which is neither between its command and the answer nor by any clock"
                yield Problem("moment", f"{row.position} was recorded at {row.recorded_us}, {said}")


def _off(history: History, from_ns: int, until_ns: int) -> set[int]:
    """By how much any machine's clock was off at any time between these."""
    found, last = {0}, dict[str, int]()
    for each in history.clocks:
        if each.from_ns > until_ns:
            break
        if each.until_ns < from_ns:
            last[each.machine] = each.by_us
        else:
            found.add(each.by_us)
            found.add(last.get(each.machine, 0))
    return found | set(last.values())

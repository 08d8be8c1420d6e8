"""Durable subscriptions: nothing is skipped, nothing is said to be finished that is not, and the
receipt is that of the log."""

from fnmatch import fnmatchcase
from hashlib import sha256
from typing import TYPE_CHECKING

from tests.simulation.followers import FOLLOWED, PASSING
from tests.simulation.history import Following, History
from tests.simulation.log_index import LogIndex, same
from thornback.simulation.plain_rows import Record

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


def judge_followings(log: LogIndex, history: History, simulation: "Simulation") -> list[str]:
    """Every reader by itself, and what the log keeps of each name."""
    wrong: list[str] = []
    for name in FOLLOWED | PASSING:
        theirs = [one for one in history.followings if one.name == name]
        dropped = [moment for one, moment in simulation.database.forgotten if one == name]
        for following in theirs:
            wrong += _judge_reader(log, following, theirs, dropped)
            wrong += _judge_dropped(following, dropped)
        since = max(dropped, default=-1)
        wrong += _judge_kept(log, name, theirs, simulation, since)
    return wrong


def _judge_dropped(following: Following, dropped: list[int]) -> list[str]:
    """Who has it when it is dropped keeps nothing of it any more."""
    return [
        f"follower {following.number} of {following.name} has kept what was dropped"
        for moment in dropped
        if 0 <= following.opened < moment < max(following.said, default=-1)
    ]


def _judge_reader(
    log: LogIndex, following: Following, others: list[Following], dropped: list[int]
) -> list[str]:
    name = f"follower {following.number} of {following.name}"
    wrong = []
    for event in following.events:
        record = log.by_id.get(event.id)
        if record is None:
            wrong.append(f"{name} was given event {event.position}, which is not in the log")
        elif problem := same(event, record):
            wrong.append(f"{name} was given event {event.position} with another {problem}")
    given = [each.position for each in following.events if each.position not in log.erased]
    due = [
        one.position
        for one in _wanted(log, following.name)
        if one.position > following.begins and one.position not in log.erased
    ]
    if given != due[: len(given)]:
        wrong.append(f"{name} was given {given} after {following.begins}, not {due[: len(given)]}")
    ended = following.began if following.ended is None else following.ended
    was_dropped = any(following.began < moment < ended for moment in dropped)
    if (
        following.taken
        and not was_dropped
        and not any(
            other is not following
            and other.began < (following.ended or following.began)
            and (other.ended is None or other.ended > following.began or other.begins < 0)
            for other in others
        )
    ):
        wrong.append(f"{name} was told that somebody else has it, and nobody has")
    for other in others:
        last = max(following.said, default=-1)
        if 0 <= following.opened < other.began and 0 <= other.opened < last:
            wrong.append(f"{name} moved the checkpoint that {other.number} had by then")
        for moment, position in other.kept:
            again = [one for one in given if one <= position]
            since = any(moment < at < ended for at in dropped)  # it was begun anew
            if moment < following.began and again and not since:
                wrong.append(f"{name} was given {again[:5]}, which {other.number} had finished")
    return wrong


def _judge_kept(
    log: LogIndex, name: str, all_: list[Following], simulation: "Simulation", since: int
) -> list[str]:
    """By those that have had it since it was dropped last."""
    theirs = [one for one in all_ if not 0 <= one.opened < since]
    kept = {record.name: record for record in simulation.database.subscriptions.all()}.get(name)
    if kept is None:
        opened = [one.number for one in theirs if one.begins >= 0 and one.began > since]
        return [f"{name} was opened by {opened}, and is not there"] if opened else []
    finished = {event.id for one in theirs for event in one.events[: one.finished]}
    counted = [one for one in _wanted(log, name) if kept.began < one.position <= kept.position]
    wrong = []
    owed = [one for one in counted if one.position not in log.erased]
    if early := [one.position for one in owed if one.id not in finished]:
        wrong.append(f"{name} is said to be finished up to {kept.position}; {early[:5]} are not")
    sums = [0, 0]
    for one in counted:
        digest = sha256(one.id).digest()
        for lane in (0, 1):
            sums[lane] += int.from_bytes(digest[8 * lane : 8 * lane + 8])
    digest = b"".join((each % 2**64).to_bytes(8) for each in sums)
    if (kept.receipt.count, kept.receipt.digest) != (len(counted), digest):
        wrong.append(f"the receipt of {name} has {kept.receipt.count}, the log {len(counted)}")
    if behind := [at for one in theirs for _, at in one.kept if at > kept.position]:
        wrong.append(f"{name} stands at {kept.position} and was said to be kept at {behind[:5]}")
    return wrong


def _wanted(log: LogIndex, name: str) -> list[Record]:
    types, sources = (FOLLOWED | PASSING)[name]
    return [
        one
        for one in log.records
        if fnmatchcase(one.event_type, types) and fnmatchcase(one.source, sources)
    ]

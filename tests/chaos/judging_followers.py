"""What has to be true of those who follow the log: durable subscriptions and receipts."""

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from tests.chaos.history import CheckpointRow, EventRow, History, Problem, Seen
from tests.chaos.identity import SLOTS, slot

_MODULUS = 2**64


def follower_problems(history: History) -> Iterator[Problem]:
    """Everything in order, at least once, and receipts that agree."""
    for checkpoint in history.checkpoints:
        yield from _receipt(history, checkpoint)
    named = {checkpoint.name: checkpoint for checkpoint in history.checkpoints}
    for name, readers in history.seen.items():
        if name not in named:
            yield Problem("loss", f"there is no checkpoint of {name}")
            continue
        selected = [row for row in history.events if _selects(named[name], row)]
        yield from _readings(name, readers, selected)
    yield from _slots(history)


def receipt(ids: Iterable[bytes]) -> tuple[int, bytes]:
    """A count, and the two halves of the first 16 bytes of each id's SHA-256, added up apart from
    one another, each modulo 2**64, big-endian."""
    count = high = low = 0
    for event in ids:
        digest = sha256(event).digest()
        high = (high + int.from_bytes(digest[:8], "big")) % _MODULUS
        low = (low + int.from_bytes(digest[8:16], "big")) % _MODULUS
        count += 1
    return count, high.to_bytes(8, "big") + low.to_bytes(8, "big")


def _receipt(history: History, checkpoint: CheckpointRow) -> Iterator[Problem]:
    name, through = checkpoint.name, checkpoint.position
    selected = [row for row in history.events if _selects(checkpoint, row)]
    finished = [row.id for row in selected if checkpoint.began < row.position <= through]
    count, digest = receipt(finished)
    if checkpoint.finished != count:
        said = f"says {checkpoint.finished} events, and the log has {count} up to {through}"
        yield Problem("receipt", f"that of {name} {said}")
    elif checkpoint.digest != digest:
        yield Problem("receipt", f"that of {name} is of other events than those of the log")
    if selected and selected[-1].position > through:
        yield Problem("loss", f"{name} stands at {through} and never came to what is behind it")


def _readings(
    name: str, readers: Sequence[Sequence[Seen]], selected: Sequence[EventRow]
) -> Iterator[Problem]:
    """Each reader had a stretch of what is selected, none began behind the end of all before, and
    the last one came to the end."""
    index = {row.id: number for number, row in enumerate(selected)}
    reached = 0
    for number, reader in enumerate(readers):
        before: int | None = None
        for seen in reader:
            at = index.get(seen.id)
            if at is None or selected[at].position != seen.position:
                yield Problem("stranger", f"{name} saw {seen.id.hex()}, which is not in the log so")
                continue
            last = f"reader {number} of {name}"
            if before is None and at > reached:
                yield Problem("loss", f"{last} began behind {at - reached} events that nobody saw")
            elif before is not None and at > before + 1:
                yield Problem("loss", f"{last} skipped {at - before - 1} at {seen.position}")
            elif before is not None and at <= before:
                kind = "duplicate" if at == before else "reordering"
                yield Problem(kind, f"{last} saw position {seen.position} behind a later one")
            before = at
            reached = max(reached, at + 1)
    if reached < len(selected):
        yield Problem("loss", f"{name} never saw the last {len(selected) - reached} events")


def _slots(history: History) -> Iterator[Problem]:
    """A program has all of its slots, or none."""
    programs: dict[str, int] = {}
    for checkpoint in history.checkpoints:
        name, slash, _ = checkpoint.name.partition("/")
        if slash:
            programs[name] = programs.get(name, 0) + 1
    for name, count in programs.items():
        if count != SLOTS:
            yield Problem("loss", f"{name} has {count} of {SLOTS} slots")


def _selects(checkpoint: CheckpointRow, row: EventRow) -> bool:
    _, slash, number = checkpoint.name.partition("/")
    return (
        _matches(checkpoint.event_types, row.event_type)
        and _matches(checkpoint.sources, row.source)
        and (not checkpoint.kinds or row.kind in checkpoint.kinds)
        and (not slash or slot(row.aggregate_id) == int(number))
    )


def _matches(patterns: Sequence[str], text: str) -> bool:
    """Does one of these fit, in which * stands for any text? None at all: everything does."""
    return not patterns or any(
        re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL)
        for pattern in patterns
    )

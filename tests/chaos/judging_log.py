"""What has to be true of the log alone."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.history import EventRow, History, Problem
from tests.chaos.identity import aggregate_id


def log_problems(history: History) -> Iterator[Problem]:
    """Positions, versions and ids."""
    yield from _doubled_ids(history)
    yield from _positions(history)
    of_source: dict[str, list[EventRow]] = defaultdict(list)
    for row in history.events:
        of_source[row.source].append(row)
    for source, rows in of_source.items():
        yield from _versions(source, rows)
        if any(row.aggregate_id != aggregate_id(source) for row in rows):
            yield Problem("altered", f"{source} has events under another aggregate's id")


def _doubled_ids(history: History) -> Iterator[Problem]:
    for event, count in Counter(row.id for row in history.events).items():
        if count > 1:
            yield Problem("duplicate", f"event {event.hex()} stands {count} times in the log")


def _positions(history: History) -> Iterator[Problem]:
    expected = 1
    for row in history.events:
        if row.position > expected:
            yield Problem("gap", f"no position {_stretch(expected, row.position - 1)}")
        elif row.position < expected:
            yield Problem("duplicate", f"position {row.position} stands twice in the log")
        expected = row.position + 1


def _versions(source: str, rows: list[EventRow]) -> Iterator[Problem]:
    versions = [row.version for row in rows]
    wanted = list(range(1, len(versions) + 1))
    if versions == wanted:
        return
    if sorted(versions) == wanted:
        yield Problem("reordering", f"the versions of {source} do not rise with positions")
        return
    for version, count in Counter(versions).items():
        if count > 1:
            yield Problem("duplicate", f"{source} has version {version} {count} times")
    for version in sorted(set(range(1, max(versions))) - set(versions)):
        yield Problem("gap", f"{source} has no version {version}")


def _stretch(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"

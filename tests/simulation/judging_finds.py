"""What was found: each actor as it was at some moment that is not older than was asked for.

By code of its own, out of the log alone.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tests.simulation.history import FindPage
from tests.simulation.log_index import LogIndex
from thornback.simulation.plain_rows import Record

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


def judge_finds(log: LogIndex, simulation: "Simulation") -> list[str]:
    """Every page that somebody had."""
    ledgers = {name: theirs for name, theirs in log.by_source.items() if name[:7] == "ledger/"}
    return [
        f"question {page.number} of {page.driver} for {page.where}: {problem}"
        for page in simulation.history.finds
        if page.names is not None
        for problem in _judge(page, page.names, ledgers)
    ]


def _judge(page: FindPage, names: list[str], ledgers: dict[str, list[Record]]) -> Iterable[str]:
    if page.position < page.at_least:
        yield f"it is told {page.position}, and asked for {page.at_least}"
    if names != sorted(set(names)) or len(names) > page.limit:
        yield f"a page of {page.limit} has {names}"
    begins = f"ledger/{page.after}" if page.after else ""
    last = f"ledger/{page.next}" if page.next is not None else None
    if unknown := set(names) - ledgers.keys():
        yield f"found were {sorted(unknown)}, which the log does not know"
    for source, records in ledgers.items():
        if source <= begins or (last is not None and source > last):
            if source in names:
                yield f"{source} is on a page behind {page.after} up to {page.next}"
            continue
        could = {
            _fits(state, page.where)
            for state in _states(records, max(page.position, page.at_least), page.head)
        }
        if (source in names) not in could:
            yield (
                f"{source} is {'' if source in names else 'not '}found as of {page.position}, and "
                f"was so at no moment from {page.at_least} to {page.head}"
            )


def _states(records: list[Record], first: int, last: int) -> Iterable[tuple[bool, int] | None]:
    """What an actor was between two positions of the log; None: nothing."""
    is_open, taken, begun = False, 0, False
    for record in records:
        if record.position > first:
            yield (is_open, taken) if begun else None
        if record.position > last:
            return
        begun = True
        if record.event_type in ("noted", "opened"):
            is_open = record.event_type == "opened"
        taken += record.event_type in ("taken", "taken-back")
    yield (is_open, taken) if begun else None


def _fits(state: tuple[bool, int] | None, where: Any) -> bool:
    if state is None:
        return False
    is_open, taken = state
    said = {
        "open": is_open == where.get("open"), "taken": taken == where.get("taken"),
        "taken__ge": taken >= where.get("taken__ge", 0),
    }  # fmt: skip
    return all(said[name] for name in where)

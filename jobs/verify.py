"""Check a durable subscription, a group or a stream program against the log: that nothing was
skipped, and nothing came twice.

The receipt that is kept beside the checkpoint has the count and a digest of the events that were
finished. Here both are computed again, by the database and from the log alone. Reads every event up
to the checkpoint, in the database, a stretch at a time; the system may run meanwhile, or not. The
receipt of an erasure is another thing: verify_erased.py.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jobs.subscriptions import asked_each, folded, in_json, of_partition
from jobs.terminal import UNWELL, as_json, console, problems, run
from jobs.verify_erased import verify_receipt
from runtime.errors import NotPossible
from runtime.settings.settings import Settings
from store.event_store import EventStore
from store.receipts import NOTHING_FINISHED, Receipt
from store.subscriptions import SubscriptionRecord

#: Positions that the database counts through at a time: each has the usual limit of a query.
STRETCH = 200_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """A subscription as it is kept, or all slots of a program or a group as one, and the receipt
    that it has to have by the log."""

    record: SubscriptionRecord
    by_the_log: Receipt
    #: Is every event finished, once, and none that is not in the log, in each slot?
    agrees: bool


def verify(settings: Settings, name: str, *, for_programs: bool = False) -> int:
    """Check one and say what came of it, in each partition; the exit code, which is 1 where it does
    not agree in any. Raises NotPossible where there is no such subscription."""

    async def check(store: EventStore) -> Verdict:
        records = {record.name: record for record in await store.subscriptions()}
        slots = {
            int(slot): record
            for record in records.values()
            for program, _, slot in [record.name.partition("/")]
            if program == name and slot
        }
        parts: dict[int | None, SubscriptionRecord] = dict(slots.items())
        if name in records:
            parts = {None: records[name]}
        if not parts:
            there = ", ".join(record.name for record in folded(records.values())) or "none"
            raise NotPossible(f"there is no durable subscription {name!r}; there are: {there}")
        found, agrees, done = NOTHING_FINISHED, True, 0
        total = sum(record.position - record.began for record in parts.values())
        with _shown(total, quiet=for_programs) as progress:
            for slot, record in parts.items():
                part = NOTHING_FINISHED
                for begin in range(record.began, record.position, STRETCH):
                    end = min(begin + STRETCH, record.position)
                    part += await store.recount(record.selection, begin, end, slot)
                    progress(done := done + end - begin)
                agrees, found = agrees and part == record.receipt, found + part
        [record] = folded(parts.values())
        return Verdict(record, found, agrees)

    verdicts = asked_each(settings, check)
    for partition, verdict in enumerate(verdicts):
        _say(verdict, partition, len(verdicts), for_programs=for_programs)
    return 0 if all(verdict.agrees for verdict in verdicts) else UNWELL


def _say(verdict: Verdict, partition: int, partitions: int, *, for_programs: bool) -> None:
    if for_programs:
        said = {"agrees": verdict.agrees, "by_the_log": {
            "finished": verdict.by_the_log.count, "digest": verdict.by_the_log.digest.hex(),
        }} | of_partition(partition, partitions)  # fmt: skip
        print(as_json(in_json(verdict.record) | said))
        return
    if partitions > 1:
        out = console if verdict.agrees else problems
        out.print(f"partition {partition}:", markup=False)
    if verdict.agrees:
        console.print(_where(verdict.record), markup=False)
        console.print(f"agrees with the log: {verdict.by_the_log}", markup=False)
    else:
        problems.print(_where(verdict.record), markup=False)
        problems.print(f"its receipt: {verdict.record.receipt}", markup=False)
        problems.print(f"by the log:  {verdict.by_the_log}", markup=False)
        problems.print(_difference(verdict), markup=False)


def _where(record: SubscriptionRecord) -> str:
    return (
        f"{record.name}: {record.selection}, after position {record.began:,} and up to "
        f"{record.position:,}"
    )


def _difference(verdict: Verdict) -> str:
    more = verdict.record.receipt.count - verdict.by_the_log.count
    if more == 0:
        return "as many events were finished as there are, and not the same ones"
    return f"{abs(more):,} events {'too many' if more > 0 else 'too few'} were finished"


@contextmanager
def _shown(total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """How far it is, on a terminal."""
    columns = (TextColumn("counting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = quiet or not problems.is_terminal
    with Progress(*columns, console=problems, transient=True, disable=hidden) as bar:
        task = bar.add_task("counting", total=total)
        yield lambda done: bar.update(task, completed=done)


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("name", nargs="?", help="of the durable subscription")
    options.add_argument("--receipt", type=Path, help="in its place: check that of an erasure")
    options.add_argument("--config", type=Path, help="settings file")
    options.add_argument("--json", action="store_true", help="print JSON, for programs")
    arguments = options.parse_args()
    settings = Settings.load(arguments.config)
    if (arguments.name is None) == (arguments.receipt is None):
        options.error("either a name, or --receipt FILE")
    if arguments.receipt is not None:
        return verify_receipt(settings, arguments.receipt, for_programs=arguments.json)
    return verify(settings, arguments.name, for_programs=arguments.json)


if __name__ == "__main__":
    run(main)

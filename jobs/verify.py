"""Check a durable subscription, a group or a stream program against the log: that nothing was
skipped, and nothing came twice.

The receipt that is kept beside the checkpoint has the count and a digest of the events that were
finished. Here both are computed again, by the database and from the log alone. Reads every event up
to the checkpoint, in the database, a stretch at a time; the system may run meanwhile, or not. The
receipt of an erasure is another thing: verify_erased.py.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
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
from store.merges import reached
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


#: What was read of each log: after which position, and up to which.
Stretches = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be checked that is kept in one partition: the whole, or its slots."""

    parts: dict[int | None, SubscriptionRecord]
    stretches: dict[int | None, Stretches | None]


def verify(settings: Settings, name: str, *, for_programs: bool = False) -> int:
    """Check one and say what came of it, in each partition; the exit code, which is 1 where it does
    not agree in any. Raises NotPossible where there is no such subscription."""

    async def look(store: EventStore) -> Wanted | None:
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
        there.update(record.name for record in folded(records.values()))
        return Wanted(parts, await _stretches(name, parts, store)) if parts else None

    there: set[str] = set()
    wanted = asked_each(settings, look)
    if not any(wanted):
        names = ", ".join(sorted(there)) or "none"
        raise NotPossible(f"there is no durable subscription {name!r}; there are: {names}")
    verdicts = {
        home: _verdict(settings, each, home, len(wanted), quiet=for_programs)
        for home, each in enumerate(wanted)
        if each is not None
    }
    for partition, verdict in verdicts.items():
        _say(verdict, partition, len(wanted), for_programs=for_programs)
    return 0 if all(verdict.agrees for verdict in verdicts.values()) else UNWELL


async def _stretches(
    name: str, parts: Mapping[int | None, SubscriptionRecord], store: EventStore
) -> dict[int | None, Stretches | None]:
    """What each part has read of each log, where it reads several; None: its own log alone, as far
    as its record says."""
    merge = await store.merge_of(name)
    if merge is None:
        return dict.fromkeys(parts)
    return {
        slot: tuple(
            zip(
                merge.began,
                reached(merge, record.position, await store.last_legs(merge, record.position)),
                strict=True,
            )
        )
        for slot, record in parts.items()
    }


def _verdict(settings: Settings, wanted: Wanted, home: int, asked: int, *, quiet: bool) -> Verdict:
    """What the logs say, by what was kept in the partition `home`, of so many that are asked."""
    stretches = {
        slot: read or _in_one(home, asked, wanted.parts[slot])
        for slot, read in wanted.stretches.items()
    }
    if any(len(read) != asked for read in stretches.values()):
        raise NotPossible("this program reads the logs of all partitions: ask all of them")
    total = sum(end - begin for read in stretches.values() for begin, end in read)
    logs = iter(range(asked))

    with _shown(total, quiet=quiet) as progress:
        done = 0

        async def count(store: EventStore) -> dict[int | None, Receipt]:
            nonlocal done
            log, found = next(logs), dict[int | None, Receipt]()
            for slot, record in wanted.parts.items():
                found[slot] = NOTHING_FINISHED
                first, last = stretches[slot][log]
                for begin in range(first, last, STRETCH):
                    end = min(begin + STRETCH, last)
                    found[slot] += await store.recount(record.selection, begin, end, slot)
                    progress(done := done + end - begin)
            return found

        counted = asked_each(settings, count)
    by_slot = {
        slot: sum((theirs[slot] for theirs in counted), NOTHING_FINISHED) for slot in wanted.parts
    }
    [record] = folded(wanted.parts.values())
    agrees = all(by_slot[slot] == part.receipt for slot, part in wanted.parts.items())
    return Verdict(record, sum(by_slot.values(), NOTHING_FINISHED), agrees)


def _in_one(home: int, asked: int, record: SubscriptionRecord) -> Stretches:
    """Of its own log what its record says, and nothing of the others."""
    return tuple((record.began, record.position) if log == home else (0, 0) for log in range(asked))


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

"""Hold the receipt of an erasure against the database: that every event is in its place, and that
no table has anything of the device any more; of a system of several partitions, in that of the
device. The system may run meanwhile, or not."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

from jobs.subscriptions import asked_of
from jobs.terminal import UNWELL, as_json, console, problems
from runtime.errors import NotPossible
from runtime.settings.settings import Settings
from store.erasures import ErasureReceipt, Searched
from store.event_store import EventStore


def verify_receipt(settings: Settings, file: Path, *, for_programs: bool = False) -> int:
    """Check one and say what came of it; the exit code, which is 1 where it does not agree. Raises
    NotPossible for a file that has no receipt."""
    receipt = _read(file)

    async def look(store: EventStore) -> Searched:
        return await store.search_erased(receipt)

    searched = asked_of(settings, receipt.source, look)
    agrees = searched.agrees(receipt)
    if for_programs:
        print(as_json(_in_json(receipt, searched, agrees=agrees)))
    elif agrees:
        console.print(
            f"{receipt.source}: nothing is left of it in any table; {searched.ids.count:,} events "
            f"are in their places, digest {receipt.digest}",
            markup=False,
        )
        if searched.since:
            console.print(
                f"it has begun anew: {searched.since:,} events stand behind its actor-erased, and "
                "what programs keep under its keys since is not looked at",
                markup=False,
            )
    else:
        say = partial(problems.print, markup=False)
        say(f"{receipt.source}: this receipt does not agree with the database")
        for line in _wrong(receipt, searched):
            say(f"  {line}")
        say(_advice(searched))
    return 0 if agrees else UNWELL


def _advice(searched: Searched) -> str:
    """What to do where a receipt does not agree."""
    if not searched.kept:
        return (
            "it was not erased in this database: look whether it is the one that the receipt is of "
            "(`thornback settings` says which this is) before anything is erased"
        )
    if searched.since:
        return "it has begun anew: erasing it again would erase what it has been since, too"
    return "erasing it again does what is left to do"


def _wrong(receipt: ErasureReceipt, searched: Searched) -> list[str]:
    lines = [f"{count:,} {table}" for table, count in asdict(searched.remains).items() if count]
    lines = [f"left of it: {', '.join(lines)}"] if lines else []
    if not searched.kept:
        lines.append(f"it knows of no erasure at position {receipt.position:,}")
    if searched.ids.count != receipt.version:
        there = f"{searched.ids.count:,} events of it are there"
        lines.append(f"{there}, and {receipt.version:,} have to be")
    elif searched.ids.digest.hex() != receipt.digest:
        lines.append("as many events are there as have to be, and not the same ones")
    return lines


def _in_json(receipt: ErasureReceipt, searched: Searched, *, agrees: bool) -> dict[str, object]:
    return receipt.as_json() | {
        "agrees": agrees,
        "left": asdict(searched.remains),
        "found": {"events": searched.ids.count, "digest": searched.ids.digest.hex()},
        "known": searched.kept,
        "since": searched.since,
    }


def _read(file: Path) -> ErasureReceipt:
    try:
        return ErasureReceipt.from_json(json.loads(file.read_text()))
    except (OSError, ValueError) as error:
        raise NotPossible(f"{file} has no receipt of an erasure: {error}") from error

"""Erase a device: remove its data for good, and keep the receipt of that. Needs the running system.

docs/howto/erase.md says what goes and what stays, and what is not reached.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from jobs.terminal import as_json, console, problems
from jobs.whole_files import written_whole
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from store.erasures import ErasureReceipt


def confirmed(source: str) -> bool:
    """Does somebody at the terminal say so? There is no way back, so the name is typed again."""
    problems.print(
        f"{source}: its events, snapshot, timers, dead letters, and what programs keep of it are "
        "removed for good. There is no way back.",
        markup=False,
    )
    return click.prompt(f"Type {source} to erase it", err=True, default="", show_default=False) == (
        source
    )


def erase(
    system: ActorSystem,
    ref: ActorRef[Any],
    reason: str,
    keys: Sequence[str],
    receipt_file: Path | None,
    *,
    for_programs: bool = False,
) -> int:
    """Have it erased, and say what was; the exit code. Raises NotPossible where the log has no
    event of it."""
    receipt = system.erase(ref, reason, keys=keys).result()
    text = json.dumps(receipt.as_json(), ensure_ascii=False, indent=2)
    if receipt_file is not None:
        with written_whole(receipt_file) as part:
            part.write_text(text + "\n")
    if for_programs:
        print(as_json(receipt.as_json()))
    else:
        console.print(said(receipt), markup=False)
        if receipt_file is not None:
            checked_by = f"thornback verify --receipt {receipt_file}"
            console.print(f"its receipt is {receipt_file}: {checked_by}", markup=False)
    return 0


def said(receipt: ErasureReceipt) -> str:
    """A receipt, for people."""
    beside = ", ".join(
        f"{count:,} {what}"
        for count, what in (
            (receipt.snapshots, "snapshots"),
            (receipt.timers, "timers"),
            (receipt.states, "states of programs"),
            (receipt.rows, "rows of projections"),
            (receipt.dead_letters, "dead letters"),
            (receipt.outputs, "events of programs"),
        )
        if count
    )
    return (
        f"{receipt.source} is erased: the data of {receipt.events:,} events"
        f"{', and ' if beside else ''}{beside}. Its actor-erased is at position "
        f"{receipt.position:,}, version {receipt.version:,}"
    )

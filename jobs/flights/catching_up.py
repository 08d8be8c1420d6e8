"""Waiting until stream programs have caught up with the log, and showing how far each is."""

import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from jobs.flights.proofs import sql
from runtime.errors import NotPossible
from runtime.system import ActorSystem
from runtime.topology.status import ProcessStatus, WorkerFacts
from store.postgres.event_store import PostgresEventStore

#: How often the log is asked how far they are, which nobody tells.
_LOOK_S = 0.25
#: How often their processes are asked how they fare.
_ASK_S = 2.0
#: How often a line says so where there is no terminal.
_SAY_S = 5.0


def wait_caught_up(
    system: ActorSystem,
    store: PostgresEventStore,
    programs: Mapping[str, int],
    head: int,
    console: Console,
) -> None:
    """Until all these programs, each of so many slots, have seen the log up to a position. Raises
    NotPossible where one stands: it never comes there."""
    with _Shown(console, programs, head) as shown:
        asked_s = time.monotonic()
        while True:
            reached = system.connection.courier.run(_reached(store, programs)).result()
            shown.reached(reached)
            if min(reached.values()) >= head:
                return
            if time.monotonic() - asked_s > _ASK_S:
                shown.trouble(_troubles(system))
                asked_s = time.monotonic()
            time.sleep(_LOOK_S)


async def _reached(store: PostgresEventStore, programs: Mapping[str, int]) -> dict[str, int]:
    """Up to where each is: one has begun when all its slots have."""
    rows = {row["program"]: row for row in await store.fetch(sql("reached"), [*programs])}
    return {
        name: rows[name]["position"] if name in rows and rows[name]["slots"] == slots else 0
        for name, slots in programs.items()
    }


def _troubles(system: ActorSystem) -> dict[str, str]:
    """What programs wait for, by their names."""
    found = {}
    for status in system.status().result():
        facts = status.facts if isinstance(status, ProcessStatus) else None
        if isinstance(facts, WorkerFacts) and facts.trouble is not None:
            if facts.paused:
                raise NotPossible(f"{facts.program} {facts.trouble}")
            found[facts.program] = facts.trouble
    return found


class _Shown:
    """How far each is: a bar each on a terminal; elsewhere, now and then, a line."""

    def __init__(self, console: Console, programs: Mapping[str, int], head: int) -> None:
        self._console, self._head = console, head
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("{task.fields[trouble]}", markup=False),
            console=console, refresh_per_second=4, transient=True,
            disable=not sys.stdout.isatty(),
        )  # fmt: skip
        self._tasks = {name: self._bars.add_task(name, total=head, trouble="") for name in programs}
        self._said_s = time.monotonic()
        self._known: set[tuple[str, str]] = set()  #: troubles that a line has told of

    def __enter__(self) -> "_Shown":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def reached(self, positions: Mapping[str, int]) -> None:
        """So far they are."""
        for name, position in positions.items():
            self._bars.update(self._tasks[name], completed=min(position, self._head))
        if self._bars.disable and time.monotonic() - self._said_s > _SAY_S:
            self._said_s = time.monotonic()
            behind = [f"{name} {at:,}" for name, at in positions.items() if at < self._head]
            self._console.print(
                f"of {self._head:,} events: {', '.join(behind)}", soft_wrap=True, markup=False
            )

    def trouble(self, troubles: Mapping[str, str]) -> None:
        """What they wait for."""
        for name, task in self._tasks.items():
            self._bars.update(task, trouble=troubles.get(name, ""))
        for known in troubles.items() - self._known:
            self._known.add(known)
            if self._bars.disable:
                self._console.print(": ".join(known), soft_wrap=True, markup=False)

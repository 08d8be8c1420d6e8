"""Projections: list their tables, or build one anew.

A list needs the database, and no Ray; building one anew needs the system.
"""

import argparse
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from jobs.command_line import connected_by
from jobs.subscriptions import Head, asked_each, behind, head_of, in_table, of_partition
from jobs.terminal import as_json, problems, run, show
from runtime.errors import AskTimeout
from runtime.settings.settings import Settings
from store.event_store import EventStore
from store.postgres.projections import sql_name
from store.projected import REBUILD

#: Between two looks at how far it is.
_LOOK_S = 0.5


def list_all(settings: Settings, *, for_programs: bool = False) -> int:
    """Show every one, and how far behind the head of the log it is; the exit code."""

    async def look(store: EventStore) -> tuple[list[dict[str, Any]], Head]:
        found: list[dict[str, Any]] = []
        for table in await store.projections():
            position = await store.reached(table.name)
            found.append(
                {
                    "projection": table.name,
                    "view": f"projections.{sql_name(table.name)}" if table.in_service else None,
                    "columns": [str(column) for column in table.columns],
                    "position": max(position, 0),
                }
            )
        return found, await head_of(store)

    logs = asked_each(settings, look)
    heads = [head for _, head in logs]
    rows = [
        row
        | {"behind": behind(row["projection"], row["position"], head, heads)}
        | of_partition(at, len(logs))
        for at, (theirs, head) in enumerate(logs)
        for row in theirs
    ]
    if for_programs:
        for row in rows:
            print(as_json(row))
        return 0
    if not rows:
        problems.print("there is none: system.run(Projection) makes one")
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("projection", "to be read as", "position", "behind"):
        table.add_column(column, overflow="fold")
    if len(logs) > 1:
        table.add_column("partition")
    for row in rows:
        table.add_row(
            str(row["projection"]), str(row["view"] or "nothing: it is being built"),
            f"{row['position']:,}", in_table(row["behind"]),
            *([str(row["partition"])] if len(logs) > 1 else ()),
        )  # fmt: skip
    show(table)
    return 0


def rebuild(config: Path | None, name: str, workers: int | None) -> int:
    """Have one built anew, by the code that runs, and wait for it; the exit code. Raises
    NoProjection, and InvalidProgram where it does not run, or stands."""
    settings = Settings.load(config)
    columns = (TextColumn("building"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        connected_by(config) as system,
        Progress(
            *columns, console=problems, transient=True, disable=not problems.is_terminal
        ) as bar,
    ):
        task = bar.add_task("building", total=None)
        building = system.rebuild(name, workers=workers)
        while not building.done():
            try:
                building.result(_LOOK_S)
            except AskTimeout:
                places = asked_each(settings, lambda store: _places(store, name))
                done = sum(max(position, 0) for position, _ in places)
                bar.update(task, completed=done, total=sum(head for _, head in places))
        building.result(_LOOK_S)
    problems.print(f"{name!r} is built anew, and in its place", markup=False)
    return 0


async def _places(store: EventStore, name: str) -> tuple[int, int]:
    return await store.reached(name + REBUILD), await store.head()


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--rebuild", metavar="NAME", help="build this one anew, and swap it in")
    options.add_argument("--workers", type=int, metavar="N", help="with --rebuild: by so many")
    options.add_argument("--config", type=Path, help="settings file")
    options.add_argument("--json", action="store_true", help="print JSON, for programs")
    arguments = options.parse_args()
    if arguments.rebuild is not None:
        return rebuild(arguments.config, arguments.rebuild, arguments.workers)
    return list_all(Settings.load(arguments.config), for_programs=arguments.json)


if __name__ == "__main__":
    run(main)

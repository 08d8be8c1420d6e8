"""Show the running topology: every process, its memory, and how far it has come."""

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from jobs.command_line import connected, console, parser, run


def table(statuses: Iterable[dict[str, Any]]) -> Table:
    """The statuses as a table, a process a row."""
    made = Table(box=None, pad_edge=False)
    for column in ("process", "pid", "up", "private memory", "facts"):
        made.add_column(column, overflow="fold")
    for status in statuses:
        if "away" in status:
            made.add_row(status["name"], "-", "-", "-", f"[red]away: {status['away']}[/]")
            continue
        known = {"name", "node", "pid", "up_s", "rss", "private", "actor_types", "source"}
        facts = ", ".join(
            f"{name} {value:,}" if type(value) is int else f"{name} {value}"
            for name, value in status.items()
            if name not in known
        )
        made.add_row(
            status["name"],
            str(status["pid"]),
            f"{status['up_s']:,.0f} s",
            f"{status['private'] / 2**20:,.0f} MiB",
            facts,
        )
    return made


def main() -> int:
    arguments = parser(__doc__).parse_args()
    with connected(arguments) as system:
        statuses = system.status().result()
        console.print(table(statuses))
    return 1 if any("away" in status for status in statuses) else 0


if __name__ == "__main__":
    run(main)

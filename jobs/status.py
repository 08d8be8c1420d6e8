"""Show the running topology: every process, its memory, and how far it has come."""

from collections.abc import Iterable
from dataclasses import asdict, fields

from rich.markup import escape
from rich.table import Table

from jobs.command_line import connected, parser, run
from jobs.terminal import as_json, problems
from jobs.terminal import show as shown_in_a_table
from runtime.topology.names import MACHINE_LETTERS
from runtime.topology.status import Facts, HostFacts, ProcessAway, ProcessStatus, Status

#: So many letters of a fingerprint tell one code from another, as in TypeCode.
SHOWN_OF_CODE = 10


def show_statuses(statuses: Iterable[Status], *, for_programs: bool = False) -> None:
    """The statuses as a table, or each as a line of JSON."""
    statuses = list(statuses)
    if for_programs:
        for status in statuses:
            print(as_json(asdict(status)))
    else:
        shown_in_a_table(table(statuses))
        say_other_code(statuses)


def say_other_code(statuses: Iterable[Status]) -> None:
    """Say so where hosts decide the actors of a type by different code: one that was started anew
    has imported its modules as they were by then, and nothing of that shows in a reply."""
    by_type: dict[str, dict[str, list[str]]] = {}
    for status in statuses:
        if isinstance(status, ProcessStatus) and isinstance(status.facts, HostFacts):
            for code in status.facts.code:
                hosts = by_type.setdefault(code.actor_type, {}).setdefault(code.fingerprint, [])
                hosts.append(status.name)
    for actor_type, hosts_by_code in sorted(by_type.items()):
        if len(hosts_by_code) > 1:
            who = "; ".join(
                f"{code[:SHOWN_OF_CODE]} at {', '.join(hosts)}"
                for code, hosts in hosts_by_code.items()
            )
            problems.print(
                f"hosts decide {actor_type} by different code ({who}): what changes that, "
                "docs/howto/deploy-a-change.md says",
                markup=False,
            )


def table(statuses: Iterable[Status]) -> Table:
    """The statuses as a table, a process a row; with its machine where there are several."""
    shown_ones = list(statuses)
    machines = {each.machine for each in shown_ones if isinstance(each, ProcessStatus)}
    made = Table(box=None, pad_edge=False)
    columns = ["process", "pid", "up", "private memory", "facts"]
    if several := len(machines) > 1:
        columns.insert(1, "machine")
    for column in columns:
        made.add_column(column, overflow="fold")
    for status in shown_ones:
        if isinstance(status, ProcessAway):
            unknown = ["-"] * (len(columns) - 2)
            made.add_row(status.name, *unknown, f"[red]away: {status.reason}[/]")
            continue
        said = shown(status.facts) if status.facts else "not started yet"
        if isinstance(status.facts, HostFacts):
            said += "\n" + escape("code: " + ", ".join(map(str, status.facts.code)))
        if status.trouble:
            said = f"[red]{escape(status.trouble)}[/]\n{said}"
        if status.through_ray:
            said += "\n" + escape("called through Ray: " + "; ".join(status.through_ray))
        made.add_row(
            status.name,
            *([status.machine[:MACHINE_LETTERS]] if several else []),
            str(status.pid),
            f"{status.up_s:,.0f} s",
            f"{status.private_bytes / 2**20:,.0f} MiB",
            said,
        )
    return made


def shown(facts: Facts) -> str:
    """Facts on one line: numbers with their names, what is so, and names where there are some."""
    parts = []
    for each in fields(facts):
        value = getattr(facts, each.name)
        if value is True:
            parts.append(each.name)
        elif isinstance(value, tuple):
            if each.repr and value:
                names = (one if isinstance(one, str) else one.program for one in value)
                parts.append(f"{each.name} {' '.join(names)}")
        elif each.repr and value is not False:
            parts.append(f"{each.name} {value:,}" if type(value) is int else f"{each.name} {value}")
    return escape(", ".join(parts))


def well(status: Status) -> bool:
    """Does the process answer, and is nothing amiss with it?"""
    return not isinstance(status, ProcessAway) and status.trouble is None


def main() -> int:
    arguments = parser(__doc__).parse_args()
    with connected(arguments) as system:
        statuses = system.status().result()
    show_statuses(statuses)
    return 0 if all(map(well, statuses)) else 1


if __name__ == "__main__":
    run(main)

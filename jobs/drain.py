"""Flush the running topology and stop it, with the embedded database.

Everything that was accepted is answered and durable before its process ends.
"""

from jobs.command_line import connected, console, parser, run
from runtime.topology.names import ProcessKind
from runtime.topology.status import Drained, DrainReport


def show(report: DrainReport) -> None:
    """What became of each process, and of the whole."""
    for each in report.processes:
        console.print(f"{each.name}: {each.problem or _settled(each)}")
    if report.database_problem:
        console.print(f"[red]the embedded PostgreSQL did not stop[/]: {report.database_problem}")
    amiss = len(report.problems)
    console.print("stopped" if not amiss else f"stopped, with {amiss} problems")


def _settled(drained: Drained) -> str:
    if drained.kind is ProcessKind.WRITER:
        return f"all is committed, up to position {drained.settled:,}"
    return f"all is answered; {drained.settled:,} actors were resident"


def main() -> int:
    options = parser(__doc__)
    options.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="seconds each process may take"
    )
    arguments = options.parse_args()
    system = connected(arguments)
    with console.status("draining"):
        report = system.drain(timeout_s=arguments.timeout).result()
    show(report)
    return 1 if report.problems else 0


if __name__ == "__main__":
    run(main)

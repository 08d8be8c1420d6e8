"""Stream programs: show those that run, stop one, or have one go on that stands."""

from collections import defaultdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from jobs.command_line import connected, parser, problems, run
from jobs.subscriptions import of_partition
from jobs.terminal import UNWELL, as_json, show
from runtime.system import ActorSystem, PartitionedSystem
from runtime.topology.names import ProcessKind, program_of_worker
from runtime.topology.status import ProcessStatus, WorkerFacts


def list_all(system: ActorSystem, *, for_programs: bool = False) -> int:
    """Show every program that runs, and how far behind the head of the log it is; the exit code,
    which is 1 where one stands, or is in trouble."""
    parts = system.parts if isinstance(system, PartitionedSystem) else (system,)
    heads = [part.head().result() for part in parts]
    rows = []
    for partition, (part, head) in enumerate(zip(parts, heads, strict=True)):
        found = _rows(part, head, sum(heads))
        rows += [row | of_partition(partition, len(parts)) for row in found]
    amiss = any(row["trouble"] or row["workers"] != row["answering"] for row in rows)
    if for_programs:
        for row in rows:
            print(as_json(row))
        return UNWELL if amiss else 0
    if not rows:
        problems.print("none runs: system.run(program) has one run")
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("program", "workers", "events", "outputs", "parked", "position", "behind", ""):
        table.add_column(column, overflow="fold")
    for row in rows:
        workers = f"{row['answering']} of {row['workers']}"
        trouble = "; ".join(row["trouble"])
        stands = "stands: " if row["paused"] else ""
        name = f"  {row['program']}" if row["runs_in"] else row["program"]
        if "partition" in row:
            of = "all partitions, in" if row["logs"] > 1 else "partition"
            name += f" of {of} {row['partition']}"
        table.add_row(
            name, workers, f"{row['events']:,}", f"{row['outputs']:,}",
            f"{row['parked']:,}",
            f"{row['position']:,}", f"{row['behind']:,}",
            f"[red]{escape(stands + trouble)}[/]" if trouble else "",
        )  # fmt: skip
    show(table)
    return UNWELL if amiss else 0


def _rows(system: ActorSystem, head: int, heads: int) -> list[dict[str, Any]]:
    """What there is to say of those that run beside one log, which may be one of several: `heads`
    is where all of them together are."""
    programs: dict[str, list[WorkerFacts]] = defaultdict(list)
    silent: dict[str, list[str]] = defaultdict(list)
    for status in system.status().result():
        if status.kind is not ProcessKind.WORKER:
            continue
        program = program_of_worker(status.name)
        if isinstance(status, ProcessStatus) and isinstance(status.facts, WorkerFacts):
            programs[program].append(status.facts)
        else:
            why = status.trouble if isinstance(status, ProcessStatus) else status.reason
            silent[program].append(f"{status.name}: {why or 'not started yet'}")
    rows = []
    for name in sorted(programs.keys() | silent.keys()):
        reads_all = any(one.logs > 1 for one in programs[name])
        rows.append(_in_json(name, programs[name], silent[name], heads if reads_all else head))
        rows += _of_handlers(name, programs[name], head)
    return rows


def stop(system: ActorSystem, program: str) -> int:
    """End its workers. Raises UnknownProgram."""
    system.stop(program).result()
    problems.print(f"{program!r} is stopped; run again, it goes on where it stood", markup=False)
    return 0


def resume(system: ActorSystem, program: str, *, skip: bool) -> int:
    """Have it go on where it stands; the exit code, which says whether it stood anywhere. Raises
    UnknownProgram."""
    resumed = system.resume(program, skip=skip).result()
    if not resumed:
        problems.print(f"{program!r} stands nowhere", markup=False)
        return UNWELL
    how = "behind the event at which it stood" if skip else "with the event at which it stood"
    problems.print(f"{program!r} goes on {how}", markup=False)
    return 0


def _of_handlers(company: str, workers: list[WorkerFacts], head: int) -> list[dict[str, Any]]:
    """Of each handler that runs together with others what there is to say of it, the highest
    priority first."""
    handlers: dict[str, list[WorkerFacts]] = {}
    for worker in workers:
        for facts in worker.handlers:
            handlers.setdefault(facts.program, []).append(facts)
    return [_in_json(name, theirs, [], head, company) for name, theirs in handlers.items()]


def _in_json(
    name: str, workers: list[WorkerFacts], silent: list[str], head: int, runs_in: str | None = None
) -> dict[str, Any]:
    position = min((one.position for one in workers), default=0)
    return {
        "program": name,
        "runs_in": runs_in,
        "workers": max((one.workers for one in workers), default=len(silent)),
        "answering": len(workers),
        "logs": max((one.logs for one in workers), default=1),
        "events": sum(one.events for one in workers),
        "outputs": sum(one.outputs for one in workers),
        "failures": sum(one.failures for one in workers),
        "parked": sum(one.parked for one in workers),
        "letters": sum(one.letters for one in workers),
        "position": position,
        "behind": max(head - position, 0),
        "paused": any(one.paused for one in workers),
        "trouble": sorted({*silent, *(one.trouble for one in workers if one.trouble)}),
    }


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--stop", metavar="NAME", help="end the workers of this one")
    options.add_argument("--resume", metavar="NAME", help="have this one go on where it stands")
    options.add_argument(
        "--skip", action="store_true", help="with --resume: pass over the event at which it stands"
    )
    options.add_argument("--json", action="store_true", help="print JSON, for programs")
    arguments = options.parse_args()
    with connected(arguments) as system:
        if arguments.stop is not None:
            return stop(system, arguments.stop)
        if arguments.resume is not None:
            return resume(system, arguments.resume, skip=arguments.skip)
        return list_all(system, for_programs=arguments.json)


if __name__ == "__main__":
    run(main)

"""Flush the running topology and stop it, with the embedded database.

Everything that was accepted is answered and durable before its process ends.
"""

from contextlib import suppress
from dataclasses import asdict

from actors.errors import ThornbackError
from jobs.command_line import INTERRUPTED, console, parser, problems, run, settings_of, waiting
from jobs.terminal import UNWELL, as_json
from runtime.cluster.clearing import drain_partitions
from runtime.cluster.ray_session import join_ray
from runtime.errors import AskTimeout
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.names import ProcessKind
from runtime.topology.status import Drained, DrainReport, Progress

#: Between two looks at how far it has come.
_LOOK_S = 0.5


def drain(system: ActorSystem, timeout_s: float = 60.0) -> DrainReport:
    """Drain, and show how far that has come."""
    reply = system.drain(timeout_s=timeout_s)
    with waiting("draining") as show_progress:
        while not reply.done():
            try:
                return reply.result(timeout_s=_LOOK_S)
            except AskTimeout:
                with suppress(ThornbackError):  # it may just have ended
                    show_progress(system.progress().result())
        return reply.result()


def show(report: DrainReport) -> None:
    """What became of each process, and of the whole."""
    for each in report.processes:
        console.print(f"{each.name}: {each.problem or _settled(each)}")
    for problem in report.end_problems:
        console.print(f"[red]not all of it is as it should be[/]: {problem}")
    amiss = len(report.problems)
    console.print("stopped" if not amiss else f"stopped, with {amiss} problems")


def _settled(drained: Drained) -> str:
    if drained.kind is ProcessKind.WRITER:
        return f"all is committed, up to position {drained.settled:,}"
    if drained.kind is ProcessKind.GATEWAY:
        return f"all is answered; {drained.settled:,} requests in all"
    if drained.kind in (ProcessKind.WORKER, ProcessKind.DELIVERER, ProcessKind.TIMEKEEPER):
        return f"what it had begun is finished, up to position {drained.settled:,}"
    return f"all is answered; {drained.settled:,} actors were resident"


def drain_there(settings: Settings, timeout_s: float, *, for_programs: bool = False) -> int:
    """Drain on the Ray that is meant, and show how; the exit code. Ctrl-C does not stop it, and
    that is said."""
    join_ray()
    told = False
    try:
        with waiting("draining", quiet=for_programs) as show_progress:

            def progress(now: Progress) -> None:
                nonlocal told
                told = True  # the directory: it does the rest
                show_progress(now)

            report = drain_partitions(settings, timeout_s, progress)
    except KeyboardInterrupt:
        how = "goes on by itself" if told else "may have begun"
        problems.print(
            f"interrupted; the drain of namespace {settings.actor_system.namespace!r} {how}, and "
            "Ray runs on: `thornback status` shows what is left, `thornback drain` ends it",
            markup=False,
        )
        return INTERRUPTED
    if for_programs:
        print(as_json(asdict(report)))
    else:
        show(report)
    return UNWELL if report.problems else 0


def main() -> int:
    options = parser(__doc__)
    options.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="seconds each process may take"
    )
    arguments = options.parse_args()
    return drain_there(settings_of(arguments), arguments.timeout)


if __name__ == "__main__":
    run(main)

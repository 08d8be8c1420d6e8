"""Bring the running system to another number of pooled hosts, under traffic.

Nothing fails because of it: actors move to the hosts that are added, or from those that are to end,
with each driver's order of commands. Whoever interrupts it, or is interrupted, runs it again: it
goes on where it was. With as many hosts as there are it evens out what they have to do.
"""

import argparse
from dataclasses import asdict

from rich.markup import escape

from jobs.command_line import connected, console, parser, run
from jobs.terminal import as_json
from runtime.driver.scaling import ScalingStep
from runtime.errors import NotPossible
from runtime.system import ActorSystem
from runtime.topology.names import MOST_HOSTS


def scale(system: ActorSystem, hosts: int, *, for_programs: bool = False) -> int:
    """Scale, and show how far that has come; the exit code. Raises NotPossible where there
    cannot be so few."""

    def tell(step: ScalingStep) -> None:
        if for_programs:
            print(as_json(asdict(step)), flush=True)
            return
        of = f" ({step.moved:,} of {step.to_move:,} shards)" if step.to_move else ""
        console.print(f"{escape(step.what)}{of}")

    try:
        reply = system.scale(hosts, tell=tell)
    except ValueError as error:  # fewer than there are partitions
        raise NotPossible(str(error)) from error
    shards = reply.result()
    if for_programs:
        print(as_json({"shards": shards}))
    else:
        console.print(", ".join(f"{host}: {count:,} shards" for host, count in shards.items()))
    return 0


def main() -> int:
    options = parser(__doc__)
    options.add_argument(
        "--hosts", type=_hosts, required=True, metavar="N",
        help="how many pooled hosts there are to be",
    )  # fmt: skip
    arguments = options.parse_args()
    with connected(arguments) as system:
        return scale(system, arguments.hosts)


def _hosts(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_HOSTS:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to {MOST_HOSTS}, not {text!r}")
    return int(text)


if __name__ == "__main__":
    run(main)

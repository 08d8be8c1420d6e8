"""The main job on one machine: a local Ray, the topology, the replay, and a tidy end.

This is what `make run` runs. It stays up after the summary until Ctrl-C, which drains
and stops everything that it started.

With `--nodes`, Ray has several nodes on this machine, and each has a host of the system
(over_nodes.py). `--strike` kills one of these nodes in the middle of the replay.
"""

import argparse
import shlex
import signal
import sys
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from jobs import striking
from jobs.command_line import INTERRUPTED, console, parser, problems, run, settings_of
from jobs.drain import drain, show
from jobs.launch import add_launching, launch, launching_of
from jobs.over_nodes import OverNodes
from jobs.replay import Refs, add_options, replay
from runtime.cluster.clearing import database_user
from runtime.cluster.embedded_database import folder_of
from runtime.cluster.preflight import check_machine
from runtime.cluster.ray_session import uninterrupted, way_in
from runtime.settings.configuration import FILE_VARIABLE
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.status import Status
from store.embedded.server import EmbeddedPostgres

#: Each takes about 250 MB and some seconds to start.
MOST_NODES = 16


def _options() -> argparse.ArgumentParser:
    options = parser(__doc__)
    add_options(options, streams=True)
    add_launching(options)
    options.add_argument("--exit", action="store_true", help="end after the summary")
    options.add_argument(
        "--fresh", action="store_true", help="empty this machine's own embedded database first"
    )
    options.add_argument(
        "--nodes", type=_nodes, default=1, metavar="N",
        help=f"so many Ray nodes on this machine, 1 to {MOST_NODES}, each with a host at least",
    )  # fmt: skip
    options.add_argument(
        "--namespaces", action="store_true",
        help="have each node but the first in a network namespace, where root can; Ray then "
        "listens at all addresses of this machine, and only its token keeps others out",
    )  # fmt: skip
    options.add_argument(
        "--strike", action="store_true",
        help="kill one of these nodes in the middle of the replay (kill -9 of all of it)",
    )  # fmt: skip
    return options


def _nodes(given: str) -> int:
    if not given.isdecimal() or not 1 <= int(given) <= MOST_NODES:
        raise argparse.ArgumentTypeError(f"1 to {MOST_NODES} nodes, not {given}")
    return int(given)


def _parsed() -> argparse.Namespace:
    options = _options()
    arguments = options.parse_args()
    if arguments.strike and arguments.nodes < 2:
        options.error("--strike kills a node, and another one has to be left: add --nodes 2, or 3")
    return arguments


def main() -> int:
    arguments = _parsed()
    settings = settings_of(arguments)
    if arguments.fresh:
        _empty(settings)
    check_machine(settings)
    stop = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: _interrupted(stop))
    code, system = INTERRUPTED, None
    over = OverNodes(settings, arguments.nodes, namespaces=arguments.namespaces)
    try:
        with uninterrupted():
            system = launch(over.start(), launching_of(arguments))
        refs: Refs = {}
        strike = None
        if arguments.strike:
            statuses = partial(_statuses, system)
            strike = striking.Strike(over.nodes, statuses, refs.values, arguments.patience)
        done = replay(
            system, arguments.days, arguments.patience,
            streams=arguments.streams, late_days=arguments.late, refs=refs, looked=strike,
        )  # fmt: skip
        if strike is not None:
            done &= striking.show(console, strike.outcome())
        code = 0 if done else 1
        if not arguments.exit:
            console.print("up; a second terminal, in this folder, joins with these lines:")
            for line in _lines_to_paste(settings, arguments.config):
                console.print(f"  {line}", markup=False, soft_wrap=True)
            console.print("Ctrl-C stops everything")
            stop.wait()
    except KeyboardInterrupt:
        console.print("stopping")
    finally:
        if system is not None:
            show(drain(system))
        for problem in over.end():
            problems.print(f"error: {problem}", markup=False)
    return code


def _statuses(system: ActorSystem) -> Iterable[Status]:
    return system.status().result()


def _lines_to_paste(settings: Settings, config: Path | None) -> list[str]:
    """What a new shell has to be told: the way into this run's Ray, and where the settings are
    from. They go into a shell as they stand."""
    variables = dict(way_in())
    if config is not None:
        variables[FILE_VARIABLE] = str(config.absolute())
    namespace = settings.actor_system.namespace
    if Settings.load(config, environ={}).actor_system.namespace != namespace:
        variables["THORNBACK_ACTOR_SYSTEM__NAMESPACE"] = namespace
    words = (f"{name}={shlex.quote(value)}" for name, value in variables.items())
    activate = Path(sys.prefix) / "bin" / "activate"
    lines = [f". {shlex.quote(str(activate))}"] if activate.exists() else []
    return [*lines, f"export {' '.join(words)}", "python -m examples.thermostat"]


def _interrupted(stop: threading.Event) -> None:
    if stop.is_set():
        return
    stop.set()
    raise KeyboardInterrupt


def _empty(settings: Settings) -> None:
    store = settings.event_store
    if store.connection_string.get_secret_value():
        console.print("--fresh empties the embedded database only; DATABASE_URL is left alone")
        sys.exit(2)
    server = EmbeddedPostgres(folder_of(settings))
    with console.status("looking whether a system uses the database"):
        using = database_user(server, settings) if server.running() else None
    if using is not None:
        problems.print(f"error: --fresh empties no database in use: it is {using}'s", markup=False)
        sys.exit(2)
    server.destroy()


if __name__ == "__main__":
    run(main)

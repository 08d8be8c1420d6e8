"""`thornback logs`: what the processes of a system say."""

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import ray
from ray.exceptions import RayError
from rich.markup import escape

from jobs.cli import options
from jobs.cli.devices import checked, has_events, unknown
from jobs.command_line import connected_by
from jobs.terminal import UNWELL, as_json, console, problems
from runtime.errors import SystemNotFound
from runtime.system import ActorSystem
from runtime.transport.ray_stay import InNoRay, asking_ray

#: Between two looks at files that grow: nobody tells.
_LOOK_S = 0.5
#: How long a process may take to tell its log.
_ANSWER_S = 5.0

_HEAD = re.compile(r"(\S+Z) ([A-Z]+) (\S+) (.+?)@(\w*)(?: \[(.*?)\])?: (.*)", re.DOTALL)
_COLOURS = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow", "PRINT": "cyan"}
#: Marks in a log, Ray's own and ours.
_MARKS = (":actor_name:", ":job_id:", ":task_name:", ":thornback_process:")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a process has said; of one without a time only the text is known."""

    process: str
    node: str  #: what the process is called in metrics and clocks
    machine: str  #: the first letters of Ray's id of the machine where it has said so
    ended: bool  #: did an incarnation of it say so that has ended?
    time: str
    level: str
    logger: str
    about: str
    text: str

    def concerns(self, source: str) -> bool:
        """Is it about this actor? Our own messages begin with the source."""
        return self.about == source or self.text.startswith((f"{source} ", f"{source}:"))


@click.command
@click.option("-f", "--follow", is_flag=True, help="Go on with what is said, until Ctrl-C.")
@click.option(
    "--actor", metavar="SOURCE",
    help="Only what is about one device, with what its handlers print: charger/c-17.",
)  # fmt: skip
@click.option("--process", metavar="NAME", help="Only what one process says, like host-0.")
@click.option(
    "--last", type=click.IntRange(0), default=200, show_default=True, metavar="N",
    help="Begin with the last N entries.",
)  # fmt: skip
@options.config
@options.for_programs
def command(
    follow: bool,
    actor: str | None,
    process: str | None,
    last: int,
    config: Path | None,
    for_programs: bool,
) -> int:
    """Show what the processes of the running system say, in the order of time.

    What handlers print is there with the device that it is of, and so are the tracebacks of
    those that fail. Each process is asked for its own log, on the machine where it runs; what its
    earlier incarnations have said there is marked as ended. With --actor, the exit code is 1 when
    nothing was said about that device.
    """
    if actor is not None:
        checked(actor, of_an_actor=False)
    with connected_by(config) as system:
        logs = _Logs(system, process)
        entries = [one for one in logs.more() if actor is None or one.concerns(actor)]
        if actor is not None and not entries:
            _say_nothing(system, actor)
        elif not entries:
            problems.print("nothing was said yet")
        for entry in entries[len(entries) - min(last, len(entries)) :]:
            _print(entry, for_programs)
        while follow:
            time.sleep(_LOOK_S)
            for entry in logs.more():
                if actor is None or entry.concerns(actor):
                    _print(entry, for_programs)
    return UNWELL if actor is not None and not entries else 0


def _say_nothing(system: ActorSystem, source: str) -> None:
    also = "" if asyncio.run(has_events(system, source)) else f", and {unknown(source)}"
    problems.print(f"no entry is about {source}{also}", markup=False)


class _Logs:
    """The logs of a system's processes, read further and further."""

    def __init__(self, system: ActorSystem, process: str | None) -> None:
        self._system, self._only = system, process
        self._offsets: dict[str, int] = {}

    def more(self) -> list[Entry]:
        """What was said since the last call, oldest first. Raises SystemNotFound where the system
        has ended, and its Ray with it."""
        try:
            with asking_ray():
                return self._more()
        except InNoRay as error:
            raise SystemNotFound(self._system.namespace, str(error), "") from error

    def _more(self) -> list[Entry]:
        names = [one.name for one in self._system.status().result()]
        if self._only is not None and self._only not in names:
            raise click.UsageError(f"there is no process {self._only!r}, but {', '.join(names)}")
        asked = {name: self._ask(name) for name in names if self._only in (None, name)}
        found: list[Entry] = []
        for name, answer in asked.items():
            try:
                files = ray.get(answer, timeout=_ANSWER_S) if answer is not None else {}
            except RayError as error:
                problems.print(
                    f"{name} does not tell its log: {type(error).__name__}", markup=False
                )
                continue
            for path, (offset, said, ended) in files.items():
                self._offsets[path] = offset
                found += _entries(name, ended, said.decode(errors="replace"))
        return sorted(found, key=lambda entry: entry.time)

    def _ask(self, name: str) -> Any:
        try:
            return ray.get_actor(name, namespace=self._system.namespace).log.remote(self._offsets)
        except ValueError:
            return None  # it has ended for good since it was counted


def _entries(process: str, ended: bool, said: str) -> Iterator[Entry]:
    """The entries in a piece of a log; lines before the first one are one without a time."""
    lines = [line for line in said.splitlines() if line and not line.startswith(_MARKS)]
    block: list[str] = []
    for line in lines:
        if _HEAD.match(line) and block:
            yield _entry(process, ended, block)
            block = []
        block.append(line)
    if block:
        yield _entry(process, ended, block)


def _entry(process: str, ended: bool, block: list[str]) -> Entry:
    text = "\n".join(block)
    if (head := _HEAD.match(text)) is None:
        return Entry(process, "", "", ended, "", "", "", "", text)
    when, level, logger, node, machine, about, rest = head.groups()
    return Entry(process, node, machine, ended, when, level, logger, about or "", rest)


def _print(entry: Entry, for_programs: bool) -> None:
    if for_programs:
        print(as_json({name: getattr(entry, name) for name in Entry.__slots__}), flush=True)
        return
    about = f" [bold]{escape(entry.about)}[/]" if entry.about else ""
    colour = _COLOURS.get(entry.level, "default")
    process = f"{entry.process}@{entry.machine}" if entry.machine else entry.process
    process += " (ended)" if entry.ended else ""
    console.print(
        f"[dim]{entry.time}[/] {process}{about} [{colour}]{entry.level}[/] {escape(entry.text)}",
        soft_wrap=True,
    )

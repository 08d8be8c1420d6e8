"""`thornback logs`: what the processes of a system say."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import ray
from ray.exceptions import RayError
from rich.markup import escape

from jobs.cli import options
from jobs.command_line import connected_by
from jobs.terminal import as_json, console, problems
from runtime.system import ActorSystem

#: Between two looks at files that grow: nobody tells.
_LOOK_S = 0.5
#: How long a process may take to tell its log.
_ANSWER_S = 5.0

_HEAD = re.compile(r"(\S+Z) ([A-Z]+) (\S+?)(?: \[(.*?)\])?: (.*)", re.DOTALL)
_COLOURS = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow", "PRINT": "cyan"}
#: Ray's own marks in a log.
_MARKS = (":actor_name:", ":job_id:", ":task_name:")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a process has said; of one without a time only the text is known."""

    process: str
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
    those that fail. Each process is asked for its own log, on whichever machine Ray keeps it;
    what an incarnation said that has ended is not shown.
    """
    with connected_by(config) as system:
        logs = _Logs(system, process)
        entries = [one for one in logs.more() if actor is None or one.concerns(actor)]
        for entry in entries[len(entries) - min(last, len(entries)) :]:
            _print(entry, for_programs)
        while follow:
            time.sleep(_LOOK_S)
            for entry in logs.more():
                if actor is None or entry.concerns(actor):
                    _print(entry, for_programs)
    return 0


class _Logs:
    """The logs of a system's processes, read further and further."""

    def __init__(self, system: ActorSystem, process: str | None) -> None:
        self._system, self._only = system, process
        self._offsets: dict[str, int] = {}

    def more(self) -> list[Entry]:
        """What was said since the last call, oldest first."""
        names = [one.name for one in self._system.status().result()]
        if self._only is not None and self._only not in names:
            raise click.UsageError(f"there is no process {self._only!r}, but {', '.join(names)}")
        asked = {
            name: ray.get_actor(name, namespace=self._system.namespace).log.remote(self._offsets)
            for name in names
            if self._only in (None, name)
        }
        found: list[Entry] = []
        for name, answer in asked.items():
            try:
                files = ray.get(answer, timeout=_ANSWER_S)
            except RayError as error:
                problems.print(
                    f"{name} does not tell its log: {type(error).__name__}", markup=False
                )
                continue
            for path, (offset, said) in files.items():
                self._offsets[path] = offset
                found += _entries(name, said.decode(errors="replace"))
        return sorted(found, key=lambda entry: entry.time)


def _entries(process: str, said: str) -> Iterator[Entry]:
    """The entries in a piece of a log; lines before the first one are one without a time."""
    lines = [line for line in said.splitlines() if line and not line.startswith(_MARKS)]
    block: list[str] = []
    for line in lines:
        if _HEAD.match(line) and block:
            yield _entry(process, block)
            block = []
        block.append(line)
    if block:
        yield _entry(process, block)


def _entry(process: str, block: list[str]) -> Entry:
    text = "\n".join(block)
    if (head := _HEAD.match(text)) is None:
        return Entry(process, "", "", "", "", text)
    when, level, logger, about, rest = head.groups()
    return Entry(process, when, level, logger, about or "", rest)


def _print(entry: Entry, for_programs: bool) -> None:
    if for_programs:
        print(as_json({name: getattr(entry, name) for name in Entry.__slots__}), flush=True)
        return
    about = f" [bold]{escape(entry.about)}[/]" if entry.about else ""
    colour = _COLOURS.get(entry.level, "default")
    console.print(
        f"[dim]{entry.time}[/] {entry.process}{about} [{colour}]{entry.level}[/] "
        f"{escape(entry.text)}",
        soft_wrap=True,
    )

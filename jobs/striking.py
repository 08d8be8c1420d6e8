"""A node of a Ray of several is killed in the middle of a replay, and it is told what came of that.

The one that is struck has a host, and is not the head's: that has what Ray knows, and who drives.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from rich.console import Console

from actors.errors import ThornbackError
from runtime.driver.ref import ActorRef
from runtime.topology.names import MACHINE_LETTERS, ProcessKind
from runtime.topology.status import ProcessStatus, Status

logger = logging.getLogger("thornback.run")

T = TypeVar("T")

#: Between two looks: nobody says when Ray has noticed, nor when a process is back.
_LOOK_S = 0.2


class Node(Protocol):
    """One that may be struck. What LocalNode is."""

    id: str

    def kill(self) -> int:
        """Kill all of it; how many processes that were."""

    def known_alive(self) -> bool:
        """Does Ray's head take it for alive?"""


@dataclass(kw_only=True)
class Struck:
    """What came of it; seconds are since the node was killed."""

    node: str
    lost: Sequence[str] = ()  #: the system's processes on it
    killed: int = 0  #: processes of it in all, Ray's own among them
    at: int = 0  #: so many commands had been answered
    noticed_s: float | None = None  #: when Ray took the node for dead; None: it has not
    answered_s: float | None = None  #: when actors of its hosts had answered again, if any were met
    paused_s: float = 0.0  #: the longest time in which no command was answered
    back: dict[str, str] = field(default_factory=dict)  #: process -> the node where it is now
    trouble: str | None = None  #: why there is nothing to tell

    @property
    def holds(self) -> bool:
        """Is everybody back, elsewhere?"""
        return self.trouble is None and self.back.keys() == set(self.lost) and bool(self.lost)


class Strike:
    """Called with how many commands of how many were answered, it strikes at half of them.

    `statuses` asks all processes how they are, and `actors` are those that are asked when the hosts
    of some of them were killed. What takes time is done in a thread of its own, so that commands go
    on meanwhile.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        statuses: Callable[[], Iterable[Status]],
        actors: Callable[[], Iterable[ActorRef[Any]]],
        patience_s: float,
    ) -> None:
        self._statuses, self._actors, self._patience_s = statuses, actors, patience_s  # immutable
        self._nodes = {node.id: node for node in nodes}  # immutable
        self._thread: threading.Thread | None = None
        self._came: Struck | None = None  # the thread's, until that has ended
        self._struck_s: float | None = None  # set by the thread, once
        # The caller's own:
        self._answered, self._answered_s, self._paused_s = 0, 0.0, 0.0

    def __call__(self, answered: int, total: int) -> None:
        """So many of all commands are answered by now."""
        now_s = time.monotonic()
        if self._struck_s is not None and self._answered_s:
            self._paused_s = max(self._paused_s, now_s - self._answered_s)
        self._answered, self._answered_s = answered, now_s
        if self._thread is None and 2 * answered >= total:
            self._thread = threading.Thread(target=self._strike, name="strike", daemon=True)
            self._thread.start()

    def outcome(self) -> Struck:
        """When all is known of it; a replay without a command strikes nobody."""
        if self._thread is None:
            return Struck(node="", trouble="there was no command to be answered")
        self._thread.join()
        assert self._came is not None
        self._came.paused_s = self._paused_s
        return self._came

    def _strike(self) -> None:
        self._came = came = Struck(node="", at=self._answered)
        try:
            where = self._where()
            came.node = _with_most_hosts(where, self._nodes)
            came.lost = sorted(name for name, (_, node) in where.items() if node == came.node)
            asked = self._one_of_each(host for host in came.lost)
            self._struck_s = struck_s = time.monotonic()
            came.killed = self._nodes[came.node].kill()
            self._watch(came, struck_s, asked)
        except (ThornbackError, LookupError) as error:
            came.trouble = str(error)
        except Exception as error:  # whoever waits for the outcome is told of any
            logger.exception("the strike has failed")
            came.trouble = f"{type(error).__name__}: {error}"

    def _watch(self, came: Struck, struck_s: float, asked: Sequence[ActorRef[Any]]) -> None:
        until_s = struck_s + self._patience_s
        while alive := self._nodes[came.node].known_alive():
            if time.monotonic() >= until_s:
                break
            time.sleep(_LOOK_S)
        came.noticed_s = None if alive else time.monotonic() - struck_s
        for ref in asked:
            _until(until_s, lambda ref=ref: ref.state().result(timeout_s=self._patience_s))  # type: ignore[misc]
        came.answered_s = time.monotonic() - struck_s if asked else None
        while came.back.keys() != set(came.lost) and time.monotonic() < until_s:
            for name, (_, node) in _until(until_s, self._where).items():
                if name in came.lost and node != came.node:
                    came.back[name] = node
            time.sleep(_LOOK_S)

    def _where(self) -> Mapping[str, tuple[ProcessKind, str]]:
        """By process, as far as it answers: its kind, and the node that it runs on."""
        return {
            each.name: (each.kind, each.machine)
            for each in self._statuses()
            if isinstance(each, ProcessStatus)
        }

    def _one_of_each(self, hosts: Iterable[str]) -> list[ActorRef[Any]]:
        """An actor of each of these hosts, if there is one."""
        left, found = set(hosts), []
        for ref in list(self._actors()):  # whoever sends meets others meanwhile
            if ref.channel.host in left:
                left.discard(ref.channel.host)
                found.append(ref)
        return found


def _until(until_s: float, ask: Callable[[], T]) -> T:
    """What is answered; it is asked again while whoever would answer is away. Raises what it is
    told when the time is over."""
    while True:
        try:
            return ask()
        except ThornbackError:
            if time.monotonic() >= until_s:
                raise
        time.sleep(_LOOK_S)


def show(console: Console, came: Struck) -> bool:
    """Print what came of it; is everybody back?"""
    if came.trouble is not None:
        what = f"{_short(came.node)} was struck" if came.killed else "no node was struck"
        console.print(f"[red]FAILS[/]  {what}: {came.trouble}")
        return False
    console.print(
        f"node {_short(came.node)} was killed when {came.at:,} commands were answered, "
        f"{came.killed} processes with {', '.join(came.lost)} among them"
    )
    console.print(
        f"Ray took it for dead after {_seconds(came.noticed_s)}; its actors answered again after "
        f"{_seconds(came.answered_s)}; the longest pause without an answer to any command was "
        f"{came.paused_s:.1f} s"
    )
    where = ", ".join(f"{name} on {_short(node)}" for name, node in sorted(came.back.items()))
    said = f"{len(came.back)} of its {len(came.lost)} processes are back on other nodes: {where}"
    console.print(f"[green]holds[/]  {said}" if came.holds else f"[red]FAILS[/]  {said}")
    return came.holds


def _with_most_hosts(where: Mapping[str, tuple[ProcessKind, str]], nodes: Iterable[str]) -> str:
    hosts = [node for kind, node in where.values() if kind is ProcessKind.POOLED_HOST]
    most = max(sorted(nodes), key=hosts.count)
    if most not in hosts:
        raise LookupError("no node but the head's has a host")
    return most


def _short(node: str) -> str:
    return node[:MACHINE_LETTERS]


def _seconds(found: float | None) -> str:
    return "(nobody knows)" if found is None else f"{found:.1f} s"

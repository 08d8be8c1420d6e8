"""What the simulated database is asked for, what a transaction has, and what goes wrong with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from store.dead_letters import LetterChange
from store.event_store import CheckpointMove, CounterMove, StateChange
from thornback.simulation.scheduler import Owner


@dataclass
class ClientRequest:
    """What one client asks for."""

    client: Owner
    names: frozenset[str]  #: the rows of `epochs` that it updates
    work: Callable[[], Any]
    answered: Callable[[Any, Exception | None], None]
    commits: bool = False  #: an append
    opens: bool = False  #: an epoch
    gives_up: bool = False  #: the claim
    moves: bool = False  #: shards
    saves: bool = False  #: snapshots
    ready: Callable[[], bool] | None = None  #: it holds its locks until this is so
    holds_s: float = 0.0  #: so long at the most
    held_since_s: float | None = None
    open: bool = True  #: the client still listens


@dataclass(frozen=True)
class Transaction:
    """What one append commits."""

    rows: Sequence[bytes]
    writer: CounterMove
    nodes: Sequence[CounterMove]
    checkpoints: Sequence[CheckpointMove]
    states: Sequence[StateChange]
    letters: Sequence[LetterChange]
    attempt: int

    @property
    def names(self) -> list[str]:
        """The rows of `epochs` that it locks."""
        nodes = [move.name for move in self.nodes]
        return [self.writer.name, *nodes, *(move.name for move in self.checkpoints)]


@dataclass(frozen=True)
class Drop:
    """All that there was of a program has gone."""

    program: str
    at_s: float
    head: int  #: of the log, then
    places: dict[int, int]  #: how far its slots were


@dataclass(frozen=True)
class Swap:
    """A table that has taken the place of another, as it was in that moment."""

    program: str
    before: dict[str, int]  #: how far the slots of the other one were
    after: dict[str, int]
    rows: dict[str, tuple[Any, ...]]


@dataclass
class AtCommit:
    """What strikes in the moment in which checkpoints of some programs have been moved."""

    programs: Sequence[str]
    left: int  #: so many commits of theirs, and with the last of them it strikes
    strike: Callable[[int], None]  #: with a slot of which the checkpoint was moved

    def committed(self, names: Sequence[str]) -> bool:
        """These were moved. Has it struck?"""
        slots = [
            int(slot)
            for program, _, slot in (name.partition("/") for name in names)
            if slot and program in self.programs
        ]
        if not slots:
            return False
        self.left -= 1
        if not self.left:
            self.strike(slots[0])
        return not self.left


@dataclass
class Trouble:
    """What is wrong with the database at present; counts are of the next transactions."""

    away_until_s: float = 0.0
    silent: bool = False  #: while it is away it does not even refuse connections
    slow: float = 1.0
    commits_take_s: float = 0.0  #: longer than they would
    late: list[float] = field(default_factory=list)  #: seconds that a commit takes longer
    locked_late: list[float] = field(default_factory=list)  #: the same, holding its locks
    unheard: int = 0  #: commits whose answer is lost
    late_epochs: list[float] = field(default_factory=list)  #: seconds that opening one takes longer
    late_moves: list[float] = field(default_factory=list)  #: and moving shards, unheard
    late_saves: list[float] = field(default_factory=list)  #: and saving snapshots, unheard
    #: Seconds after which a move that was made is heard of; or it is not, though it was made.
    unheard_moves: list[tuple[float, bool]] = field(default_factory=list)
    late_give_ups: list[float] = field(default_factory=list)  #: and giving up the claim
    at_commits: list[AtCommit] = field(default_factory=list)
    #: By the end of an epoch's name, what strikes when one is opened.
    at_epochs: dict[str, Callable[[], None]] = field(default_factory=dict)

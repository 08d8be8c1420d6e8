"""What hosts append and what becomes of it: the values of group commit."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from store.dead_letters import LetterChange
from store.receipts import Receipt
from store.rows.layout import EncodedRows


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointMove:
    """How far an append takes a durable subscription: the position up to which its effects
    are in the log, and what has been finished by then. Whoever works for it has opened it as its
    incarnation `epoch`."""

    name: str
    epoch: int
    position: int
    receipt: Receipt
    #: How far event time has come for it, Unix microseconds; None: that stays as it was.
    watermark_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """What a stream program keeps of one key from now on; `data` None: nothing. `due_us` is the
    event time at which the key is to be looked at again, Unix microseconds."""

    program: str
    key: str
    data: bytes | None
    due_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Rows of one node, to be committed together after its earlier ones.

    `sequence` counts the node's appends from 0 within a `generation`; the node raises
    the generation when one was refused, and starts again. It sends the first of a
    generation alone. `tick` is the last tick of its vector clock in these rows, which are
    the effects of a durable subscription up to each of the `checkpoints`.
    """

    node: str
    epoch: int
    generation: int
    sequence: int
    tick: int
    rows: EncodedRows
    types: Mapping[str, int]  #: events by type, for the metrics
    checkpoints: Sequence[CheckpointMove] = ()
    states: Sequence[StateChange] = ()  #: of programs whose checkpoints these are
    letters: Sequence[LetterChange] = ()  #: of the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Committed: the rows stand at `first_position` and the positions that follow."""

    first_position: int
    recorded_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One committed batch, as it goes to the bus."""

    first_position: int
    rows: EncodedRows
    types: Mapping[str, int]
    nodes: Mapping[str, int]  #: events by the node whose host has decided them


def nothing_after(position: int) -> Commit:
    """No rows, but word that the log reaches up to there."""
    return Commit(
        first_position=position + 1, rows=EncodedRows(b"", array("I")), types={}, nodes={}
    )

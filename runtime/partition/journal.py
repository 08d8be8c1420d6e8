"""A node's journal: its appends on their way to the writer, in order.

Appends of one node are numbered within a generation. When one is refused, all that
followed it are; a host then begins a new generation and runs the commands again.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from store.appends import Acknowledged, Append, CheckpointMove, StateChange
from store.dead_letters import LetterChange
from store.event_store import Epoch
from store.rows.layout import EncodedRows

Send = Callable[[Append], Awaitable[Acknowledged]]


class Journal:
    """Hands appends to `send` in order, without waiting for their acknowledgement."""

    def __init__(self, epoch: Epoch, send: Send) -> None:
        self._epoch = epoch
        self._send = send
        self._generation = 0
        self._sequence = 0
        self._first: asyncio.Task[Acknowledged] | None = None

    def append(
        self,
        rows: EncodedRows,
        types: Mapping[str, int],
        tick: int,
        checkpoints: Sequence[CheckpointMove] = (),
        states: Sequence[StateChange] = (),
        letters: Sequence[LetterChange] = (),
    ) -> "asyncio.Task[Acknowledged]":
        """Send a batch's rows, of so many events a type; `tick` is the last tick of the
        node's clock in them. With them go checkpoints, states and dead letters of stream
        programs."""
        append = Append(
            node=self._epoch.name,
            epoch=self._epoch.number,
            generation=self._generation,
            sequence=self._sequence,
            tick=tick,
            rows=rows,
            types=types,
            checkpoints=checkpoints,
            states=states,
            letters=letters,
        )
        self._sequence += 1
        sending = asyncio.ensure_future(self._travel(append, self._first))
        self._first = self._first or sending
        return sending

    def begin_generation(self) -> None:
        """After a refusal: the next append is the first of a new generation."""
        self._generation += 1
        self._sequence = 0
        self._first = None

    def begin_epoch(self, epoch: Epoch) -> None:
        """The node goes on in another epoch; nothing is under way in the old one."""
        self._epoch, self._generation = epoch, -1
        self.begin_generation()

    async def _travel(
        self, append: Append, first: "asyncio.Task[Acknowledged] | None"
    ) -> Acknowledged:
        # The first of a generation travels alone: a writer that was restarted takes no
        # other first, and so never waits for one that its predecessor had.
        if first is not None and not first.done():
            await asyncio.wait({first})
        return await self._send(append)


def type_counts(names: list[str]) -> dict[str, int]:
    """Events by type."""
    return dict(Counter(names))

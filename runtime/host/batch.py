"""One batch of commands on its way through a host, and the table of recent ones."""

import asyncio
from array import array
from itertools import accumulate
from typing import Any

from runtime.wire.commands import Answer, Request, pack_answer, refused
from runtime.wire.error_codec import EncodedError, encode_error
from store.appends import Acknowledged
from store.event_store import Snapshot
from store.rows.layout import EncodedRows, stamp


class Batch:
    """The commands of one request, and what became of each so far."""

    def __init__(self, number: int, request: Request) -> None:
        self.number = number
        self.request = request
        self.commands: list[Any] = request.commands
        loop = asyncio.get_running_loop()
        self.arrived_s = loop.time()
        self.answer: asyncio.Future[bytes] = loop.create_future()
        self.attempts = 0
        self.turned_away = False
        self.failure: Exception | None = None
        self.clock: dict[str, int] = {}  #: the node's, after this batch
        self.reset()

    def reset(self) -> None:
        """Forget every outcome: the batch is to be run again."""
        self.durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.known: set[bytes] = set()  #: command ids that the log has events of
        self.checked = False  #: `known` is complete
        self.counts = [0] * len(self.commands)
        self.rows: list[bytes] = []
        self.types: list[str] = []
        self.values: dict[int, bytes] = {}
        self.errors: dict[int, EncodedError] = {}
        self.empty: list[int] = []  #: commands without events
        self.refusals: list[int] = []  #: commands refused after looking at the state
        self.repeats: dict[int, Batch | None] = {}  #: where it ran first; None: in the log
        self.deferred: list[int] = []
        self.rebuild: set[str] = set()
        self.snapshots: list[Snapshot] = []
        self.late: dict[int, bytes] = {}  #: stamped rows of commands that ran late
        self.late_total = 0
        self._places: dict[bytes, int] = {}
        self.acknowledged = Acknowledged(first_position=0, recorded_us=0)

    def repeated(self, index: int, first: "Batch | None") -> None:
        """The command took effect before: in a recent batch, or somewhere in the log."""
        self.repeats[index] = first

    def refused(self, index: int, error: Exception) -> None:
        """A refusal that stands unless the command turns out to be a repeat."""
        self.failed(index, error)
        self.refusals.append(index)

    def failed(self, index: int, error: Exception) -> None:
        """The command's answer is an error."""
        self.errors[index] = encode_error(error)

    def snapshot(self, snapshot: Snapshot | None) -> None:
        """To be saved when the batch is durable."""
        if snapshot is not None:
            self.snapshots.append(snapshot)

    def turn_away(self, error: Exception) -> None:
        """Answer that nothing of the batch was run, or that its outcome is open."""
        if not self.answer.done():
            self.turned_away = True
            self.answer.set_result(refused(encode_error(error)))

    def rows_of_command(self, command_id: bytes) -> bytes:
        """The stamped rows of the command that had this id and took effect here."""
        if not self._places:
            commands, counts = self.commands, self.counts
            self._places = {
                command[2]: index for index, command in enumerate(commands) if counts[index]
            }
        return self.rows_of(self._places[command_id])

    def rows_of(self, index: int) -> bytes:
        """The stamped rows of one command of a batch that is durable."""
        if index in self.late:
            return self.late[index]
        start = sum(self.counts[:index])
        rows = self.rows[start : start + self.counts[index]]
        data, lengths = bytearray().join(rows), array("I", map(len, rows))
        ack = self.acknowledged
        stamp(data, lengths, ack.recorded_us, ack.first_position + start)
        return bytes(data)

    def adopt(self, child: "Batch") -> None:
        """Take over the outcomes of the deferred commands, which ran as `child`."""
        for place, index in enumerate(self.deferred):
            if place in child.errors:
                self.errors[index] = child.errors[place]
            if place in child.values:
                self.values[index] = child.values[place]
            if place in child.repeats:
                self.repeats[index] = child.repeats[place]
            elif child.counts[place] or place in child.late:
                self.late[index] = child.rows_of(place)
        self.late_total += len(child.rows) + child.late_total
        self.deferred = []

    def finish(self, elsewhere: dict[int, bytes]) -> bytes:
        """The answer, now that all of it is durable."""
        wanted = self.request.want_events
        ack = self.acknowledged
        numbers = list(accumulate(self.counts, initial=0)) if wanted else []
        ends = list(accumulate(map(len, self.rows), initial=0)) if wanted else []
        answer = Answer(
            clock=self.clock,
            total=len(self.rows) + self.late_total,
            repeats=set(self.repeats),
            first_position=ack.first_position,
            recorded_us=ack.recorded_us,
            numbers=numbers,
            offsets=[ends[number] for number in numbers],
            rows=b"".join(self.rows) if wanted else b"",
            elsewhere={**elsewhere, **self.late} if wanted else {},
            values=self.values,
            errors=self.errors,
        )
        return pack_answer(answer)

    def encoded(self) -> EncodedRows:
        """The rows as one piece."""
        return EncodedRows.of(self.rows)

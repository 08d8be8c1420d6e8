"""What contract tests append: made-up events, and a log that counts for its writer."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from actors.clock import VectorClock
from actors.event import Event, Kind
from actors.naming import aggregate_id_of
from store.dead_letters import LetterChange
from store.event_store import (
    WRITER,
    CheckpointMove,
    CounterMove,
    Epoch,
    EventStore,
    StateChange,
)
from store.rows.decoding import Decoder
from store.rows.encoding import encode_event
from store.rows.layout import EncodedRows, stamp

NODE = "host-a"
RECORDED_US = 1_388_534_400_000_001  #: 2014-01-01, a microsecond past midnight UTC
_HAPPENED = datetime(2013, 7, 1, 12, 30, 0, 123_456, tzinfo=UTC)

_ids: Iterator[int] = count(1)


def made_event(
    source: str = "device/one", version: int = 1, *, data: dict[str, Any] | None = None, **more: Any
) -> Event:
    """An event as a host would hand it on: no position, no commit time; an id of its own."""
    number = next(_ids)
    fields: dict[str, Any] = {
        "id": UUID(int=number),
        "event_type": "temperature-reported",
        "kind": Kind.DEVICE,
        "timestamp": _HAPPENED + timedelta(microseconds=number),
        "vector_clock": VectorClock({NODE: number}),
    }
    return Event(
        source=source,
        aggregate_id=aggregate_id_of(source),
        version=version,
        data={"celsius": 21.5} if data is None else data,
        **{**fields, **more},
    )


def history(source: str, length: int, first: int = 1) -> list[Event]:
    """Consecutive versions of one source."""
    return [
        made_event(source, version, data={"n": version}) for version in range(first, first + length)
    ]


class Log:
    """A store with an epoch for its writer and for one node; `append` is the usual append."""

    def __init__(self, store: EventStore, writer: Epoch, node: Epoch) -> None:
        self.store, self.writer, self.node = store, writer, node
        self.head = writer.counter
        self.ticks = node.counter
        self.recorded_us = RECORDED_US  #: when what comes next is committed

    @classmethod
    async def open(cls, store: EventStore, holder: str = "") -> "Log":
        """Take over as the writer and as the node."""
        writer = await store.open_epoch(WRITER, holder)
        return cls(store, writer, await store.open_epoch(NODE, holder))

    async def append(self, *events: Event) -> list[Event]:
        """Append at the head; return the events as a live subscriber decodes them."""
        rows = self.stamped(events)
        await self.append_rows(rows)
        return Decoder().events(bytes(rows.data))

    async def append_rows(
        self,
        rows: EncodedRows,
        *,
        writer_epoch: int | None = None,
        node_epoch: int | None = None,
        through: int | None = None,
        checkpoints: Sequence[CheckpointMove] = (),
        states: Sequence[StateChange] = (),
        letters: Sequence[LetterChange] = (),
        attempt: int = 0,
    ) -> None:
        """Append with the right fence but for what is given; count only if it succeeds."""
        last, ticks = self.head + len(rows), self.ticks + len(rows)
        await self.store.append(
            rows,
            writer=CounterMove(
                name=WRITER,
                epoch=self.writer.number if writer_epoch is None else writer_epoch,
                counter=last if through is None else through,
            ),
            nodes=[
                CounterMove(
                    name=NODE,
                    epoch=self.node.number if node_epoch is None else node_epoch,
                    counter=ticks,
                )
            ],
            checkpoints=checkpoints,
            states=states,
            letters=letters,
            attempt=attempt,
        )
        self.head, self.ticks = last, ticks

    def stamped(self, events: "list[Event] | tuple[Event, ...]") -> EncodedRows:
        """The events as rows that follow on the head."""
        rows = EncodedRows.of([encode_event(event) for event in events])
        data = bytearray(rows.data)
        stamp(data, rows.lengths, self.recorded_us, self.head + 1)
        return EncodedRows(data, rows.lengths)

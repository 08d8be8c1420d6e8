"""What a host holds, and sends at a time, is bounded in bytes."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import pytest
from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent, Payload
from runtime.host import decision
from runtime.host.snapshots import SnapshotSaving
from runtime.wire import commits
from runtime.wire.answers import read_events
from runtime.wire.commands import PUBLISH
from runtime.wire.commits import pack_append
from store.errors import InvalidData, RowsRefused
from store.event_store import Snapshot
from store.memory import MemoryEventStore
from tests.unit.hosting import Hosting, command, versions
from tests.unit.writing import CuedStore, Writing
from tests.virtual_time import settled, virtual_time

DATA = "x" * 1000


class Print(Command):
    pages: int = 1


class PrintWithoutEnd(Command):
    """A handler that does not stop by itself."""


class Printed(DeviceEvent):
    data: str


class Paper(BaseModel):
    pages: int = 0


class Printer(Actor[Paper]):
    @handles
    def print_pages(self, message: Print) -> Iterator[Payload]:
        for _ in range(message.pages):
            yield Printed(data=DATA)

    @handles
    def print_on(self, message: PrintWithoutEnd) -> Iterator[Payload]:
        for _ in count():
            yield Printed(data=DATA)

    @applies
    def printed(self, event: Printed) -> None:
        self.state.pages += 1


async def host_with_printers() -> Hosting:
    host = await Hosting.begin()
    host.register(Printer)
    return host


@virtual_time
async def test_a_batch_with_many_bytes_of_events_is_appended_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decision, "ATTEMPT_BYTES", 5 * len(DATA))
    host = await host_with_printers()
    sent = [command(f"printer/{number % 2}", Print(pages=2)) for number in range(6)]
    sent.insert(4, sent[0])
    answer = await host.deliver(*sent, command("printer/1", Print(pages=20)))
    assert [versions(read_events(answer, index)) for index in range(8)] == [
        [1, 2], [1, 2], [3, 4], [3, 4], [1, 2], [5, 6], [5, 6], list(range(7, 27))
    ]  # fmt: skip
    assert answer.repeats == {4}
    assert [len(append.rows) for append in host.appends] == [4, 4, 4, 20]
    assert max(len(append.rows.data) for append in host.appends[:3]) < 9 * len(DATA)


@virtual_time
async def test_a_batch_with_many_bytes_of_publications_is_appended_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decision, "ATTEMPT_BYTES", 5 * len(DATA))
    host = await host_with_printers()
    publication = {
        "event_type": "seen", "kind": "device", "data": b'{"data": "%s"}' % DATA.encode(),
        "metadata": {}, "clock": {},
    }  # fmt: skip
    sent = [command("camera/a", PUBLISH, data=publication) for _ in range(12)]
    answer = await host.deliver(*sent)
    assert [versions(read_events(answer, index)) for index in range(12)] == [
        [version] for version in range(1, 13)
    ]
    assert max(len(append.rows.data) for append in host.appends) < 9 * len(DATA)


@virtual_time
async def test_a_command_with_more_bytes_of_events_than_an_append_may_have_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decision, "COMMAND_BYTES", 20 * len(DATA))
    host = await host_with_printers()
    answer = await host.deliver(
        command("printer/a", Print()),
        command("printer/a", PrintWithoutEnd()),
        command("printer/a", Print()),
    )
    with pytest.raises(InvalidData, match="printed: the events of its command take more than"):
        read_events(answer, 1)
    assert versions(read_events(answer, 0) + read_events(answer, 2)) == [1, 2]


@virtual_time
async def test_an_append_that_does_not_fit_into_one_piece_is_refused_before_it_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writing = await Writing.begin()
    append = (await writing.node("a")).made(3)
    monkeypatch.setattr(commits, "MAX_APPEND_BYTES", len(append.rows.data))
    pack_append(append)
    monkeypatch.setattr(commits, "MAX_APPEND_BYTES", len(append.rows.data) - 1)
    with pytest.raises(RowsRefused, match="are allowed"):
        pack_append(append)


class SlowStore(MemoryEventStore):
    """Takes snapshots when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.writes: list[int] = []

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        self.writes.append(len(snapshots))
        await self.open.wait()
        await super().save_snapshots(snapshots)


@virtual_time
async def test_snapshots_for_a_slow_database_wait_up_to_so_many_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SnapshotSaving, "MAX_BYTES", 10_000)
    store, saved = SlowStore(), [0]
    saving = SnapshotSaving(store, saved.append, name="host")

    def snapshot(number: int, version: int, size: int = 1000) -> Snapshot:
        return Snapshot(aggregate_id=number.to_bytes(16, "big"), version=version, data=b"x" * size)

    saving.save([snapshot(0, 1)])
    await settled()
    for version in range(2, 100):
        for number in range(50):
            saving.save([snapshot(number, version)])
        assert saving.bytes <= 10_000 + 1_200
    store.open.set()
    await settled()
    assert saving.idle
    assert (saving.bytes, sum(saved)) == (0, 1 + 9)
    assert store.writes == [1, 9], "one write after another, with all that waited"
    kept = await store.load_snapshots([number.to_bytes(16, "big") for number in range(50)])
    assert sorted(one.version for one in kept.values()) == [99] * 9
    saving.save([snapshot(40, 1)])
    await settled()
    assert await store.load_snapshots([(40).to_bytes(16, "big")])


class FailsOnce(CuedStore):
    """Fails once in a way that nobody has thought of, between deciding and sealing."""

    failed = False

    async def note_event_types(self, pairs: Iterable[tuple[str, str]]) -> None:
        if not self.failed:
            self.failed = True
            raise KeyError("unforeseen")
        await super().note_event_types(pairs)


@virtual_time
async def test_what_is_left_for_the_next_attempt_is_run_though_this_one_fails_unforeseen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decision, "ATTEMPT_BYTES", len(DATA))
    host = await Hosting.begin(FailsOnce())
    host.register(Printer)
    answer = await host.deliver(*(command("printer/a", Print()) for _ in range(3)))
    assert [versions(read_events(answer, index)) for index in range(3)] == [[1], [2], [3]]

"""Stream programs that read the logs of several partitions as one: whatever dies, an event takes
effect once, and what comes of all of them is what a fresh computation over all logs comes to."""

import asyncio
import json
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.event import BusinessEvent, Event, Payload
from actors.tell import Tell
from jobs import programs
from runtime.processing.partitioned_programs import home_of_program
from runtime.system import ActorSystem, PartitionedSystem
from store.merges import reached
from store.receipts import NOTHING_FINISHED
from store.rows.decoding import Decoder
from store.selection import Selection
from streams.aggregates import Count
from streams.handler import Handler
from streams.pipeline import EventPipeline
from streams.projection import Projection
from streams.windows import Tumbling
from tests.integration.devices import Add, Counter
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    eventually,
    kill,
    log_of,
)
from tests.integration.test_programs import report, under_traffic, wait_reached
from tests.integration.test_programs_of_partitions import rows, says

pytestmark = pytest.mark.integration

ADDED = Selection(event_types=("added",), sources=("counter/d*",))


class Counted(BusinessEvent):
    """There were so many of this kind by now."""

    count: int


class HourCounted(BusinessEvent):
    """There were so many of this kind in that hour."""

    start_us: int
    count: int


KINDS = [f"kind-{number}" for number in range(7)]
HOUR_US = 3_600_000_000


def kind_of(event: Event) -> str:
    """Of each there are events of all counters."""
    return f"kind-{event.data['amount'] % 7}"


def counting(name: str = "kinds") -> EventPipeline:
    """Of each kind, and each of its events, how many there were."""
    return (
        EventPipeline(name, "added", sources=("counter/d*",))
        .key_by(kind_of)
        .fold(0, lambda count, _: count + 1)
        .emit(lambda folded: Counted(count=folded.value))
    )


def hourly() -> EventPipeline:
    """Of each kind, and hour of event time, how many there were."""
    return (
        EventPipeline("hourly", "added", sources=("counter/d*",), disorder=timedelta(minutes=10))
        .key_by(kind_of)
        .window(Tumbling(timedelta(hours=1)), Count())
        .emit(lambda window: HourCounted(start_us=window.start_us, count=window.value))
    )


@pytest.fixture
def system(launch: Launcher) -> PartitionedSystem:
    launched = launch(actor_system={"hosts": 2}, event_store={"partitions": 2})
    assert isinstance(launched, PartitionedSystem)
    return launched


def home_of(system: PartitionedSystem, program: str) -> ActorSystem:
    """The partition where a program has its home."""
    return system.parts[home_of_program(program, len(system.parts))]


def heads(system: PartitionedSystem) -> int:
    """Events in all logs."""
    return sum(int(log_of(part, "SELECT count(*) FROM events")[0][0]) for part in system.parts)


def has_reached(system: PartitionedSystem, program: str) -> None:
    """Wait until it has come to where the logs stand now."""
    wait_reached(home_of(system, program), program, heads(system))


def merged(system: PartitionedSystem, program: str) -> list[Event]:
    """What it has read, out of the logs anew, in the order of its merge."""

    async def read() -> list[Event]:
        stores = [await part.open_store() for part in system.parts]
        try:
            home = stores[home_of_program(program, len(stores))]
            merge = await home.merge_of(program)
            assert merge is not None
            logs = []
            for store in stores:
                page = await store.read(0, 10**6, selection=ADDED)
                logs.append({one.position: one for one in Decoder().events(page.rows)})
            found: list[Event] = []
            for leg in await home.merge_legs(merge, merge.start, 10**6):
                for position in range(leg.log_after + 1, leg.log_through + 1):
                    found += filter(None, [logs[leg.partition].get(position)])
            return found
        finally:
            for store in stores:
                await store.close()

    return asyncio.run(read())


def assert_receipts_agree(system: PartitionedSystem, program: str) -> None:
    """What each slot has finished is what the logs have of it, as far as it has come in them."""

    async def compare() -> None:
        stores = [await part.open_store() for part in system.parts]
        try:
            home = stores[home_of_program(program, len(stores))]
            merge = await home.merge_of(program)
            assert merge is not None
            records = [r for r in await home.subscriptions() if r.name.startswith(f"{program}/")]
            assert len(records) == 16
            for record in records:
                slot, told = int(record.name.partition("/")[2]), NOTHING_FINISHED
                legs = await home.last_legs(merge, record.position)
                through = reached(merge, record.position, legs)
                for store, after, end in zip(stores, merge.began, through, strict=True):
                    told += await store.recount(record.selection, after, end, slot)
                assert told == record.receipt
        finally:
            for store in stores:
                await store.close()

    asyncio.run(compare())


def outputs(part: ActorSystem, event_type: str) -> dict[str, list[Any]]:
    """Those of a program, by key, in the order of their versions."""
    found: dict[str, list[Any]] = defaultdict(list)
    for row in log_of(
        part,
        "SELECT source, version, causation_id, event_data FROM events WHERE event_type = $1"
        " ORDER BY source, version",
        event_type,
    ):
        found[row["source"].partition("/")[2]].append(row)
        assert row["version"] == len(found[row["source"].partition("/")[2]])
    return found


def assert_counted(system: PartitionedSystem, program: str) -> None:
    """Each event has one output of its kind, in the order of the merge, and so in that of each
    log; all of them are in one log."""
    by_kind: dict[str, list[Event]] = defaultdict(list)
    for event in merged(system, program):
        by_kind[kind_of(event)].append(event)
    home = home_of(system, program)
    found = outputs(home, "counted")
    assert {kind: [row["causation_id"] for row in rows] for kind, rows in found.items()} == {
        kind: [event.id for event in events] for kind, events in by_kind.items()
    }
    for part in system.parts:
        if part is not home:
            assert outputs(part, "counted") == {}


@pytest.mark.chaos
def test_a_key_with_events_in_all_logs_has_each_once_whatever_is_killed(
    system: PartitionedSystem,
) -> None:
    report(system, 200)
    system.run(counting(), workers=2).result(timeout_s=2 * LIMIT_S)
    home = home_of(system, "kinds")
    [other] = [part for part in system.parts if part is not home]
    with under_traffic(system, 200):
        for part, victim in (
            (home, "worker-0-of-kinds"),
            (other, "bus"),
            (home, "writer"),
            (home, "worker-1-of-kinds"),
            (other, "writer"),
            (home, "worker-0-of-kinds"),
        ):
            kill(part, victim)
            has_reached(system, "kinds")
    report(system, 40, first=10**6)
    has_reached(system, "kinds")
    assert all(log_of(part, "SELECT FROM events WHERE source LIKE 'counter/d%'")
               for part in system.parts)  # fmt: skip
    assert_counted(system, "kinds")
    assert_receipts_agree(system, "kinds")
    for part in system.parts:
        assert_log_is_whole(part)


@dataclass(frozen=True)
class OfKind:
    """What there is of a kind."""

    events: int
    through: int


class Kinds(Projection[OfKind]):
    """Counts the events of each kind."""

    name = "table-of-kinds"
    event_types = ("added",)
    sources = ("counter/d*",)

    def key(self, event: Event) -> str:
        return kind_of(event)

    def project(self, event: Event, row: OfKind | None) -> OfKind:
        return OfKind((row.events if row else 0) + 1, event.position or 0)


class Telling(Handler):
    """Has an actor of each kind count its events, in whatever partition that is; fails at numbers
    that end in 77 as long as there is a file."""

    event_types = ("added",)
    sources = ("counter/d*",)
    on_failure = "park"
    tries = 1

    def __init__(self, bad: Path) -> None:
        super().__init__()
        self.bad = str(bad)

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        yield kind_of(event), None

    def handle(self, event: Event) -> Sequence[Payload | Tell]:
        if event.data["amount"] % 100 == 77 and Path(self.bad).exists():
            raise ValueError(f"not {event.data['amount']}")
        return [Tell((Counter, f"total-{kind_of(event)}"), Add(amount=1))]


def assert_windows(system: PartitionedSystem) -> None:
    """The last result of each window that is over is what there was in it, in all logs."""
    there: Tally[tuple[str, int]] = Tally()
    for event in merged(system, "hourly"):
        there[kind_of(event), event.timestamp_us // HOUR_US] += 1
    told = {
        (kind, row["start_us"] // HOUR_US): row["count"]
        for kind, rows in outputs(home_of(system, "hourly"), "hour-counted").items()
        for row in (json.loads(row["event_data"]) for row in rows)
    }
    last = max(hour for _, hour in there)
    assert told == {place: count for place, count in there.items() if place[1] < last}


def table(system: PartitionedSystem) -> dict[str, tuple[int, int]]:
    """What readers of the projection see, in the one database where it is."""
    rows = log_of(
        home_of(system, Kinds.name), "SELECT key, events, through FROM projections.table_of_kinds"
    )
    return {row["key"]: (row["events"], row["through"]) for row in rows}


def totals(system: PartitionedSystem) -> dict[str, int]:
    """What the actors of kinds have counted, of whichever partition."""
    found = {kind: system.actor(Counter, f"total-{kind}").state().result() for kind in KINDS}
    return {kind: state.total for kind, state in found.items()}


@pytest.mark.chaos
def test_windows_tables_and_messages_of_all_logs(
    system: PartitionedSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (bad := tmp_path / "bad").touch()
    report(system, 200)
    telling: Handler = Telling(bad)
    for program in (hourly(), Kinds, telling):
        system.run(program, workers=1).result(timeout_s=2 * LIMIT_S)
    for victim in ("worker-0-of-hourly", "worker-0-of-table-of-kinds", "worker-0-of-telling"):
        report(system, 100, first=200)
        kill(home_of(system, victim.partition("-of-")[2]), victim)
    report(system, 80, first=10_000)
    report(system, 80, first=20_000)
    for name in ("hourly", Kinds.name, "telling"):
        has_reached(system, name)
    eventually(lambda: programs.list_all(system, for_programs=True) == 0)
    shown = rows(capsys.readouterr().out)[-3:]
    assert {row["program"]: (row["logs"], row["partition"]) for row in shown} == {
        name: (2, home_of_program(name, 2)) for name in ("hourly", Kinds.name, "telling")
    }
    assert_windows(system)
    by_kind: dict[str, list[int]] = defaultdict(list)
    for event in merged(system, Kinds.name):
        by_kind[kind_of(event)].append(event.position or 0)
    assert {kind: events for kind, (events, _) in table(system).items()} == {
        kind: len(events) for kind, events in by_kind.items()
    }

    home = home_of(system, Kinds.name)
    before = table(system)
    log_of(home, "UPDATE projections.table_of_kinds SET events = events + 1")
    system.rebuild(Kinds.name).result(timeout_s=2 * LIMIT_S)
    assert table(system) == before

    [*waiting] = system.dead_letters("telling").result(LIMIT_S)
    assert {queue.key for queue in waiting} == {kind_of(queue.event) for queue in waiting}
    assert all(queue.event.data["amount"] % 100 == 77 for queue in waiting)
    listed = rows(says(system, "dead-letters", "list", "--json", code=1))
    assert [row["key"] for row in listed] == [queue.key for queue in waiting]
    bad.unlink()
    assert system.replay_dead_letters("telling").result(2 * LIMIT_S).parked == {}
    sent = {kind: len(events) for kind, events in by_kind.items()}
    eventually(lambda: totals(system) == sent)

    for name in ("hourly", Kinds.name, "telling"):
        assert_receipts_agree(system, name)
        [verdict] = rows(says(system, "verify", name, "--json"))
        assert (verdict["agrees"], verdict["partition"]) == (True, home_of_program(name, 2))
    system.stop("hourly").result(LIMIT_S)
    assert "is dropped" in says(system, "subscriptions", "--drop", "hourly")
    assert log_of(home_of(system, "hourly"), "SELECT FROM merges WHERE program = 'hourly'") == []

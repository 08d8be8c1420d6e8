"""What every event store promises of reading: the log by position, and by aggregate."""

from collections.abc import Mapping
from itertools import cycle

import pytest

from actors.event import Event, Kind
from actors.naming import aggregate_id_of
from store.event_store import (
    Counts,
    EventStore,
    Found,
    Load,
    Snapshot,
    SourceRecord,
    TypeCount,
)
from store.rows.decoding import Decoder
from store.selection import EVERYTHING, Selection
from tests.contracts.appending import RECORDED_US, Log, history, made_event

ONE, TWO = aggregate_id_of("device/one"), aggregate_id_of("device/two")

#: Sources and types that a careless pattern would confuse.
CATALOGUE = [
    ("sensor/a_b", "value-read"),
    ("sensor/axb", "value-read"),
    ("sensor/100%", "value-read"),
    ("sensor/1000", "value.read"),
    ("sensor/back\\slash", "alarm-raised"),
    ("sensor/backslash", "alarm-cleared"),
    ("sensor/a+b", "alarm-raised"),
    ("sensor/Zürich\n☃", "alarm"),
    ("sensor/quote'$1", "alarm"),
    ("other/a_b", "value-read"),
]


def catalogue() -> list[Event]:
    """Those events, of each kind in turn."""
    return [
        made_event(source, event_type=name, kind=kind)
        for (source, name), kind in zip(CATALOGUE, cycle(Kind), strict=False)
    ]


#: Which events of the catalogue each selection takes.
SELECTED: list[tuple[Selection, tuple[int, ...]]] = [
    (EVERYTHING, tuple(range(10))),
    (Selection(sources=("*",)), tuple(range(10))),
    (Selection(sources=("sensor/*",)), tuple(range(9))),
    (Selection(sources=("*/a_b",)), (0, 9)),
    (Selection(sources=("sensor/a_b",)), (0,)),
    (Selection(sources=("sensor/100%",)), (2,)),
    (Selection(sources=("sensor/100*",)), (2, 3)),
    (Selection(sources=("sensor/back\\slash",)), (4,)),
    (Selection(sources=("sensor/back*slash",)), (4, 5)),
    (Selection(sources=("sensor/back\\*",)), (4,)),
    (Selection(sources=("sensor/a+b",)), (6,)),
    (Selection(sources=("sensor/Zürich*",)), (7,)),
    (Selection(sources=("sensor/*☃",)), (7,)),
    (Selection(sources=("sensor/quote'$1",)), (8,)),
    (Selection(sources=("sensor/a.b",)), ()),
    (Selection(sources=("sensor",)), ()),
    (Selection(sources=("SENSOR/*",)), ()),
    (Selection(sources=("other/*", "sensor/a_b")), (0, 9)),
    (Selection(event_types=("alarm-*",)), (4, 5, 6)),
    (Selection(event_types=("alarm*",)), (4, 5, 6, 7, 8)),
    (Selection(event_types=("value.read",)), (3,)),
    (Selection(event_types=("value-read", "alarm")), (0, 1, 2, 7, 8, 9)),
    (Selection(event_types=("value-*",), sources=("*/a_b",)), (0, 9)),
    (Selection(event_types=("alarm-*",), sources=("other/*",)), ()),
    (Selection(kinds=(Kind.DEVICE,)), (0, 3, 6, 9)),
    (Selection(kinds=(Kind.DEVICE, Kind.BUSINESS)), (0, 2, 3, 5, 6, 8, 9)),
    (Selection(kinds=(Kind.SYSTEM,), event_types=("alarm",)), (7,)),
    (Selection(kinds=(Kind.DEVICE,), sources=("*/a_b",)), (0, 9)),
    (Selection(kinds=(Kind.SYSTEM,), sources=("*/a_b",)), ()),
]


REPORTED = "temperature-reported"


def counted(actor_type: str, *, events: int, newcomers: int, position: int) -> TypeCount:
    """What a store tells of the events that `history` makes."""
    return TypeCount(
        actor_type=actor_type,
        event_type=REPORTED,
        events=events,
        newcomers=newcomers,
        position=position,
        recorded_us=RECORDED_US,
    )


async def read_all(store: EventStore, selection: Selection = EVERYTHING) -> list[Event]:
    """Everything selected, from the first position."""
    return Decoder().events((await store.read(0, 1_000_000, selection=selection)).rows)


class ReadingContract:
    """Needs a fixture `store`: an empty event store."""

    async def test_positions_follow_the_order_of_appends_without_a_gap(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        live = [
            *await log.append(*history("device/one", 3)),
            *await log.append(made_event("device/two")),
            *await log.append(*history("device/one", 2, first=4)),
        ]
        assert [event.position for event in live] == [1, 2, 3, 4, 5, 6]
        assert await read_all(store) == live

    async def test_a_page_ends_at_its_limit_and_the_next_one_follows_on_it(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        live = await log.append(*history("device/one", 5))
        found, pages, after = [], [], 0
        while (page := await store.read(after, 2)).through > after:
            found += Decoder().events(page.rows)
            pages.append(page.through)
            after = page.through
        assert pages == [2, 4, 5]
        assert found == live

    @pytest.mark.parametrize("after", [5, 6, 1000])
    async def test_a_page_at_or_beyond_the_head_is_empty_and_goes_nowhere(
        self, store: EventStore, after: int
    ) -> None:
        log = await Log.open(store)
        await log.append(*history("device/one", 5))
        page = await store.read(after, 10)
        assert (Decoder().events(page.rows), page.through) == ([], after)

    async def test_a_page_without_a_match_still_says_how_far_it_looked(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        await log.append(*history("device/one", 5))
        page = await store.read(1, 3, selection=Selection(sources=("device/two",)))
        assert (Decoder().events(page.rows), page.through) == ([], 4)

    async def test_a_limit_counts_positions_not_matches(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(made_event("device/one"), made_event("device/two"))
        page = await store.read(0, 1, selection=Selection(sources=("device/two",)))
        assert (Decoder().events(page.rows), page.through) == ([], 1)

    async def test_a_selection_takes_a_star_for_any_text_and_the_rest_as_it_stands(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        await log.append(*catalogue())
        for selection, expected in SELECTED:
            found = await read_all(store, selection)
            assert [event.source for event in found] == [CATALOGUE[n][0] for n in expected], (
                selection
            )

    async def test_an_aggregates_events_come_in_order_from_the_version_asked_for(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        live = await log.append(*history("device/one", 4))
        await log.append(*history("device/two", 2))
        assert await store.load_events(ONE) == live
        assert await store.load_events(ONE, from_version=1) == live
        assert await store.load_events(ONE, from_version=3) == live[2:]
        assert await store.load_events(ONE, from_version=5) == []
        assert await store.load_events(aggregate_id_of("device/none")) == []

    async def test_rows_of_many_aggregates_come_each_above_its_version(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        await log.append(*(made_event("device/one", n) for n in (1, 2)), *history("device/two", 2))
        await log.append(*history("device/one", 2, first=3), *history("device/three", 3))
        load = await store.load_rows({ONE.bytes: 1, TWO.bytes: 0, b"\xff" * 16: 0})
        assert load.rest == {}
        rows = load.rows
        found = [(event.source, event.version) for event in Decoder().events(rows)]
        assert sorted(found) == [
            *(("device/one", version) for version in (2, 3, 4)),
            *(("device/two", version) for version in (1, 2)),
        ]
        blocks = [source for source, _ in found]
        assert blocks in (sorted(blocks), sorted(blocks, reverse=True)), "one aggregate at a time"
        assert [version for source, version in found if source == "device/one"] == [2, 3, 4]

    async def test_a_page_ends_early_where_its_events_are_large(
        self, store: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "PAGE_BYTES", 2_000_000, raising=False)
        log = await Log.open(store)
        live = await log.append(
            *(made_event("device/one", n, data={"x": "y" * 900_000}) for n in range(1, 9)),
            *history("device/two", 50),
        )
        found, pages, after = [], [], 0
        while (page := await store.read(after, 1_000)).through > after:
            found += Decoder().events(page.rows)
            pages.append(len(page.rows))
            after = page.through
        assert found == live
        assert len(pages) > 2
        assert max(pages) < 2_000_000 + 1_000_000

    async def test_a_load_brings_so_many_bytes_and_says_what_is_left(
        self, store: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "PAGE_BYTES", 2_000_000, raising=False)
        log = await Log.open(store)
        one, two = (
            [made_event(source, n, data={"x": "y" * 900_000}) for n in range(1, 9)]
            for source in ("device/one", "device/two")
        )
        live = [*await log.append(*one, *history("device/three", 5)), *await log.append(*two)]
        found: list[Event] = []
        loads = []
        rest: Mapping[bytes, int] = {
            TWO.bytes: 1, b"\xff" * 16: 0, ONE.bytes: 5, aggregate_id_of("device/three").bytes: 2
        }  # fmt: skip
        while rest:
            load = await store.load_rows(rest)
            found += Decoder().events(load.rows)
            loads.append(len(load.rows))
            rest = load.rest
        wanted = {"device/one": 5, "device/two": 1, "device/three": 2}
        expected = [event for event in live if (event.version or 0) > wanted[event.source]]
        assert len(loads) > 2
        assert max(loads) < 2_000_000 + 1_000_000
        assert [(event.source, event.version) for event in found] == [
            (event.source, event.version)
            for source in ("device/two", "device/one", "device/three")
            for event in expected
            if event.source == source
        ]
        assert await store.load_events(TWO) == [e for e in live if e.source == "device/two"]

    async def test_a_history_has_so_many_rows_above_a_version(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(*history("device/two", 2), *history("device/one", 5))
        for after, limit, versions in ((0, 2, [1, 2]), (3, 9, [4, 5]), (5, 1, []), (1, 1, [2])):
            events = Decoder().events(await store.history(ONE.bytes, after, limit))
            assert [event.version for event in events] == versions
        assert Decoder().events(await store.history(b"\xff" * 16, 0, 9)) == []

    async def test_the_sources_of_a_type_come_by_name_and_a_page_at_a_time(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        names = [
            "device/b",
            "device/a",
            "device/B",
            "device/ø",
            "device/a/1",
            "device/😀",
            "device/a ",
        ]
        for source in (*names, "devices/x", "device-x/a", "device", "device0"):
            await log.append(made_event(source))
        await log.append(*history("device/b", 2, first=2))
        by_bytes = sorted(names, key=str.encode)
        found = await store.sources("device/", "", 100)
        assert [each.source for each in found] == by_bytes
        assert {each.source: each.version for each in found}["device/b"] == 3
        after_a = await store.sources("device/", "device/a", 2)
        assert [each.source for each in after_a] == by_bytes[2:4]
        assert await store.sources("device/", by_bytes[-1], 100) == []
        assert await store.sources("nobody/", "", 100) == []

    async def test_a_source_comes_with_its_last_event(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(made_event("device/a", event_type="begun"))
        await log.append(made_event("device/a", 2, event_type="ended"), made_event("device/b"))
        (last,) = await store.sources("device/a", "", 100)
        assert last == SourceRecord(
            source="device/a", version=2, event_type="ended", recorded_us=RECORDED_US
        )

    async def test_a_stretch_of_the_log_is_counted_by_type(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(*history("device/a", 3), made_event("device/b"), made_event("Zürich"))
        await log.append(made_event("other/a"), made_event("device/b", 2, event_type="ended"))
        found = await store.count(1, 5)
        assert found.through == 6
        assert {(each.actor_type, each.event_type): each for each in found.types} == {
            ("device", REPORTED): counted("device", events=3, newcomers=1, position=4),
            ("", REPORTED): counted("", events=1, newcomers=1, position=5),
            ("other", REPORTED): counted("other", events=1, newcomers=1, position=6),
        }
        rest = await store.count(6, 100)
        assert rest.through == 7
        (last,) = rest.types
        assert (last.event_type, last.events, last.newcomers) == ("ended", 1, 0)
        assert await store.count(7, 100) == Counts(types=(), through=7)

    async def test_only_the_sources_that_begin_with_a_text_are_counted(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        sources = ("device/a%", "device/a_", "device/a_1", "device/b", "device/A_")
        for source in sources:
            await log.append(made_event(source))
        for prefix, expected in (("device/a_", 2), ("device/a", 3), ("nobody", 0), ("", 5)):
            found = await store.count(0, 100, prefix)
            assert sum(each.events for each in found.types) == expected, prefix
            assert found.through == 5

    async def test_sources_that_begin_with_a_text_are_found_and_the_text_itself(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        inside = ["device/a", "device/a ", "device/a/1", "device/a\U0010ffff"]
        outside = ["device/A", "device/b", "device/", "device/\ud7ff", "device/\ue000"]
        for source in (*outside, *inside):
            await log.append(made_event(source))
        found = await store.sources("device/a", "", 100)
        assert [each.source for each in found] == inside
        found = await store.sources("device/a", "device/a ", 1)
        assert [each.source for each in found] == ["device/a/1"]
        for prefix in ("device/a\U0010ffff", "device/\ud7ff", "device/\ue000"):
            assert [each.source for each in await store.sources(prefix, "", 9)] == [prefix]

    async def test_no_rows_are_found_of_nobody(self, store: EventStore) -> None:
        assert await store.load_rows({}) == Load(rows=b"", rest={})
        nothing = await store.load_rows({ONE.bytes: 0})
        assert (Decoder().events(nothing.rows), nothing.rest) == ([], {})
        assert await store.find_rows([]) == Found(rows=b"", more=False)
        assert await store.find_ids([]) == {}
        assert await store.load_snapshots([]) == {}

    async def test_ids_and_rows_are_found_of_events_that_are_in_the_log(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        live = await log.append(*history("device/one", 4))
        wanted = [live[2].id.bytes, b"\xee" * 16, live[0].id.bytes]
        assert await store.find_ids(wanted) == {
            live[each].id.bytes: live[each].aggregate_id.bytes for each in (0, 2)
        }
        page = await store.find_rows(wanted)
        found = Decoder().events(page.rows)
        assert sorted(found, key=lambda event: event.position or 0) == [live[0], live[2]]
        assert not page.more

    async def test_a_look_for_rows_brings_so_many_bytes_and_says_that_there_are_more(
        self, store: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "PAGE_BYTES", 2_000_000, raising=False)
        log = await Log.open(store)
        live = await log.append(
            *(made_event("device/one", n, data={"x": "y" * 900_000}) for n in range(1, 9))
        )
        wanted = {event.id.bytes: event for event in live} | {b"\xee" * 16: None}
        pages, more = 0, True
        while more:
            page = await store.find_rows(list(wanted))
            pages, more = pages + 1, page.more
            assert len(page.rows) < 2_000_000 + 1_000_000
            for event in Decoder().events(page.rows):
                assert wanted.pop(event.id.bytes) == event
        assert list(wanted) == [b"\xee" * 16]
        assert pages > 2

    async def test_the_newest_snapshot_is_kept_whatever_the_order_of_saving(
        self, store: EventStore
    ) -> None:
        assert await store.load_snapshot(ONE) is None
        await store.save_snapshot(ONE, 20, b"\x00newer\xff")
        await store.save_snapshot(ONE, 10, b"older")
        assert await store.load_snapshot(ONE) == (20, b"\x00newer\xff")
        await store.save_snapshot(ONE, 30, b"")
        assert await store.load_snapshot(ONE) == (30, b"")

    async def test_a_snapshot_makes_way_for_one_of_the_same_version(
        self, store: EventStore
    ) -> None:
        await store.save_snapshot(ONE, 20, b"of another state")
        await store.save_snapshot(ONE, 20, b"of this one")
        assert await store.load_snapshot(ONE) == (20, b"of this one")

    @pytest.mark.parametrize("versions", [(10, 20), (20, 10)])
    async def test_the_newest_of_several_snapshots_saved_together_is_kept(
        self, store: EventStore, versions: tuple[int, int]
    ) -> None:
        await store.save_snapshots(
            [Snapshot(aggregate_id=ONE.bytes, version=v, data=b"at %d" % v) for v in versions]
        )
        assert await store.load_snapshot(ONE) == (20, b"at 20")

    async def test_snapshots_of_several_aggregates_are_loaded_by_their_ids(
        self, store: EventStore
    ) -> None:
        saved = [
            Snapshot(aggregate_id=ONE.bytes, version=3, data=b"one"),
            Snapshot(aggregate_id=TWO.bytes, version=5, data=b"two"),
        ]
        await store.save_snapshots([])
        await store.save_snapshots(saved)
        found = await store.load_snapshots([TWO.bytes, b"\xff" * 16])
        assert found == {TWO.bytes: saved[1]}

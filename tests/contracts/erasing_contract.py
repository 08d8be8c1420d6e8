"""What a store promises of an actor that is erased: its data goes, everywhere; all else stays."""

from dataclasses import replace
from secrets import randbelow

import pytest

from actors.columns import Column, ColumnType, TableSchema
from actors.event import TOMBSTONE, Event, Kind
from actors.lifecycle import ERASED
from actors.messages import RETURNED, RETURNS_SOURCE
from actors.naming import OURS, TIMERS, aggregate_id_of, aggregate_key_of
from store.appends import CheckpointMove, StateChange
from store.dead_letters import LetterChange, Parked
from store.erasures import (
    ERASED_SNAPSHOT,
    REASON_ERASED,
    Erasure,
    ErasureReceipt,
    Forgotten,
    NotErased,
)
from store.errors import StaleCheckpoint
from store.event_store import EventStore, Snapshot
from store.projected import RowChange
from store.receipts import NOTHING_FINISHED, Receipt
from store.rows.decoding import Decoder
from store.selection import EVERYTHING, Selection
from store.timers import FIRST, Timer, TimerChanges
from tests.contracts.appending import Log, history, made_event

SOURCE = "charger/c-17"
KEY = aggregate_key_of(SOURCE)
OTHER = "charger/c-18"
EPOCH = -7


def erased_event(version: int) -> Event:
    """What its host has said."""
    data = {"reason": "its owner asked", "events": version - 1}
    return made_event(SOURCE, version, data=data, event_type=ERASED, kind=Kind.SYSTEM)


def timer(source: str, event: Event) -> Timer:
    """One that an event has set."""
    return Timer(source, "k", event.id_bytes, event.id_bytes, None, 0, 5, 5, "ring", b'{"a":1}')


async def all_events(store: EventStore) -> list[Event]:
    """The log."""
    return Decoder().events((await store.read(0, 1_000)).rows)


class ErasingContract:
    """For any store."""

    async def test_what_programs_have_of_an_actor_of_another_log_goes(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        await store.open_subscription("totals/3", EVERYTHING, 0, 5)
        kept = [*history("totals/kind-1", 1), *history(OTHER, 1)]
        await log.append(*kept, *history(f"totals/{SOURCE}", 2))
        letters = [
            LetterChange(
                parked=Parked("totals", by_source, name), position=position,
                event_id=bytes(15) + b"%d" % position, slots=8, watermark_us=0,
                reason="not 12 Main Street",
            )
            for position, (by_source, name) in enumerate(
                ((False, SOURCE), (True, SOURCE), (False, "kind-1"), (False, "kind-2")), 1
            )
        ]  # fmt: skip
        await log.append_rows(
            log.stamped([made_event("totals/other")]),
            checkpoints=[
                CheckpointMove(name="totals/3", epoch=5, position=1, receipt=NOTHING_FINISHED)
            ],
            states=[
                StateChange(program="totals", key=key, data=b"1") for key in (SOURCE, "kind-1")
            ],
            letters=letters,
        )
        forgotten = await store.forget_keys(Erasure.of(SOURCE), EPOCH)
        assert forgotten == Forgotten(outputs=2, states=1, rows=0, dead_letters=2)
        with pytest.raises(StaleCheckpoint):
            await store.move_checkpoint(
                CheckpointMove(name="totals/3", epoch=5, position=2, receipt=NOTHING_FINISHED)
            )
        assert await store.load_states("totals", [SOURCE, "kind-1"]) == {"kind-1": b"1"}
        buried = {event.source for event in await all_events(store) if event.erased}
        assert buried == {f"totals/{SOURCE}"}
        assert await store.forget_reasons([letters[2].event_id]) == 1
        assert await store.forget_reasons([letters[2].event_id]) == 0
        reasons = {
            queue.first.parked.name: queue.first.reason for queue in await store.parked_queues()
        }
        assert reasons == {"kind-1": REASON_ERASED, "kind-2": "not 12 Main Street"}
        again = await store.forget_keys(Erasure.of(SOURCE), EPOCH)
        assert again == Forgotten(outputs=0, states=0, rows=0, dead_letters=0)

    async def test_its_events_are_tombstones_and_all_else_of_them_stays(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        first = made_event(SOURCE, 1, metadata={"address": "12 Main Street"})
        before = await log.append(first, *history(OTHER, 2), *history(SOURCE, 2, first=2))
        before += await log.append(erased_event(4))
        receipt = await store.erase(Erasure.of(SOURCE), EPOCH)
        after = await all_events(store)
        for old, new in zip(before, after, strict=True):
            if old.source == SOURCE and old.event_type != ERASED:
                assert new.erased
                assert new == Event(**{
                    name: getattr(old, name) for name in Event.__struct_fields__
                } | {"data": dict(TOMBSTONE), "metadata": {}})  # fmt: skip
            else:
                assert new == old
        ids = [event.id_bytes for event in before if event.source == SOURCE]
        assert receipt == ErasureReceipt(
            source=SOURCE, reason="its owner asked", keys=(SOURCE,), version=4, position=6,
            events=3, digest=Receipt().plus(ids).digest.hex(), snapshots=0, timers=0, states=0,
            rows=0, dead_letters=0, outputs=0,
        )  # fmt: skip
        assert await store.erasures() == [receipt]
        assert (await store.search_erased(receipt)).agrees(receipt)
        assert await store.recount(
            Selection(event_types=("temperature-*",)), 0, 6
        ) == Receipt().plus(event.id_bytes for event in before if event.event_type != ERASED)

    async def test_who_is_not_over_is_not_erased(self, store: EventStore) -> None:
        log = await Log.open(store)
        [before] = await log.append(made_event(SOURCE))
        with pytest.raises(NotErased, match=SOURCE):
            await store.erase(Erasure.of(SOURCE), EPOCH)
        # Somebody's own event of that type, from outside, ends nobody.
        await log.append(made_event(SOURCE, 2, event_type=ERASED))
        with pytest.raises(NotErased, match=SOURCE):
            await store.erase(Erasure.of(SOURCE), EPOCH)
        assert (await all_events(store))[0] == before

    async def test_no_snapshot_of_before_stays_or_comes_late(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(*history(SOURCE, 3), erased_event(4))
        old = Snapshot(aggregate_id=KEY, version=3, data=b"1\n{}")
        await store.save_snapshots([old])
        receipt = await store.erase(Erasure.of(SOURCE), EPOCH)
        assert receipt.snapshots == 1
        await store.save_snapshots([old])  # of a host that is slow
        marker = Snapshot(aggregate_id=KEY, version=3, data=ERASED_SNAPSHOT)
        assert await store.load_snapshots([KEY]) == {KEY: marker}
        await log.append(*history(SOURCE, 3, first=5))
        fresh = Snapshot(aggregate_id=KEY, version=7, data=b"1\n{}")
        await store.save_snapshots([fresh])
        again = await store.erase(Erasure.of(SOURCE), EPOCH)
        assert await store.load_snapshots([KEY]) == {KEY: fresh}  # of what began anew
        searched = await store.search_erased(again)
        assert searched.since == 3
        assert searched.agrees(again)

    async def test_its_timers_go_and_those_of_others_and_of_later_stay(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        old, _, new, theirs = await log.append(
            made_event(SOURCE), erased_event(2), made_event(SOURCE, 3), made_event(OTHER)
        )
        record = await store.open_subscription(TIMERS, EVERYTHING, 0, randbelow(2**62))

        def move(position: int) -> CheckpointMove:
            return CheckpointMove(
                name=TIMERS, epoch=record.epoch, position=position, receipt=NOTHING_FINISHED
            )

        kept = [timer(SOURCE, old), timer(SOURCE, new)._replace(key="new"), timer(OTHER, theirs)]
        await store.file_timers(move(3), TimerChanges(kept=kept, moved=[], gone=[]))
        receipt = await store.erase(Erasure.of(SOURCE), EPOCH)
        assert receipt.timers == 1
        assert await store.due_timers(FIRST, 100, 10, 1_000) == [kept[2], kept[1]] or (
            await store.due_timers(FIRST, 100, 10, 1_000) == [kept[1], kept[2]]
        )
        with pytest.raises(StaleCheckpoint):  # what was read before is not filed behind it
            await store.file_timers(move(4), TimerChanges(kept=kept, moved=[], gone=[]))
        assert (await store.search_erased(receipt)).agrees(receipt)

    async def test_what_programs_keep_under_its_keys_goes_and_what_they_have_read_is_refused(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        output = made_event(f"totals/{SOURCE}", 1, data={"who": SOURCE})
        by_name = made_event("totals/c-17", 1)
        namesake = made_event("meter/c-17", 1)
        events = await log.append(*history(SOURCE, 2), output, by_name, namesake, erased_event(3))
        record = await store.open_subscription("totals/3", EVERYTHING, 0, randbelow(2**62))

        def move(position: int) -> CheckpointMove:
            return CheckpointMove(
                name="totals/3", epoch=record.epoch, position=position, receipt=NOTHING_FINISHED
            )

        def states(*keys: str) -> list[StateChange]:
            return [StateChange(program="totals", key=key, data=b"x", due_us=None) for key in keys]

        await log.append_rows(
            log.stamped(()), checkpoints=[move(6)], states=states(SOURCE, "c-17", OTHER)
        )
        receipt = await store.erase(Erasure.of(SOURCE, ["c-17"]), EPOCH)
        assert (receipt.states, receipt.outputs) == (2, 2)
        assert await store.erased_keys() == {(SOURCE, receipt.version): {SOURCE, "c-17"}}
        assert (await store.load_states("totals", [SOURCE, "c-17", OTHER])).keys() == {OTHER}
        assert [event.erased for event in await all_events(store)] == [
            True, True, True, True, False, False,
        ]  # fmt: skip
        assert (await all_events(store))[4] == events[4]  # somebody else's, of another type
        assert (await store.search_erased(receipt)).agrees(receipt)
        with pytest.raises(StaleCheckpoint):
            await log.append_rows(log.stamped(()), checkpoints=[move(7)], states=states(SOURCE))
        [found] = [each for each in await store.subscriptions() if each.name == "totals/3"]
        assert (found.epoch, found.position) == (EPOCH, 6)

    async def test_rows_of_projections_go(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(made_event(SOURCE), erased_event(2))
        columns = (Column("kwh", ColumnType.FLOAT),)
        for name in ("energy", "energy.rebuild"):
            table = await store.open_projection(TableSchema(name=name, columns=columns, indexes=()))
            rows = [RowChange(SOURCE, (1.5,)), RowChange(OTHER, (2.5,))]
            await store.project(table, [], rows)
        receipt = await store.erase(Erasure.of(SOURCE), EPOCH)
        assert receipt.rows == 2
        for table in await store.projections():
            assert (await store.load_projected(table, [SOURCE, OTHER])).keys() == {OTHER}
        assert (await store.search_erased(receipt)).agrees(receipt)

    async def test_dead_letters_of_it_go_and_those_that_others_queue_behind_tell_nothing(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        event, theirs, _ = await log.append(made_event(SOURCE), made_event(OTHER), erased_event(2))

        def letter(parked: Parked, event: Event, reason: str | None) -> LetterChange:
            return LetterChange(
                parked=parked, position=event.position or 0, event_id=event.id_bytes, slots=1,
                watermark_us=0, reason=reason, frames=("a.py:1",) if reason else (), tries=1,
            )  # fmt: skip

        ours, source = Parked("totals", False, SOURCE), Parked("totals", True, SOURCE)
        street, message = Parked("totals", False, "street"), Parked(OURS, False, OTHER)
        letters = [
            letter(ours, event, "of 12 Main Street"), letter(source, event, "of 12 Main Street"),
            letter(street, event, "of 12 Main Street"), letter(street, theirs, None),
            letter(message, event, "nobody is in"),
        ]  # fmt: skip
        await log.append_rows(log.stamped(()), letters=letters)
        receipt = await store.erase(Erasure.of(SOURCE), EPOCH)
        assert receipt.dead_letters == 4
        for parked in (ours, source, message):
            assert await store.dead_letters(parked, 0, 10) == []
        first, second = await store.dead_letters(street, 0, 10)
        assert (first.reason, first.frames) == (REASON_ERASED, ())
        assert second.reason is None
        assert (await store.search_erased(receipt)).agrees(receipt)

    async def test_what_one_program_makes_of_what_another_one_has_put_out_goes(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        by_first, by_second = f"first/{SOURCE}", f"second/first/{SOURCE}"
        returned = made_event(
            RETURNS_SOURCE, data={"sender": SOURCE}, event_type=RETURNED, kind=Kind.SYSTEM
        )
        made = await log.append(
            made_event(SOURCE), made_event(by_first), made_event(by_second), returned,
            erased_event(2),
        )  # fmt: skip
        moves = []
        for name in ("first/0", "second/0"):
            record = await store.open_subscription(name, EVERYTHING, 0, randbelow(2**62))
            moves.append(CheckpointMove(
                name=name, epoch=record.epoch, position=5, receipt=NOTHING_FINISHED
            ))  # fmt: skip
        state = StateChange(program="second", key=by_first, data=b"x", due_us=None)
        queues = [
            (Parked("second", False, by_first), made[1]), (Parked("first", False, "x"), made[3]),
            (Parked("third", True, by_second), made[2]),
        ]  # fmt: skip
        letters = [
            LetterChange(
                parked=parked, position=event.position or 0, event_id=event.id_bytes, slots=1,
                watermark_us=0, reason="of 12 Main Street", frames=(), tries=1,
            ) for parked, event in queues
        ]  # fmt: skip
        await log.append_rows(log.stamped(()), checkpoints=moves, states=[state], letters=letters)
        receipt = await store.erase(Erasure.of(SOURCE), EPOCH)
        assert (receipt.states, receipt.outputs, receipt.dead_letters) == (1, 3, 3)
        assert await store.load_states("second", [by_first]) == {}
        [kept] = await store.dead_letters(queues[1][0], 0, 10)
        assert (kept.reason, receipt.keys) == (REASON_ERASED, (SOURCE,))
        for parked in (queues[0][0], queues[2][0]):
            assert await store.dead_letters(parked, 0, 10) == []
        assert (await store.search_erased(receipt)).agrees(receipt)

    async def test_a_message_that_finds_it_erased_is_nothing_of_it(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(made_event(SOURCE), erased_event(2))
        receipt = await store.erase(Erasure.of(SOURCE), EPOCH)
        [told] = await log.append(made_event(OTHER))
        letter = LetterChange(
            parked=Parked(OURS, False, SOURCE), position=told.position or 0,
            event_id=told.id_bytes, slots=1, watermark_us=0,
            reason="it was erased", frames=(), tries=1,
        )  # fmt: skip
        await log.append_rows(log.stamped(()), letters=[letter])
        assert (await store.search_erased(receipt)).agrees(receipt)

    async def test_its_messages_that_were_returned_go_and_those_of_others_stay(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)

        def returned(version: int, sender: str) -> Event:
            data = {"sender": sender, "to": "grid/1", "message": {"kw": 7}}
            return made_event(
                RETURNS_SOURCE, version, data=data, event_type=RETURNED, kind=Kind.SYSTEM
            )

        await log.append(
            made_event(SOURCE), returned(1, SOURCE), returned(2, OTHER), erased_event(2)
        )
        await store.open_subscription(OURS, EVERYTHING, 0, randbelow(2**62))  # who returns them
        # A key that is called as theirs is none of their sender's.
        receipt = await store.erase(Erasure.of(SOURCE, ("returned",)), EPOCH)
        assert receipt.outputs == 1
        assert [event.erased for event in await all_events(store)] == [True, True, False, False]
        assert (await store.search_erased(receipt)).agrees(receipt)

    async def test_who_returns_messages_is_to_begin_anew(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(made_event(SOURCE), erased_event(2))
        names = ("here.workers/messages", "here.workers/totals/0", "here.host-0")
        before = {name: await store.open_epoch(name, "me") for name in names}
        await store.erase(Erasure.of(SOURCE), EPOCH)
        after = await store.epochs(names)
        assert after[names[0]] == replace(before[names[0]], number=before[names[0]].number + 1)
        assert [after[name] for name in names[1:]] == [before[name] for name in names[1:]]

    async def test_it_may_be_done_again_and_does_what_is_left(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(*history(SOURCE, 2), erased_event(3))
        record = await store.open_subscription("totals/0", EVERYTHING, 0, randbelow(2**62))
        first = await store.erase(Erasure.of(SOURCE), EPOCH)
        assert await store.erase(Erasure.of(SOURCE), EPOCH) == first
        record = await store.open_subscription("totals/0", EVERYTHING, 0, randbelow(2**62))
        move = CheckpointMove(
            name="totals/0", epoch=record.epoch, position=3, receipt=NOTHING_FINISHED
        )
        state = StateChange(program="totals", key="c-17", data=b"x", due_us=None)
        await log.append_rows(log.stamped(()), checkpoints=[move], states=[state])
        more = await store.erase(Erasure.of(SOURCE, ["c-17"]), EPOCH)
        assert more == replace(first, keys=(SOURCE, "c-17"), states=1)
        assert await store.erasures() == [more]

    async def test_who_is_slow_to_do_it_again_takes_nothing_from_what_has_begun_anew(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        await log.append(made_event(SOURCE), erased_event(2))
        record = await store.open_subscription("totals/0", EVERYTHING, 0, randbelow(2**62))
        first = await store.erase(Erasure.of(SOURCE), EPOCH)
        record = await store.open_subscription("totals/0", EVERYTHING, 0, randbelow(2**62))
        await log.append(made_event(SOURCE, 3), made_event(f"totals/{SOURCE}"))
        move = CheckpointMove(
            name="totals/0", epoch=record.epoch, position=3, receipt=NOTHING_FINISHED
        )
        state = StateChange(program="totals", key=SOURCE, data=b"new", due_us=None)
        await log.append_rows(log.stamped(()), checkpoints=[move], states=[state])
        before = await all_events(store)
        assert await store.erase(Erasure.of(SOURCE), EPOCH) == first
        assert await store.load_states("totals", [SOURCE]) == {SOURCE: b"new"}
        assert (await all_events(store))[2:] == before[2:]

    async def test_a_group_and_a_subscription_of_somebody_go_on(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(made_event(SOURCE), erased_event(2))
        record = await store.open_subscription("reports", EVERYTHING, 0, randbelow(2**62))
        await store.open_group("shared", EVERYTHING, 0)
        before = await store.subscriptions()
        await store.erase(Erasure.of(SOURCE), EPOCH)
        assert await store.subscriptions() == before
        await store.move_checkpoint(
            CheckpointMove(name="reports", epoch=record.epoch, position=2, receipt=NOTHING_FINISHED)
        )

    async def test_a_search_finds_whatever_is_left(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(*history(SOURCE, 2), made_event(OTHER), erased_event(3))
        receipt = await store.erase(Erasure.of(SOURCE), EPOCH)
        unknown = replace(receipt, position=99)
        assert not (await store.search_erased(unknown)).agrees(unknown)
        forged = replace(receipt, digest="00" * 16)
        assert not (await store.search_erased(forged)).agrees(forged)
        other = replace(receipt, source=OTHER, version=2)
        searched = await store.search_erased(other)
        assert searched.remains.events == 1
        assert not searched.agrees(other)

    async def test_the_second_erasure_is_of_what_began_anew(self, store: EventStore) -> None:
        log = await Log.open(store)
        await log.append(made_event(SOURCE), erased_event(2), made_event(SOURCE, 3))
        first = await store.erase(Erasure.of(SOURCE), EPOCH)
        await log.append(erased_event(4))
        second = await store.erase(Erasure.of(SOURCE), EPOCH)
        assert (second.version, second.events) == (4, 3)
        assert [event.erased for event in await all_events(store)] == [True, False, True, False]
        assert await store.erasures() == [first, second]
        assert await store.erased_keys() == {}
        for each in (first, second):
            assert (await store.search_erased(each)).agrees(each)
        assert aggregate_id_of(SOURCE).bytes == KEY

    async def test_what_a_program_has_passed_on_of_an_erasure_goes_with_the_next_one(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        await log.append(made_event(SOURCE), erased_event(2))
        passed = made_event(
            f"totals/{SOURCE}", data={"reason": "r", "events": 1}, event_type=ERASED,
            kind=Kind.SYSTEM,
        )  # fmt: skip
        await log.append(passed, made_event(SOURCE, 3), erased_event(4))
        await store.open_subscription("totals/0", EVERYTHING, 0, randbelow(2**62))
        receipt = await store.erase(Erasure.of(SOURCE), EPOCH)
        erased = [event.erased for event in await all_events(store)]
        assert erased == [True, False, True, True, False]
        assert receipt.outputs == 1
        assert (await store.search_erased(receipt)).agrees(receipt)

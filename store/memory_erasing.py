"""Forgetting an actor in a store in memory."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from actors.event import Kind
from actors.lifecycle import ERASED
from actors.messages import RETURNS_SOURCE
from actors.naming import OURS, aggregate_key_of
from store.dead_letters import DeadLetter
from store.erasures import (
    ERASED_SNAPSHOT,
    READERS,
    REASON_ERASED,
    RETURNER,
    Erasure,
    ErasureReceipt,
    Forgotten,
    NotErased,
    Remains,
    Searched,
    outputs_of,
)
from store.event_store import Epoch, Snapshot
from store.memory_letters import LettersInMemory
from store.memory_projections import ProjectionsInMemory
from store.memory_states import StatesInMemory
from store.memory_subscriptions import SubscriptionsInMemory
from store.memory_timers import TimersInMemory
from store.receipts import Receipt
from store.rows.layout import causes_at, event_type_at, id_at, kind_at
from store.rows.tombstones import data_of, is_tombstone, tombstone_of
from store.timers import TimerChanges

_SYSTEM = Kind.SYSTEM.value.encode()


class ErasingInMemory:
    """What of a store is of one actor; it changes the parts that it is given."""

    def __init__(
        self,
        rows: list[bytes],
        aggregates: Mapping[bytes, Mapping[int, int]],
        snapshots: dict[bytes, Snapshot],
        subscriptions: SubscriptionsInMemory,
        states: StatesInMemory,
        projections: ProjectionsInMemory,
        letters: LettersInMemory,
        timers: TimersInMemory,
        epochs: dict[str, Epoch],
    ) -> None:
        self._rows, self._aggregates, self._snapshots = rows, aggregates, snapshots
        self._subscriptions, self._states, self._projections = subscriptions, states, projections
        self._letters, self._timers, self._epochs = letters, timers, epochs
        self._kept: dict[int, ErasureReceipt] = {}  #: by the position of actor-erased

    def erase(self, erasure: Erasure, epoch: int) -> ErasureReceipt:
        """See EventStore.erase."""
        source, keys = erasure.source, erasure.keys
        aggregate = aggregate_key_of(source)
        version, position, reason = self._last_erasure(source)
        kept = self._kept.get(position)
        if kept is not None and max(self._aggregates[aggregate]) > version:
            return kept  # it has begun anew since, and what there is is not of before
        self._bury(self._but_erasures(self._positions(aggregate, version - 1)))
        programs = self._subscriptions.fence(READERS, epoch)
        for name, one in self._epochs.items():
            if name.endswith(RETURNER):
                self._epochs[name] = replace(one, number=one.number + 1)
        theirs = self._outputs(erasure, programs)
        keys = (*keys, *theirs)
        outputs = sum(map(self._bury, self._positions_of(theirs)))
        outputs += self._bury(self._returned(source))
        snapshot = self._snapshots.get(aggregate)
        old = snapshot is not None and snapshot.version < version
        fresh = old and snapshot is not None and snapshot.data != ERASED_SNAPSHOT
        if old or snapshot is None:
            self._snapshots[aggregate] = Snapshot(
                aggregate_id=aggregate, version=version - 1, data=ERASED_SNAPSHOT
            )
        timers = self._old_timers(source, version)
        self._timers.change(TimerChanges(gone=timers, moved=[], kept=[]))
        ids = self._ids(aggregate, version)
        receipt = ErasureReceipt(
            source=source, reason=reason, keys=erasure.keys, version=version, position=position,
            events=ids.count - 1, digest=ids.digest.hex(), snapshots=int(fresh),
            timers=len(timers), states=self._states.erase(programs, keys),
            rows=self._projections.erase(keys),
            dead_letters=self._letters.erase(
                lambda one: self._waits_for(one, (source, *theirs), keys, messages=True)
                or self._is_message_of(one, aggregate)
            )
            + self._letters.give_reason(self._tells, REASON_ERASED),
            outputs=outputs,
        )  # fmt: skip
        if position in self._kept:
            receipt = self._kept[position].plus(receipt)
        self._kept[position] = receipt
        return receipt

    def forget_keys(self, erasure: Erasure, epoch: int) -> Forgotten:
        """See EventStore.forget_keys."""
        programs = self._subscriptions.fence((), epoch)
        theirs = self._outputs(erasure, programs)
        keys, sources = (*erasure.keys, *theirs), (erasure.source, *theirs)
        buried = [self._bury(positions) for positions in self._positions_of(theirs)]
        states, rows = self._states.erase(programs, keys), self._projections.erase(keys)
        return Forgotten(
            outputs=sum(buried),
            states=states,
            rows=rows,
            dead_letters=self._letters.erase(
                lambda one: self._waits_for(one, sources, keys, messages=True)
            ),
        )

    def forget_reasons(self, event_ids: Sequence[bytes]) -> int:
        """See EventStore.forget_reasons."""
        wanted = frozenset(event_ids)
        return self._letters.give_reason(
            lambda one: one.event_id in wanted and one.reason not in (None, REASON_ERASED),
            REASON_ERASED,
        )

    def all(self) -> list[ErasureReceipt]:
        """By position."""
        return [self._kept[position] for position in sorted(self._kept)]

    def keys(self) -> dict[tuple[str, int], frozenset[str]]:
        """See EventStore.erased_keys."""
        kept = self._kept.values()
        return {(one.source, one.version): frozenset(one.keys) for one in kept if len(one.keys) > 1}

    def search(self, receipt: ErasureReceipt) -> Searched:
        """See EventStore.search_erased."""
        aggregate, version = aggregate_key_of(receipt.source), receipt.version
        erasure = Erasure.of(receipt.source, receipt.keys)
        snapshot = self._snapshots.get(aggregate)
        outputs = self._outputs(erasure, self._subscriptions.programs())
        keys, sources = (*receipt.keys, *outputs), (receipt.source, *outputs)
        erased = (
            id_at(self._rows[receipt.position - 1], 0) if receipt.position in self._kept else b""
        )
        remains = Remains(
            events=self._with_data(self._but_erasures(self._positions(aggregate, version - 1))),
            snapshots=int(
                snapshot is not None
                and snapshot.version < version
                and snapshot.data != ERASED_SNAPSHOT
            ),
            timers=len(self._old_timers(receipt.source, version)),
            states=self._states.count(keys),
            rows=self._projections.count(keys),
            dead_letters=sum(
                # What came behind its end, like a message of somebody that finds it erased, is
                # not of it.
                (
                    one.position < receipt.position
                    and self._waits_for(one, sources, keys, messages=False)
                )
                or self._is_message_of(one, aggregate, version)
                or self._tells(one)
                for one in self._letters.all()
            ),
            outputs=sum(
                self._with_data(self._but_for(erased, each)) for each in self._positions_of(outputs)
            )
            + self._with_data(self._returned(receipt.source)),
        )
        return Searched(
            remains=remains,
            ids=self._ids(aggregate, version),
            since=sum(each > version for each in self._aggregates.get(aggregate, ())),
            kept=receipt.position in self._kept,
        )

    def _last_erasure(self, source: str) -> tuple[int, int, str]:
        versions = self._aggregates.get(aggregate_key_of(source), {})
        for version, position in sorted(versions.items(), reverse=True):
            if _says_erased(row := self._rows[position - 1]):
                return version, position, str(json.loads(data_of(row))["reason"])
        raise NotErased(source)

    def _positions(self, aggregate: bytes, through: int | None = None) -> list[int]:
        versions = self._aggregates.get(aggregate, {})
        return [at for version, at in versions.items() if through is None or version <= through]

    def _outputs(self, erasure: Erasure, programs: list[str]) -> list[str]:
        found: dict[str, None] = {}
        keys: Sequence[str] = erasure.keys
        while keys:
            there = [
                source for source in outputs_of(keys, programs)
                if self._positions(aggregate_key_of(source))
            ]  # fmt: skip
            keys = [source for source in there if source not in found]
            found.update(dict.fromkeys(keys))
        return list(found)

    def _positions_of(self, sources: Iterable[str]) -> Iterator[list[int]]:
        for source in sources:
            yield self._positions(aggregate_key_of(source))

    def _but_erasures(self, positions: Iterable[int]) -> list[int]:
        return [at for at in positions if not _says_erased(self._rows[at - 1])]

    def _but_for(self, cause: bytes, positions: Iterable[int]) -> list[int]:
        return [at for at in positions if causes_at(self._rows[at - 1], 0)[1] != cause]

    def _returned(self, source: str) -> list[int]:
        return [
            position
            for position in self._positions(aggregate_key_of(RETURNS_SOURCE))
            if json.loads(data_of(self._rows[position - 1])).get("sender") == source
        ]

    def _bury(self, positions: Iterable[int]) -> int:
        buried = 0
        for position in positions:
            row = self._rows[position - 1]
            if not is_tombstone(row):
                self._rows[position - 1] = tombstone_of(row)
                buried += 1
        return buried

    def _with_data(self, positions: Iterable[int]) -> int:
        rows = (self._rows[position - 1] for position in positions)
        return sum(not is_tombstone(row) for row in rows)

    def _old_timers(self, source: str, version: int) -> list[tuple[str, str]]:
        aggregate = aggregate_key_of(source)
        later = {
            id_at(self._rows[position - 1], 0)
            for each, position in self._aggregates.get(aggregate, {}).items()
            if each > version
        }
        theirs = self._timers.of(source)
        return [(each.source, each.key) for each in theirs if each.event_id not in later]

    def _waits_for(
        self, letter: DeadLetter, sources: Sequence[str], keys: Sequence[str], *, messages: bool
    ) -> bool:
        """For an actor or a key; with or without the messages that others have sent to it."""
        parked = letter.parked
        if parked.by_source:
            return parked.name in sources
        return parked.name in keys and (messages or parked.program != OURS)

    def _is_message_of(
        self, letter: DeadLetter, aggregate: bytes, before: int | None = None
    ) -> bool:
        theirs = self._aggregates.get(aggregate, {}).items()
        return letter.parked.program == OURS and any(
            id_at(self._rows[at - 1], 0) == letter.event_id
            for version, at in theirs
            if before is None or version < before
        )

    def _tells(self, letter: DeadLetter) -> bool:
        """Does its reason tell of what is a tombstone?"""
        row = self._rows[letter.position - 1]
        return letter.reason not in (None, REASON_ERASED) and is_tombstone(row)

    def _ids(self, aggregate: bytes, version: int) -> Receipt:
        positions = self._positions(aggregate, version)
        return Receipt().plus(id_at(self._rows[position - 1], 0) for position in positions)


def _says_erased(row: bytes) -> bool:
    return event_type_at(row, 0) == ERASED.encode() and kind_at(row, 0) == _SYSTEM

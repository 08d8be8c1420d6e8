"""Forgetting an actor in PostgreSQL.

First its events, a stretch of versions at a time: each stretch is a transaction of its own, so that
a long history keeps nobody waiting, and whoever is interrupted goes on. What programs have of it
goes in one transaction at the end, which takes the checkpoints of all of them: what any of them has
read before that, and would still write, is refused from then on.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

from actors.lifecycle import ERASED
from actors.messages import RETURNS_SOURCE
from actors.naming import OURS, aggregate_id_of
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
from store.postgres.connections import REPORT_S, Connections, transaction
from store.postgres.projections import Projections, numbered_table
from store.postgres.queries import QUERIES
from store.receipts import Receipt
from store.rows.tombstones import TOMBSTONE_TEXT

_TOMBSTONE = TOMBSTONE_TEXT.decode()
_RETURNS = aggregate_id_of(RETURNS_SOURCE)


class Erasing:
    """The table `erasures`, and what of the others is of one actor."""

    #: Events that one statement makes tombstones of, at the most, and bytes of them as they are
    #: stored, an event more or less: it is to end within the time limit of a command.
    STRETCH, STRETCH_BYTES = 5_000, 16 * 1024 * 1024

    def __init__(self, connections: Connections, projections: Projections) -> None:
        self._connections = connections
        self._projections = projections

    async def erase(self, erasure: Erasure, epoch: int) -> ErasureReceipt:
        """See EventStore.erase."""
        aggregate = aggregate_id_of(erasure.source)
        fetch = self._connections.fetch
        last = await fetch(QUERIES["last_erasure"], aggregate, ERASED)
        if not last:
            raise NotErased(erasure.source)
        [(version, position, reason)] = last
        tops = {
            output: await self._top(aggregate_id_of(output))
            for output in await self._outputs(erasure, await self._programs(), self._connections)
        }
        # Asked behind those: what they are of then, is not of the life that it has begun anew.
        returned = await self._top(_RETURNS)
        over = QUERIES["begun_anew"], position, aggregate, version
        if begun := await fetch(*over):
            return ErasureReceipt.from_json(json.loads(begun[0]["receipt"]))
        await self._bury(aggregate, version - 1, own=ERASED)
        outputs = 0
        for output, top in tops.items():
            outputs += await self._bury(aggregate_id_of(output), top)
        outputs += await self._bury_returned(erasure.source, 0, returned)
        ids, _ = await self._ids(aggregate, version)
        async with self._connections.use() as connection, transaction(connection):
            await connection.execute("SET LOCAL statement_timeout = 0")
            # First, each in a statement of its own: they wait for what is under way, in the order
            # of an append, and what that has written the next ones see.
            await connection.fetch(QUERIES["end_epochs_of"], RETURNER)
            fenced = await connection.fetch(QUERIES["fence_readers"], list(READERS), epoch)
            if begun := await connection.fetch(*over):  # somebody else has done it meanwhile
                return ErasureReceipt.from_json(json.loads(begun[0]["receipt"]))
            programs = sorted({row["program"] for row in fenced} - set(READERS))
            theirs = await self._outputs(erasure, programs, connection)
            for output in theirs:  # what has come since
                top = tops.get(output, 0)
                outputs += await self._bury(aggregate_id_of(output), None, connection, after=top)
            last_returned = await self._top(_RETURNS, connection)
            outputs += await self._bury_returned(
                erasure.source, returned, last_returned, connection
            )
            counts = await self._forget(connection, erasure, aggregate, version, programs, theirs)
            receipt = ErasureReceipt(
                source=erasure.source, reason=reason or "", keys=erasure.keys, version=version,
                position=position, events=ids.count - 1, digest=ids.digest.hex(),
                outputs=outputs, **counts,
            )  # fmt: skip
            kept = await connection.fetch(QUERIES["kept_erasure"], position)
            if kept:
                receipt = ErasureReceipt.from_json(json.loads(kept[0]["receipt"])).plus(receipt)
            text = json.dumps(receipt.as_json())
            await connection.fetch(QUERIES["keep_erasure"], position, erasure.source, text)
            return receipt

    async def forget_keys(self, erasure: Erasure, epoch: int) -> Forgotten:
        """See EventStore.forget_keys."""
        async with self._connections.use() as connection, transaction(connection):
            await connection.execute("SET LOCAL statement_timeout = 0")
            # First, in a statement of its own: it waits for what is under way.
            fenced = await connection.fetch(QUERIES["fence_readers"], [], epoch)
            programs = sorted({row["program"] for row in fenced})
            theirs = await self._outputs(erasure, programs, connection)
            outputs = 0
            for output in theirs:
                outputs += await self._bury(aggregate_id_of(output), None, connection)
            aggregate = aggregate_id_of(erasure.source)
            counts = await self._forget_kept(connection, erasure, aggregate, programs, theirs)
            return Forgotten(outputs=outputs, **counts)

    async def forget_reasons(self, event_ids: Sequence[bytes]) -> int:
        """See EventStore.forget_reasons."""
        ids = [UUID(bytes=event_id) for event_id in event_ids]
        return len(await self._connections.fetch(QUERIES["forget_reasons"], ids, REASON_ERASED))

    async def all(self) -> list[ErasureReceipt]:
        """By position."""
        rows = await self._connections.fetch(QUERIES["erasures"])
        return [ErasureReceipt.from_json(json.loads(row["receipt"])) for row in rows]

    async def keys(self) -> Mapping[tuple[str, int], AbstractSet[str]]:
        """See EventStore.erased_keys."""
        rows = await self._connections.fetch(QUERIES["erased_keys"])
        return {(row["source"], row["version"]): frozenset(json.loads(row["keys"])) for row in rows}

    async def search(self, receipt: ErasureReceipt) -> Searched:
        """See EventStore.search_erased."""
        aggregate, source = aggregate_id_of(receipt.source), receipt.source
        erasure = Erasure.of(source, receipt.keys)
        report = self._connections.report
        theirs = await self._outputs(erasure, await self._programs(), self._connections)
        keys = [*receipt.keys, *theirs]
        [found] = await report(
            QUERIES["count_remains"], aggregate, receipt.version, ERASED_SNAPSHOT, source, keys,
            REASON_ERASED, [source, *theirs], OURS, receipt.position, _TOMBSTONE,
        )  # fmt: skip
        rows = 0
        for table in await self._projections.all():
            query = QUERIES["count_projected"].format(table=numbered_table(table))
            [row] = await report(query, keys)
            rows += row["rows"]
        outputs = [aggregate_id_of(output) for output in theirs]
        [put_out] = await report(
            QUERIES["count_outputs"], outputs, _RETURNS, source, _TOMBSTONE, receipt.position
        )
        ids, left_over = await self._ids(aggregate, receipt.version)
        kept = await self._connections.fetch(QUERIES["kept_erasure"], receipt.position)
        remains = Remains(
            events=left_over, snapshots=found["snapshots"], timers=found["timers"],
            states=found["states"], rows=rows, dead_letters=found["dead_letters"],
            outputs=put_out["outputs"],
        )  # fmt: skip
        return Searched(remains=remains, ids=ids, since=found["since"], kept=bool(kept))

    async def _forget(
        self,
        within: Any,
        erasure: Erasure,
        aggregate: UUID,
        version: int,
        programs: Sequence[str],
        outputs: Sequence[str],
    ) -> dict[str, int]:
        """What is kept of it beside the log, and beside the events of programs."""
        source = erasure.source
        snapshots = "erase_snapshot", aggregate, version, ERASED_SNAPSHOT
        counts = {
            "snapshots": await _count(within, *snapshots),
            "timers": await _count(within, "erase_timers", source, aggregate, version),
        }
        counts |= await self._forget_kept(within, erasure, aggregate, programs, outputs)
        await within.fetch(QUERIES["bury_snapshot"], aggregate, version, ERASED_SNAPSHOT)
        return counts

    async def _forget_kept(
        self,
        within: Any,
        erasure: Erasure,
        aggregate: UUID,
        programs: Sequence[str],
        outputs: Sequence[str],
    ) -> dict[str, int]:
        """The same of what programs keep of its keys."""
        keys, sources = [*erasure.keys, *outputs], [erasure.source, *outputs]
        about = aggregate, OURS, REASON_ERASED, _TOMBSTONE
        counts = {
            "states": await _count(within, "erase_states", list(programs), keys),
            "dead_letters": await _count(within, "erase_letters", sources, keys, *about),
            "rows": 0,
        }
        for table in await self._projections.all(within):
            query = QUERIES["erase_projected"].format(table=numbered_table(table))
            counts["rows"] += len(await within.fetch(query, keys, timeout=REPORT_S))
        return counts

    async def _bury(
        self,
        aggregate: UUID,
        through: int | None,
        within: Any = None,
        *,
        after: int = 0,
        own: str | None = None,
    ) -> int:
        """Make tombstones of an aggregate's events up to a version, or of all that there are; but
        for those of the type `own`, which say that it was erased."""
        within = within or self._connections
        if through is None:
            through = await self._top(aggregate, within)
        buried = 0
        async for begin, end in self._stretches(aggregate, after, through, within):
            query = QUERIES["bury_events"]
            buried += len(await within.fetch(query, aggregate, begin, end, _TOMBSTONE, own))
        return buried

    async def _stretches(
        self, aggregate: UUID, after: int, through: int, within: Any
    ) -> AsyncIterator[tuple[int, int]]:
        """Those versions of an aggregate, so many at a time as one statement takes: above the
        first, up to the second."""
        while after < through:
            [(end,)] = await within.fetch(
                QUERIES["stretch_end"], aggregate, after, through, self.STRETCH, self.STRETCH_BYTES
            )
            if end is None:
                return
            yield after, end
            after = end

    async def _bury_returned(
        self, source: str, after: int, through: int, within: Any = None
    ) -> int:
        """The same, of the messages of an actor that came back."""
        within, query, buried = within or self._connections, QUERIES["bury_returned"], 0
        async for begin, end in self._stretches(_RETURNS, after, through, within):
            rows = await within.fetch(query, _RETURNS, source, _TOMBSTONE, begin, end)
            buried += len(rows)
        return buried

    async def _top(self, aggregate: UUID, within: Any = None) -> int:
        """The version of the last event of an aggregate."""
        [(version,)] = await (within or self._connections).fetch(
            "SELECT coalesce(max(version), 0) FROM events WHERE aggregate_id = $1", aggregate
        )
        return int(version)

    async def _outputs(self, erasure: Erasure, programs: Sequence[str], within: Any) -> list[str]:
        """The sources under which programs have put something out of it, also one of what another
        one has put out. They are keys of whoever gives none."""
        found: dict[str, None] = {}
        keys: Sequence[str] = erasure.keys
        while keys:
            outputs = {aggregate_id_of(each): each for each in outputs_of(keys, programs)}
            there = await within.fetch(QUERIES["existing_aggregates"], list(outputs))
            keys = [source for row in there if (source := outputs[row["id"]]) not in found]
            found.update(dict.fromkeys(keys))
        return list(found)

    async def _programs(self) -> list[str]:
        rows = await self._connections.fetch(QUERIES["programs_with_slots"])
        return [row["program"] for row in rows]

    async def _ids(self, aggregate: UUID, version: int) -> tuple[Receipt, int]:
        [row] = await self._connections.report(
            QUERIES["receipt_of_aggregate"], aggregate, version, _TOMBSTONE, ERASED
        )
        ids = Receipt.of_sums(row["count"], int(row["high"]), int(row["low"]))
        return ids, int(row["left_over"])


async def _count(within: Any, name: str, *arguments: Any) -> int:
    """Of how many rows a query says that they are gone."""
    return len(await within.fetch(QUERIES[name], *arguments, timeout=REPORT_S))

"""A snapshot that does not fit makes way for one that does, at whatever version it was made."""

from collections.abc import Mapping
from typing import Any

import pytest

from actors.naming import aggregate_key_of
from store.event_store import Snapshot
from tests.unit.hosting import Add, Counter, Hosting
from tests.virtual_time import settled, virtual_time

KEY = aggregate_key_of("counter/a")
OTHER = b"1;schema=0000000000000000"


@virtual_time
async def test_an_actor_that_is_only_asked_is_folded_from_its_first_event_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = await Hosting.begin()
    await host.ask("counter/a", Add(times=50))
    store = host.store
    # Of a release with another state, made at the last event: when it loaded the actor.
    await store.save_snapshots(
        [Snapshot(aggregate_id=KEY, version=50, data=OTHER + b'\n{"total": 7}')]
    )
    loads: list[int] = []
    load_rows = store.load_rows

    async def watched(after: Mapping[bytes, int]) -> Any:
        loads.extend(after.values())
        return await load_rows(after)

    monkeypatch.setattr(store, "load_rows", watched)
    for _ in range(3):
        host = await Hosting.begin(store)
        assert await host.total("counter/a") == 50
        await settled()
    assert loads == [0, 49, 49]
    [snapshot] = (await store.load_snapshots([KEY])).values()
    assert snapshot.version == 50
    assert snapshot.data.startswith(Counter.described().snapshots.text + b"\n")

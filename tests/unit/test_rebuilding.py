"""An actor that is rebuilt brings its causal past along, also where that is a snapshot's."""

from actors.actor import Actor
from actors.devices import DeviceTwin
from actors.event import Event, Kind
from actors.ids import time_ordered_id, uuid_of
from actors.moments import EPOCH
from actors.naming import aggregate_id_of
from runtime.clocks import NodeClock
from runtime.host.actor_types import ActorTypes
from runtime.host.resident import take_snapshot
from runtime.host.residents import Residents
from store.event_store import WRITER, CounterMove
from store.memory import MemoryEventStore
from store.rows.encoding import encode_event
from store.rows.layout import EncodedRows

SOURCE = "device-twin/meter"


async def test_a_snapshot_at_the_last_event_does_not_hide_that_events_clock() -> None:
    store = MemoryEventStore()
    await _append_event(store, clock={"elsewhere": 5, "here": 1})
    first_life, second_life = (NodeClock("here", 1, {"elsewhere"}) for _ in range(2))
    before = _residents(store, first_life)
    await before.load([SOURCE])
    snapshot = take_snapshot(before.get(SOURCE))  # type: ignore[arg-type]
    assert snapshot is not None
    assert snapshot.version == 1
    await store.save_snapshots([snapshot])

    after = _residents(store, second_life)
    await after.load([SOURCE])

    assert first_life.counts() == {"elsewhere": 5, "here": 1}
    assert second_life.counts() == first_life.counts()
    assert after.get(SOURCE).version == 1  # type: ignore[union-attr]


def _residents(store: MemoryEventStore, clock: NodeClock) -> Residents:
    types = ActorTypes()
    twin: type[Actor[object]] = DeviceTwin  # type: ignore[assignment]
    types.register(twin)
    return Residents(store, types, capacity=10, observe=clock.observe)


async def _append_event(store: MemoryEventStore, clock: dict[str, int]) -> None:
    await store.open_epoch(WRITER)
    await store.open_epoch("here")
    event = Event(
        id=uuid_of(time_ordered_id(0, 1)),
        event_type="properties-reported",
        kind=Kind.DEVICE,
        source=SOURCE,
        aggregate_id=aggregate_id_of(SOURCE),
        timestamp=EPOCH,
        version=1,
        data={
            "event_id": "1",
            "reported_type": "reading",
            "reported_at": EPOCH.isoformat(),
            "properties": {"kwh": 1.5},
            "late": False,
        },
        vector_clock=clock,  # type: ignore[arg-type]
    )
    await store.append(
        EncodedRows.of([encode_event(event)]),
        writer=CounterMove(name=WRITER, epoch=1, counter=1),
        nodes=[CounterMove(name="here", epoch=1, counter=1)],
    )

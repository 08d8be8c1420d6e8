"""Each setting changes behaviour, on a running system."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import ray

from actors.naming import aggregate_id_of
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from tests.integration.devices import Add, Beacon, Burst, Counter, CounterState, Fail
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    eventually,
    host_of,
    log_of,
    pooled_hosts,
    statuses_of,
    take,
    url_of,
    writer_of,
    writes_held_up,
)
from thornback.testing.databases import query

pytestmark = pytest.mark.integration


def add(ref: ActorRef[Any], amount: int = 1) -> Any:
    return ref.ask(Add(amount=amount)).result(timeout_s=LIMIT_S)[0]


def total(ref: ActorRef[CounterState]) -> int:
    state: CounterState = ref.state().result(timeout_s=LIMIT_S)
    return state.total


def test_max_actors_bounds_the_residents_who_come_back_unnoticed(launch: Launcher) -> None:
    system = launch(actor_system={"max_actors": 20, "hosts": 1})
    refs = [system.actor(Counter, str(number)) for number in range(100)]
    for start in range(0, 100, 10):  # ten batches: who leaves is decided between them
        system.tell_many((ref, Add(amount=2)) for ref in refs[start : start + 10])
    status = host_of(system, "host-0")
    assert status.residents <= 20
    assert status.evicted == 100 - status.residents
    # The most recent ones are still there, the first ones are not; neither can tell.
    assert add(refs[-1]).version == 2
    assert host_of(system, "host-0").evicted == status.evicted
    assert [add(ref).version for ref in refs[:30]] == [2] * 30
    assert {total(ref) for ref in refs[:30]} == {3}
    assert_log_is_whole(system)


def test_actors_within_max_actors_stay(launch: Launcher) -> None:
    system = launch(actor_system={"max_actors": 200, "hosts": 1})
    for _ in range(2):
        system.tell_many((system.actor(Counter, str(number)), Add()) for number in range(100))
    status = host_of(system, "host-0")
    assert (status.residents, status.evicted) == (100, 0)


def test_a_snapshot_is_taken_every_so_many_events_and_is_what_the_state_comes_from(
    launch: Launcher,
) -> None:
    system = launch(
        event_store={"snapshot_frequency": 10}, actor_system={"max_actors": 1, "hosts": 1}
    )
    ref = system.actor(Counter, "a")
    assert ref.ask(Burst(count=9)).result(timeout_s=LIMIT_S)
    aggregate = aggregate_id_of(ref.source)
    assert _snapshot(system, aggregate) is None
    add(ref)
    assert eventually(lambda: _snapshot(system, aggregate)) == 10
    ref.ask(Burst(count=25)).result(timeout_s=LIMIT_S)
    eventually(lambda: _snapshot(system, aggregate) == 35)
    # Falsify the log below the snapshot: whoever folded those events would count them.
    log_of(system, "UPDATE events SET event_data = '{\"amount\": 1000}' WHERE version <= 35")
    _push_out(system, ref)
    assert total(ref) == 35
    assert add(ref).version == 36
    _push_out(system, ref)
    assert total(ref) == 36


def _snapshot(system: ActorSystem, aggregate: object) -> int | None:
    rows = log_of(system, "SELECT version FROM snapshots WHERE aggregate_id = $1", aggregate)
    return rows[0]["version"] if rows else None


def _push_out(system: ActorSystem, ref: ActorRef[Any]) -> None:
    """Have others take the actor's place in memory."""
    before = host_of(system, "host-0").evicted
    for _ in range(3):
        add(system.actor(Counter, uuid4().hex))
    assert host_of(system, "host-0").evicted > before


def test_an_actor_of_many_snapshots_comes_back_with_what_came_after_the_last(
    launch: Launcher,
) -> None:
    system = launch(
        event_store={"snapshot_frequency": 7}, actor_system={"max_actors": 1, "hosts": 1}
    )
    refs = [system.actor(Counter, str(number)) for number in range(5)]
    for _ in range(20):
        for ref in refs:
            add(ref)
    assert {total(ref) for ref in refs} == {20}
    assert_log_is_whole(system)


@pytest.mark.parametrize(("batch_size", "commits"), [(3, [1, 3, 3]), (5_000, [1, 6])])
def test_batch_size_bounds_a_commit(launch: Launcher, batch_size: int, commits: list[int]) -> None:
    system = launch(
        event_store={"batch_size": batch_size}, actor_system={"actor_timeout_ms": 60_000}
    )
    add(system.actor(Counter, "first"))  # the host knows the class from now on
    host = ray.get_actor("host-0", namespace=system.namespace)
    with writes_held_up(url_of(system)):
        # Seven appends of one event each: one is being committed, six wait behind it.
        waiting = [host.ask.remote(Add(), "counter/0")]
        eventually(lambda: host_of(system, "host-0").unanswered == 1)
        waiting += [host.ask.remote(Add(), f"counter/{number}") for number in range(1, 7)]
        eventually(lambda: writer_of(system).backlog == 6)
    ray.get(waiting, timeout=LIMIT_S)
    rows = log_of(
        system,
        "SELECT count(*) FROM events WHERE position > 1 GROUP BY recorded_at ORDER BY recorded_at",
    )
    assert [row[0] for row in rows] == commits


def test_connection_pool_size_bounds_the_connections_of_a_process(launch: Launcher) -> None:
    system = launch(
        event_store={"connection_pool_size": 2},
        actor_system={"hosts": 1, "max_actors": 1},
    )
    for _ in system.ask_many((system.actor(Counter, str(n)), Add()) for n in range(3_000)):
        pass
    url = url_of(system)
    rows = query(
        url, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()",
    )  # fmt: skip
    assert 1 <= rows[0][0] <= 3 * 2  # writer, host, and the bus at its start


def test_hosts_is_how_many_processes_share_the_actors_and_the_node_id_begins_their_clock_entries(
    launch: Launcher,
) -> None:
    system = launch(event_bus={"node_id": "plant-7"}, actor_system={"hosts": 3})
    events = [add(system.actor(Counter, str(number))) for number in range(60)]
    assert set(events[-1].vector_clock) == {f"plant-7.host-{number}" for number in range(3)}
    assert {one.node for one in statuses_of(system).values()} == {
        "plant-7.directory", "plant-7.writer", "plant-7.bus", *events[-1].vector_clock
    }  # fmt: skip
    residents = {name: host_of(system, name).residents for name in pooled_hosts(system)}
    assert residents.keys() == {"host-0", "host-1", "host-2"}
    assert sum(residents.values()) == 60
    assert min(residents.values()) > 0


def test_a_module_that_hosts_import_needs_no_class_from_a_driver(launch: Launcher) -> None:
    system = launch(actor_system={"actor_modules": ["tests.integration.devices"]})
    ref = system.actor("counter", "a")
    ref.ask(Add(amount=4)).result(timeout_s=LIMIT_S)
    assert ref.state().result(timeout_s=LIMIT_S)["total"] == 4
    assert {"counter", "beacon"} <= set(host_of(system, "host-0").actor_types)


def test_a_system_in_memory_does_all_of_it_without_a_database(launch: Launcher) -> None:
    system = launch(
        event_store={"type": "memory", "snapshot_frequency": 5},
        actor_system={"max_actors": 2, "hosts": 2},
    )
    refs = [system.actor(Counter, str(number)) for number in range(10)]
    live = system.subscribe()
    command = uuid4()
    first = refs[0].ask(Add(amount=5), id=command).result(timeout_s=LIMIT_S)
    told = system.tell_many((refs[number % 10], Add()) for number in range(1_000))
    assert (told.events, told.failed) == (1_000, 0)
    assert refs[0].ask(Add(amount=5), id=command).result(timeout_s=LIMIT_S) == first
    assert [total(ref) for ref in refs] == [105] + [100] * 9
    with pytest.raises(Exception, match="on request"):
        refs[1].ask(Fail()).result(timeout_s=LIMIT_S)
    assert total(refs[1]) == 100
    events = take(live, 1_001)
    with system.subscribe(after=0) as again:
        assert take(again, 1_001) == events


def test_a_dedicated_actor_is_a_named_ray_actor_with_plain_methods(launch: Launcher) -> None:
    system = launch(actor_system={"placement": {"beacon": "dedicated", "counter": "pooled"}})
    beacon, pooled = system.actor(Beacon, "north"), system.actor(Counter, "north")
    assert add(beacon, 3).version == add(pooled, 3).version == 1
    handle = ray.get_actor("beacon/north", namespace=system.namespace)
    (event,) = ray.get(handle.ask.remote(Add(amount=4)), timeout=LIMIT_S)
    assert (event.source, event.version, event.data) == ("beacon/north", 2, {"amount": 4})
    shown = ray.get(handle.state.remote(), timeout=LIMIT_S)
    assert shown == {"version": 2, "state": {"total": 7, "notes": 0, "owner": ""}}
    assert beacon.state().result(timeout_s=LIMIT_S) == CounterState(total=7)
    assert set(event.vector_clock) == {"node-001.beacon"}  # its type is a node of its own
    with pytest.raises(ValueError, match="counter/north"):
        ray.get_actor(pooled.source, namespace=system.namespace)
    name = next(name for name in pooled_hosts(system) if host_of(system, name).residents)
    shared = ray.get_actor(name, namespace=system.namespace)
    (event,) = ray.get(shared.ask.remote(Add(), "counter/north"), timeout=LIMIT_S)
    assert event.version == 2
    assert host_of(system, "beacon/north").residents == 1
    assert_log_is_whole(system)


def test_placement_changes_with_the_setting_and_nothing_else_does(
    launch: Launcher, new_database: Callable[[], str]
) -> None:
    url = new_database()
    for version, placement in enumerate(("pooled", "dedicated"), start=1):
        system = launch(
            event_store={"connection_string": url},
            actor_system={"placement": {"beacon": placement}},
        )
        assert add(system.actor(Beacon, "a")).version == version
        assert ("beacon/a" in statuses_of(system)) == (placement == "dedicated")
        launch.drain(system)

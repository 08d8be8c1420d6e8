"""Events, states and classes change from release to release, on one log in a real PostgreSQL."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

import pytest

from actors.actor import Actor
from actors.errors import InvalidActor
from actors.event import Event
from actors.schema import SCHEMA
from runtime.system import ActorSystem
from store.event_store import Snapshot
from streams.handler import Handler
from tests.integration.meters import (
    ByTariff,
    Charge,
    Counted,
    Delivered,
    Electricity,
    Meter,
    MeterState,
    Tariffs,
)
from tests.integration.systems import LIMIT_S, Launcher, eventually
from thornback.testing.databases import query
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

pytestmark = pytest.mark.integration


@contextmanager
def release(database: str, *, frequency: int = 1_000) -> Iterator[ActorSystem]:
    """A system on that log; one release after another."""
    settings = small_settings(
        {"event_store": {"snapshot_frequency": frequency}}, connection_string=database
    )
    with InProcessSystem(settings) as system:
        yield system


def charge(system: ActorSystem, actor: type[Actor[Any]], *kwh: float, name: str = "a") -> None:
    for each in kwh:
        system.actor(actor, name).ask(Charge(kwh=each)).result(timeout_s=LIMIT_S)


def state(system: ActorSystem, actor: type[Actor[Any]], name: str = "a") -> Any:
    return system.actor(actor, name).state().result(timeout_s=LIMIT_S)


def snapshots(database: str) -> list[bytes]:
    return [row["data"] for row in query(database, "SELECT data FROM snapshots")]


def rows(database: str) -> list[tuple[str, str, Any, Any]]:
    found = query(
        database,
        "SELECT event_type, source, event_data, metadata FROM events ORDER BY position",
    )
    return [
        (row["event_type"], row["source"], json.loads(row["event_data"]),
         row["metadata"] and json.loads(row["metadata"]))
        for row in found
    ]  # fmt: skip


def test_rows_of_each_release_come_to_one_state_and_stay_as_they_were_written(
    thornback_database: str,
) -> None:
    with release(thornback_database) as first:
        charge(first, Meter, 1.5, 2.0)
    before = rows(thornback_database)
    assert before == [  # as a release writes them that knows no schemas
        ("charged", "meter/a", {"energy": 1_500.0}, None),
        ("charged", "meter/a", {"energy": 2_000.0}, None),
    ]
    with release(thornback_database) as second:
        assert state(second, Electricity) == Counted(kwh=3.5, charges=2)
        charge(second, Electricity, 3.0)
    with release(thornback_database) as third:
        charge(third, Tariffs, 4.0)
        expected = ByTariff(kwh=10.5, by_tariff={"standard": 6.5, "night": 4.0})
        assert state(third, Tariffs) == expected
        ref = third.actor(Tariffs, "a")
        assert third.state_as_of(ref, position=3).result(timeout_s=LIMIT_S) == ByTariff(
            kwh=6.5, by_tariff={"standard": 6.5}
        )
        with third.subscribe("charged", after=0) as subscription:
            events = list(islice(subscription, 4))
        assert [event.data for event in events] == [row[2] for row in rows(thornback_database)]
        assert [event.schema_version for event in events] == [1, 1, 2, 3]
        assert [event.read(Delivered).kwh for event in events] == [1.5, 2.0, 3.0, 4.0]
    after = rows(thornback_database)
    assert after[:2] == before
    assert after[2:] == [
        ("charged", "meter/a", {"kwh": 3.0}, {SCHEMA: "2"}),
        ("charged", "meter/a", {"kwh": 4.0, "tariff": "night"}, {SCHEMA: "3"}),
    ]


def test_a_release_that_knows_less_than_the_log_decides_nothing(thornback_database: str) -> None:
    with release(thornback_database) as second:
        charge(second, Electricity, 1.0)
        with pytest.raises(InvalidActor, match=r"'charged' of schema 2: Charged here reads"):
            charge(second, old_meter(), 1.0, name="b")
        charge(second, Electricity, 1.0)  # whoever decided before goes on
    with (
        release(thornback_database) as first,
        pytest.raises(InvalidActor, match=r"of schema 2 \(this class reads up to 1\): a newer rel"),
    ):
        charge(first, old_meter(), 1.0, name="b")
    assert len(rows(thornback_database)) == 2


def old_meter() -> type[Actor[Any]]:
    """The class of the first release, under the name of the second: the schema alone tells."""
    names = {
        "__module__": Electricity.__module__,
        "__qualname__": Electricity.__qualname__,
        "actor_type": "meter",
    }
    return type("Meter", (Meter,), names)


def test_a_snapshot_of_another_state_is_ignored_and_made_anew(thornback_database: str) -> None:
    with release(thornback_database, frequency=2) as first:
        charge(first, Meter, 1.0, 1.0, 1.0)
        [old] = eventually(lambda: snapshots(thornback_database))
    assert json.loads(old.partition(b"\n")[2]) == {"kwh": 2.0}
    with release(thornback_database, frequency=2) as second:
        # It could be read: three charges would be one then.
        assert state(second, Electricity) == Counted(kwh=3.0, charges=3)
        # Of what the log has come to, a new one is made at once.
        [new] = eventually(lambda: [one for one in snapshots(thornback_database) if one != old])
        assert new == Electricity.described().snapshots.text + b'\n{"kwh": 3.0, "charges": 3}'
        charge(second, Electricity, 1.0)
        [new] = eventually(lambda: [one for one in snapshots(thornback_database) if one != new])
    header, _, text = new.partition(b"\n")
    assert json.loads(text) == {"kwh": 4.0, "charges": 4}
    assert header.endswith(b";charged=2")
    assert header == Electricity.described().snapshots.text
    with release(thornback_database, frequency=2) as second:  # it fits now, and is taken
        query(thornback_database, "UPDATE snapshots SET data = $1", new.replace(b"4}", b"40}"))
        assert state(second, Electricity) == Counted(kwh=4.0, charges=40)


def test_a_snapshot_of_the_release_before_schemas_is_taken_where_it_can_be_read(
    thornback_database: str,
) -> None:
    with release(thornback_database) as first:
        charge(first, Meter, 1.0, 1.0)
    [key] = {row["aggregate_id"] for row in query(thornback_database, AGGREGATES)}
    for data, kwh in ((b'1\n{"kwh": 7.0}', 7.0), (b'1\n{"kwh": "many"}', 2.0), (b"2\n{}", 2.0)):
        query(thornback_database, "DELETE FROM snapshots")
        snapshot = Snapshot(aggregate_id=key.bytes, version=2, data=data)
        query(
            thornback_database,
            "INSERT INTO snapshots (aggregate_id, version, data) VALUES ($1, $2, $3)",
            key, snapshot.version, snapshot.data,
        )  # fmt: skip
        with release(thornback_database) as first:
            assert state(first, Meter) == MeterState(kwh=kwh)


AGGREGATES = "SELECT DISTINCT aggregate_id FROM events"


class Readings(Handler):
    """Reads events of any release as those of today."""

    event_types = ("charged",)

    def handle(self, event: Event) -> Iterator[Delivered]:
        read = event.read(Delivered)
        yield Delivered(kwh=read.kwh, tariff=f"{read.tariff}-{event.schema_version}")


def test_programs_and_indexes_read_events_of_any_release(thornback_database: str) -> None:
    with release(thornback_database) as first:
        charge(first, Meter, 1.5)
    with release(thornback_database) as third:
        charge(third, Tariffs, 4.0)
        third.run(Readings)
        with third.subscribe("charged", sources="readings/*", after=0) as subscription:
            found = [event.read(Delivered) for event in islice(subscription, 2)]
        assert found == [
            Delivered(kwh=1.5, tariff="standard-1"),
            Delivered(kwh=4.0, tariff="night-3"),
        ]
        [indexed] = third.find(Tariffs, kwh=5.5, at_least=2).result(timeout_s=LIMIT_S)
        assert indexed.name == "a"
    assert [meta for *_, meta in rows(thornback_database)][2:] == [{SCHEMA: "3"}] * 2


def test_an_event_that_was_published_in_an_older_schema_is_read_as_one_of_today(
    thornback_database: str,
) -> None:
    with release(thornback_database) as third:
        moment = datetime(2013, 1, 1, tzinfo=UTC)
        parts: Any = {"source": "sensor/a", "timestamp": moment}
        event = Event.of(Delivered(kwh=1.0, tariff="x"), id=UUID(int=1), **parts)
        [stored] = third.publish(event).result(timeout_s=LIMIT_S)
        assert (stored.schema_version, stored.read(Delivered).tariff) == (3, "x")
    [noted] = query(thornback_database, "SELECT * FROM event_schemas")
    assert tuple(noted) == ("sensor", "charged", 3)


def test_upcasters_reach_the_hosts_of_a_running_system_with_their_class(launch: Launcher) -> None:
    system = launch(actor_system={"hosts": 2}, event_store={"snapshot_frequency": 2})
    names = [f"m-{number}" for number in range(6)]
    for name in names:
        charge(system, Meter, 1.0, 2.0, name=name)
    for name in names:
        charge(system, Tariffs, 3.0, name=name)
    expected = ByTariff(kwh=6.0, by_tariff={"standard": 3.0, "night": 3.0})
    assert [state(system, Tariffs, name) for name in names] == [expected] * 6

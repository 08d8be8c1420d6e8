"""What a partition is called, what is in it, and which settings it has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.event import Event
from actors.messages import RETURNS_SOURCE
from jobs.databases import address_of
from runtime.driver.explaining import SeveralLogs
from runtime.errors import NotPossible
from runtime.process.partitioning import (
    check_partitioned,
    database_of,
    each_partition,
    node_ids_of,
    of_partition,
    share_of,
    sibling,
    whole_namespace,
    whole_of,
)
from runtime.settings.configuration import ConfigurationError
from runtime.settings.settings import Settings
from runtime.settings.shown import shown
from runtime.topology.partitions import (
    COUNTS,
    home_of,
    named_partition,
    namespace_of,
    node_ids,
    partition_of,
)
from runtime.topology.placement import shard_of
from runtime.topology.positions import Positions
from store.postgres.partition_database import url_of_partition
from tests.contracts.appending import made_event
from thornback.simulation.simulating import simulated_settings
from thornback.testing.in_process import InProcessSystem

URL = "postgresql://me:secret@db:5433/fleet?sslmode=require"


@pytest.fixture(autouse=True)
def no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the project has settings of its own."""
    monkeypatch.chdir(tmp_path)


def loaded(**sections: dict[str, Any]) -> Settings:
    return Settings.load(None, environ={}, **sections)


def of_two(**sections: dict[str, Any]) -> Settings:
    store = {"partitions": 2, "connection_string": URL} | sections.pop("event_store", {})
    system = {"hosts": 3, "namespace": "fleet"} | sections.pop("actor_system", {})
    return loaded(event_store=store, actor_system=system, **sections)


def test_the_partition_of_an_actor_is_for_ever() -> None:
    """Logs are dealt out by it: where another release has another answer, actors begin anew."""
    sources = [f"meter/{number}" for number in range(8)]
    found = {count: [partition_of(source, count) for source in sources] for count in (1, 2, 16)}
    assert found == {1: [0] * 8, 2: FOR_EVER[2], 16: FOR_EVER[16]}


@pytest.mark.parametrize("count", COUNTS)
def test_all_partitions_have_about_as_many_actors_of_any_shards(count: int) -> None:
    sources = [f"meter/{number}" for number in range(16_000)]
    theirs: list[set[int]] = [set() for _ in range(count)]
    actors = [0] * count
    for source in sources:
        partition = partition_of(source, count)
        actors[partition] += 1
        theirs[partition].add(shard_of(source) % 16)
    assert min(actors) > 0.8 * 16_000 / count
    assert all(len(shards) == 16 for shards in theirs)


def test_what_a_program_makes_of_an_actor_is_beside_it() -> None:
    assert home_of("meter/5") == "meter/5"
    assert home_of("alerts/meter/5") == home_of("second/alerts/meter/5") == "meter/5"
    for number in range(50):
        source = f"meter/{number}"
        assert partition_of(f"alerts/{source}", 16) == partition_of(source, 16)


def test_namespaces_say_their_partition() -> None:
    assert [namespace_of("fleet", each) for each in (0, 1)] == ["fleet", "fleet.partition-1"]
    assert named_partition("fleet") is None
    assert named_partition("fleet.partition-0") == ("fleet", 0)
    assert named_partition(namespace_of("fleet", 15)) == ("fleet", 15)
    assert named_partition("fleet.partition-01") is None
    assert node_ids("site", 0, 2) == node_ids("site-p1", 1, 2) == ["site", "site-p1"]


def test_positions_are_one_for_each_partition() -> None:
    assert Positions.of(0, 2) == Positions.of([0, 0], 2) == (0, 0)
    assert Positions.of((3, 1), 2).reaches(Positions.of([3, 0], 2))
    assert not Positions.of((3, 1), 2).reaches(Positions.of([0, 2], 2))
    for wrong in (7, True, "12", [1], [1, -1], [1, 2.0], [True, 0], None):
        with pytest.raises(ValueError, match="partitions"):
            Positions.of(wrong, 2)


def test_a_partition_has_a_database_beside_the_first_one() -> None:
    assert url_of_partition(URL, 1) == URL.replace("/fleet", "/fleet_partition_1")
    with pytest.raises(ValueError, match="names no database"):
        url_of_partition("postgresql://db", 1)


def test_each_partition_has_settings_of_its_own() -> None:
    first, second = each_partition(of_two())
    assert (first.actor_system.hosts, second.actor_system.hosts) == (2, 1)
    assert second.actor_system.namespace == "fleet.partition-1"
    assert whole_namespace(second) == whole_namespace(first) == "fleet"
    assert second.event_store.connection_string.get_secret_value().endswith(
        "fleet_partition_1?sslmode=require"
    )
    assert node_ids_of(first) == node_ids_of(second) == [
        first.event_bus.node_id, second.event_bus.node_id,
    ]  # fmt: skip
    assert sibling(first, 1).actor_system.namespace == second.actor_system.namespace
    assert sum(share_of(19, each, 16) for each in range(16)) == 19
    assert each_partition(loaded()) == [loaded()]


def test_one_gateway_answers_for_all_of_them() -> None:
    settings = of_two(gateway={"enabled": True})
    check_partitioned(settings)
    assert [each.gateway.enabled for each in each_partition(settings)] == [True, False]


@pytest.mark.parametrize("gateway", [{}, {"enabled": False}])
def test_the_settings_of_a_system_are_found_again_in_those_of_its_partitions(
    gateway: dict[str, Any],
) -> None:
    settings = of_two(gateway=gateway)
    assert whole_of(of_partition(settings, 0), 3) == settings


def test_a_launch_is_refused_where_partitions_cannot_be() -> None:
    with pytest.raises(ConfigurationError, match="hosts: found 1, expected at least 2"):
        check_partitioned(of_two(actor_system={"hosts": 1}))
    with pytest.raises(ConfigurationError, match="a launch is one of all partitions"):
        check_partitioned(of_two(event_store={"partition": 1}))
    with pytest.raises(ConfigurationError, match="1, 2, 4, 8 or 16"):
        of_two(event_store={"partitions": 3})


def test_who_asks_one_database_does_not_take_it_for_all() -> None:
    with pytest.raises(NotPossible, match=r"_partition_1 .*event_store.partitions is 2"):
        address_of(of_two())
    assert address_of(loaded(event_store={"connection_string": URL})) == URL


def test_worlds_of_one_partition_say_so() -> None:
    store = {"partitions": 2}
    with pytest.raises(NotPossible, match="in this process has one partition"):
        InProcessSystem(loaded(event_store={"type": "memory", **store}, actor_system={"hosts": 2}))
    with pytest.raises(NotPossible, match="a simulated system has one partition"):
        simulated_settings({"event_store": store, "actor_system": {"hosts": 2}})


def test_where_an_event_is_says_its_source_but_for_what_each_log_has() -> None:
    logs = SeveralLogs([None, None])  # type: ignore[list-item]
    event = made_event("meter/5", 1)
    assert logs.log_of(event) == partition_of("meter/5", 2)
    returned: Event = made_event(RETURNS_SOURCE, 1)
    assert logs.log_of(returned) is None


def test_data_of_partitions_lies_in_folders_of_their_own(tmp_path: Path) -> None:
    settings = of_two(event_store={"data_folder": str(tmp_path), "connection_string": ""})
    first, second = each_partition(settings)
    assert first.event_store.data_folder == tmp_path
    assert second.event_store.data_folder == tmp_path / "partition-1"


#: Of meter/0 to meter/7, by how many partitions there are.
FOR_EVER = {2: [0, 1, 0, 1, 0, 1, 0, 1], 16: [4, 3, 10, 13, 4, 3, 10, 13]}


FIRST, SECOND = "postgresql://me:secret@one/fleet", "postgresql://me:hidden@two:6000/fleet"


def on_servers(*urls: str, count: int = 2) -> Settings:
    store = {"partitions": count, "connection_string": FIRST, "partition_urls": list(urls)}
    return of_two(event_store=store, actor_system={"hosts": 4})


def test_partitions_may_be_on_servers_of_their_own() -> None:
    settings = on_servers(SECOND)
    check_partitioned(settings)
    first, second = each_partition(settings)
    assert [each.event_store.connection_string.get_secret_value() for each in (first, second)] == [
        FIRST, SECOND,
    ]  # fmt: skip
    assert database_of(first) == (FIRST, 0, "")
    assert database_of(second) == (SECOND, 1, FIRST)
    assert Settings.model_validate_json(second.model_dump_json()) == second
    assert whole_of(of_partition(settings, 0), 4) == settings
    assert "hidden" not in repr(second)
    assert sibling(first, 1).event_store.connection_string.get_secret_value() == ""
    beside = of_partition(of_two(), 1)
    assert database_of(beside).knowing_url == URL


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (lambda: on_servers(SECOND, SECOND), "partition_urls: found 2 URLs, expected 1"),
        (lambda: on_servers(FIRST), "partitions 0 and 1 with one:5432/fleet"),
        (lambda: on_servers("postgresql://two"), "a URL without a database"),
        (
            lambda: of_two(event_store={"connection_string": "", "partition_urls": [SECOND]}),
            "connection_string: found nothing",
        ),
        (
            lambda: of_two(event_store={"connection_string": f"postgresql://db/{'x' * 52}"}),
            "64 bytes are more than the 63",
        ),
        (lambda: of_two(metrics={"port": 65_535}), "metrics.port: found 65535, expected at most"),
        (
            lambda: of_two(metrics={"port": 8_079}, gateway={"port": 8_080}),
            "gateway.port: found 8080, expected another one than 8079 to 8080",
        ),
    ],
)
def test_what_partitions_cannot_have_is_refused_before_anything_is_launched(
    settings: Callable[[], Settings], why: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_partitioned(settings())
    assert why in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_a_list_of_urls_is_refused_without_its_passwords() -> None:
    with pytest.raises(ConfigurationError) as refused:
        on_servers("mysql://me:hidden@two/fleet")
    assert "hidden" not in str(refused.value)
    shown_urls = {each.key: each.value for each in shown(on_servers(SECOND))}["partition_urls"]
    assert shown_urls == ("postgresql://me:***@two:6000/fleet",)

"""What commands ask of the databases of several partitions."""

import pytest

from jobs import subscriptions
from jobs.subscriptions import asked_of
from runtime.settings.settings import Settings
from runtime.topology.partitions import partition_of
from thornback.testing.settings import small_settings

TWO = {"partitions": 2, "connection_string": "postgresql://somewhere/fleet"}


@pytest.mark.parametrize("partition", [0, 1])
def test_a_device_is_asked_for_where_it_is(partition: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(address: str, settings: Settings, _: object) -> tuple[str, int]:
        return address.rpartition("/")[2], settings.event_store.partition

    monkeypatch.setattr(subscriptions, "_ask", ask)
    names = (f"meter/{number}" for number in range(100))
    source = next(each for each in names if partition_of(each, 2) == partition)
    name = ["fleet", "fleet_partition_1"][partition]
    settings = small_settings({"event_store": TWO, "actor_system": {"hosts": 2}}, type="postgres")
    assert asked_of(settings, source, lambda _: ask("", settings, None)) == (name, partition)

"""What a driver takes of its own settings, and what of the system's."""

from runtime.driver.directory_link import Patience, for_driver
from runtime.settings.settings import Settings
from runtime.topology.status import Topology


def driver_settings(**own: dict[str, object]) -> Settings:
    """What a driver goes by that has settings of its own, of a system of three hosts that waits
    seven seconds."""
    system = Settings.model_validate({"actor_system": {"hosts": 3, "actor_timeout_ms": 7_000}})
    topology = Topology(settings_json=system.model_dump_json(), hosts=())
    settings = for_driver(topology, Settings.model_validate(own)).settings_json
    return Settings.model_validate_json(settings)


def test_a_driver_has_its_own_patience_and_pool_where_its_settings_say_so() -> None:
    own = driver_settings(
        actor_system={"actor_timeout_ms": 90, "hosts": 1}, event_store={"connection_pool_size": 2}
    )
    assert own.actor_system.actor_timeout_ms == 90
    assert own.event_store.connection_pool_size == 2
    assert own.actor_system.hosts == 3  # which is the system's affair


def test_what_a_driver_does_not_say_is_as_the_system_has_it() -> None:
    own = driver_settings(actor_system={"namespace": "x"})
    assert own.actor_system.actor_timeout_ms == 7_000


def test_time_that_does_not_count_makes_patience_longer_and_no_other_does() -> None:
    now_s = 100.0
    patience = Patience(10.0, lambda: now_s)
    now_s += 4.0
    patience.look(counts=True)
    assert patience.left_s == 6.0
    now_s += 1_000.0
    patience.look(counts=False)
    assert patience.left_s == 6.0
    now_s += 7.0
    patience.look(counts=True)
    assert patience.left_s == -1.0

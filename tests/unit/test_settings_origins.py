"""Where the values of settings come from, and that they travel with that."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from runtime.settings.settings import (
    BUILT_IN,
    DEFAULT_FILES,
    Problem,
    Settings,
)
from tests.unit.setting_keys import KEYS, Key, every_key, refused

DEFAULT_FILE = DEFAULT_FILES[-1]  #: the one that the checkout has


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.toml"


class TestWhereValuesComeFrom:
    @every_key
    def test_a_variable_overrides_the_file(self, key: Key) -> None:
        settings = Settings.load(DEFAULT_FILE, environ={key.variable: key.text})
        assert key.of(settings) == key.value != key.of(Settings())

    @every_key
    def test_an_argument_overrides_a_variable(self, key: Key) -> None:
        default = Settings().model_dump()[key.section][key.name]
        overrides: dict[str, Any] = {key.section: {key.name: default}}
        settings = Settings.load(environ={key.variable: key.text}, **overrides)
        assert settings == Settings()

    def test_the_file_overrides_the_defaults_key_by_key(self, file: Path) -> None:
        file.write_text("[actor_system]\nhosts = 7\nmax_actors = 8")
        settings = Settings.load(file, environ={"THORNBACK_ACTOR_SYSTEM__MAX_ACTORS": "9"})
        actors = settings.actor_system
        assert (actors.hosts, actors.max_actors, actors.mailbox_size) == (7, 9, 20_000)

    def test_two_variables_have_short_names(self) -> None:
        settings = Settings.load(environ={"NODE_ID": "n", "DATABASE_URL": "postgresql://h/d"})
        assert settings.event_bus.node_id == "n"
        assert settings.event_store.connection_string.get_secret_value() == "postgresql://h/d"

    def test_a_full_name_overrides_a_short_one(self) -> None:
        environ = {"THORNBACK_EVENT_BUS__NODE_ID": "full", "NODE_ID": "short"}
        assert Settings.load(environ=environ).event_bus.node_id == "full"

    def test_a_variable_may_name_the_file(self, file: Path) -> None:
        file.write_text("[metrics]\nport = 1")
        assert Settings.load(environ={"THORNBACK_CONFIG": str(file)}).metrics.port == 1

    def test_a_path_overrides_the_variable(self, file: Path) -> None:
        assert Settings.load(DEFAULT_FILE, environ={"THORNBACK_CONFIG": str(file)}) == Settings()

    def test_they_are_found_in_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        ports, origins = [], []
        for number, name in enumerate(("config/event_driven.toml", "thornback.toml"), 1):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(f"[metrics]\nport = {number}")
            loaded = Settings.load(environ={})
            ports.append(loaded.metrics.port)
            origins.append(loaded.origin("metrics", "port"))
        assert (ports, origins) == ([1, 2], ["config/event_driven.toml", "thornback.toml"])

    def test_one_in_the_working_directory_that_is_no_good_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "thornback.toml").mkdir()
        (problem,) = refused(None)
        assert (problem.origin, problem.found) == ("thornback.toml", "something that is no file")

    def test_each_value_says_where_it_came_from_also_after_a_trip(self, file: Path) -> None:
        file.write_text("[actor_system]\nhosts = 7\nmax_actors = 8")
        loaded = Settings.load(
            file, environ={"THORNBACK_ACTOR_SYSTEM__HOSTS": "9"}, metrics={"port": 0}
        )
        for settings in (
            loaded,
            Settings.model_validate_json(loaded.model_dump_json()),
            pickle.loads(pickle.dumps(loaded)),
        ):
            assert [
                settings.origin(*key.split("."))
                for key in (
                    "actor_system.hosts",
                    "actor_system.max_actors",
                    "actor_system.mailbox_size",
                    "metrics.port",
                )
            ] == [
                "environment variable THORNBACK_ACTOR_SYSTEM__HOSTS",
                str(file),
                BUILT_IN,
                "argument",
            ]

    def test_one_value_may_be_replaced_and_says_so(self) -> None:
        settings = Settings().replaced("metrics", "port", 5, "a test")
        assert settings.metrics.port == 5
        assert settings.origin("metrics", "port") == "a test"

    def test_the_default_files_alone_may_be_missing(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert Settings.load(environ={}) == Settings()
        assert refused(file) == (Problem(str(file), "", "no such file", "a readable TOML file"),)

    def test_without_an_environ_the_process_has_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("THORNBACK_METRICS__PORT", "2")
        assert Settings.load().metrics.port == 2
        assert Settings.load(environ={}).metrics.port == 9090

    def test_links_to_kubernetes_services_are_not_settings(self) -> None:
        links = {
            "THORNBACK_HEAD_SVC_SERVICE_HOST": "10.0.0.1",
            "THORNBACK_HEAD_SVC_SERVICE_PORT_METRICS": "9090",
            "THORNBACK_HEAD_SVC_PORT": "tcp://10.0.0.1:9090",
            "THORNBACK_PORT_9090_TCP_ADDR": "10.0.0.1",
        }
        assert Settings.load(environ=links) == Settings()


class TestTravel:
    """Settings go to other processes as JSON or pickle, whose environment is another."""

    SETTINGS = Settings.load(environ={key.variable: key.text for key in KEYS})

    @pytest.fixture(autouse=True)
    def another_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for key in KEYS:
            monkeypatch.setenv(key.variable, "wrong")
        monkeypatch.setenv("EVENT_BUS", '{"node_id": "wrong"}')
        monkeypatch.setenv("DATABASE_URL", "wrong")
        monkeypatch.setenv("THORNBACK_CONFIG", "wrong")

    def test_as_json(self) -> None:
        assert Settings.model_validate_json(self.SETTINGS.model_dump_json()) == self.SETTINGS

    def test_as_pickle(self) -> None:
        assert pickle.loads(pickle.dumps(self.SETTINGS)) == self.SETTINGS

    def test_as_plain_data(self) -> None:
        assert Settings.model_validate(self.SETTINGS.model_dump()) == self.SETTINGS

    def test_the_constructor_reads_no_environment(self) -> None:
        assert Settings().event_bus.node_id == "node-001"

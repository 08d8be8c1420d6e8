"""Settings: what each key takes, where values come from, how a refusal reads."""

import json
import pickle
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, ValidationError

from runtime.settings.settings import (
    BUILT_IN,
    DEFAULT_FILES,
    ConfigurationError,
    Expected,
    Problem,
    Settings,
    redacted_url,
)

DEFAULT_FILE = DEFAULT_FILES[-1]  #: the one that the checkout has

COUNT = "a whole number of at least 1"
PORT = "a whole number from 0 to 65535"
WORD = "text that is not empty and has no spaces or quotes"
URL = "a postgres:// or postgresql:// URL without spaces, or nothing"
SWITCH = "true or false"
STORES = '"postgres" or "memory"'
STRATEGIES = '"restart", "resume" or "stop"'
FOLDER = "the path of a folder of its own"
PLACES = 'a table of actor types, each "pooled" or "dedicated"'
MODULES = 'a list of module names, like ["examples.thermostat"]'


class Key(NamedTuple):
    """One key: a value for the environment and what it becomes, TOML it must refuse."""

    section: str
    name: str
    text: str
    value: object
    wrong: str
    expected: str

    def __str__(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        return f"THORNBACK_{self.section}__{self.name}".upper()

    def of(self, settings: Settings) -> Any:
        value = getattr(getattr(settings, self.section), self.name)
        return value.get_secret_value() if isinstance(value, SecretStr) else value


KEYS = [
    Key("event_bus", "node_id", "node-7", "node-7", "7", WORD),
    Key("event_bus", "buffer_size", "5", 5, '"5"', COUNT),
    Key("event_bus", "max_handlers_per_type", "5", 5, "5.0", COUNT),
    Key("event_bus", "metrics_enabled", "no", False, "1", SWITCH),
    Key("event_store", "type", "memory", "memory", "true", STORES),
    Key("event_store", "connection_string", "postgres://h/d", "postgres://h/d", "5", URL),
    Key("event_store", "data_folder", "/srv/data", Path("/srv/data"), "5", FOLDER),
    Key("event_store", "connection_pool_size", "5", 5, "[5]", COUNT),
    Key("event_store", "batch_size", "5", 5, "{}", COUNT),
    Key("event_store", "snapshot_frequency", "5", 5, "nan", COUNT),
    Key("actor_system", "namespace", "other", "other", "true", WORD),
    Key("actor_system", "hosts", "5", 5, "1979-05-27", COUNT),
    Key("actor_system", "max_actors", "5", 5, '"many"', COUNT),
    Key("actor_system", "actor_timeout_ms", "5", 5, "0.5", COUNT),
    Key("actor_system", "supervisor_strategy", "stop", "stop", "5", STRATEGIES),
    Key("actor_system", "mailbox_size", "5", 5, "true", COUNT),
    Key(
        "actor_system", "placement", '{"radar": "dedicated"}', {"radar": "dedicated"}, "[]", PLACES
    ),
    Key("actor_system", "actor_modules", '["one.two"]', ("one.two",), '"one.two"', MODULES),
    Key("processing", "pipeline_parallelism", "5", 5, '""', COUNT),
    Key("processing", "batch_processing_size", "5", 5, "false", COUNT),
    Key("processing", "processing_timeout_ms", "5", 5, "1e3", COUNT),
    Key("metrics", "port", "0", 0, '"9090"', PORT),
    Key("metrics", "host", "0.0.0.0", "0.0.0.0", "[]", WORD),
]

IMPOSSIBLE = [
    *[(str(key), "0", COUNT) for key in KEYS if key.expected == COUNT],
    ("event_bus.buffer_size", "-1", COUNT),
    *[
        (key, json.dumps(text), WORD)
        for key in ("event_bus.node_id", "actor_system.namespace", "metrics.host")
        for text in ("", " ", "node 1", "node\n", 'a"b', "a'b", "a\u00a0b", "\0")
    ],
    ("event_store.type", '"sqlite"', STORES),
    ("event_store.connection_string", '"mysql://h/d"', URL),
    ("event_store.connection_string", '"h/d"', URL),
    ("event_store.connection_string", '"postgresql://h/d\\n"', URL),
    ("event_store.data_folder", '""', FOLDER),
    ("event_store.data_folder", '"~no-such-user/data"', FOLDER),
    ("actor_system.supervisor_strategy", '"Restart"', STRATEGIES),
    ("actor_system.placement", '{ radar = "alone" }', PLACES),
    ("actor_system.placement", '{ "Not A Type" = "pooled" }', PLACES),
    ("actor_system.actor_modules", '["one two"]', MODULES),
    ("actor_system.actor_modules", '["one..two"]', MODULES),
    ("actor_system.actor_modules", "[1]", MODULES),
    ("metrics.port", "-1", PORT),
    ("metrics.port", "65536", PORT),
]

every_key = pytest.mark.parametrize("key", KEYS, ids=str)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.toml"


def described_sections() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in Settings.model_fields.items():
        yield name, type(field.default)


def refused(path: Path | None, environ: dict[str, str] | None = None, **overrides: Any) -> Any:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(path, environ=environ or {}, **overrides)
    return caught.value.problems


class TestTheShippedFile:
    def test_has_the_keys_of_the_model_in_the_same_order(self) -> None:
        shipped = tomllib.loads(DEFAULT_FILE.read_text())
        model = {name: list(section.model_fields) for name, section in described_sections()}
        assert {name: list(table) for name, table in shipped.items()} == model

    @every_key
    def test_has_the_defaults_of_the_model(self, key: Key) -> None:
        assert key.of(Settings.load(DEFAULT_FILE, environ={})) == key.of(Settings())

    @every_key
    def test_explains_every_key(self, key: Key) -> None:
        lines = DEFAULT_FILE.read_text().splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{key.name} = "))
        assert lines[at - 1].startswith("# ")

    def test_is_what_load_reads_when_nothing_else_is_named(self) -> None:
        assert Settings.load(environ={}) == Settings.load(DEFAULT_FILE, environ={})


class TestTheModel:
    def test_every_key_is_in_these_tests(self) -> None:
        model = [(name, key) for name, sec in described_sections() for key in sec.model_fields]
        assert [(key.section, key.name) for key in KEYS] == model

    @every_key
    def test_every_key_is_described_and_says_what_it_expects(self, key: Key) -> None:
        field = dict(described_sections())[key.section].model_fields[key.name]
        assert field.description
        assert Expected(key.expected) in field.metadata

    def test_is_frozen(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            Settings().metrics.port = 1  # type: ignore[misc]
        with pytest.raises(ValidationError, match="frozen"):
            Settings().metrics = Settings().metrics  # type: ignore[misc]

    def test_a_relative_data_folder_lies_where_the_program_was_started(self) -> None:
        settings = Settings.load(environ={}, event_store={"data_folder": ".data"})
        assert settings.event_store.data_folder == Path.cwd() / ".data"

    def test_a_data_folder_may_lie_in_the_home_folder(self) -> None:
        settings = Settings.load(environ={}, event_store={"data_folder": "~/data"})
        assert settings.event_store.data_folder == Path.home() / "data"


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


class TestRefusals:
    @every_key
    def test_a_wrong_type_in_the_file(self, key: Key, file: Path) -> None:
        file.write_text(f"[{key.section}]\n{key.name} = {key.wrong}")
        (problem,) = refused(file)
        assert (problem.origin, problem.key) == (str(file), str(key))
        assert problem.expected == key.expected

    @pytest.mark.parametrize(("key", "literal", "expected"), IMPOSSIBLE)
    def test_an_impossible_value(self, key: str, literal: str, expected: str, file: Path) -> None:
        section, name = key.split(".")
        file.write_text(f"[{section}]\n{name} = {literal}")
        (problem,) = refused(file)
        assert (problem.key, problem.expected) == (key, expected)

    @pytest.mark.parametrize(
        "key", [key for key in KEYS if key.expected not in (FOLDER, WORD)], ids=str
    )
    def test_a_wrong_variable_is_named(self, key: Key) -> None:
        (problem,) = refused(None, {key.variable: "not this"})
        assert problem.origin == f"environment variable {key.variable}"
        assert (problem.key, problem.expected) == (str(key), key.expected)

    @every_key
    def test_an_unknown_key_with_the_nearest(self, key: Key, file: Path) -> None:
        file.write_text(f"[{key.section}]\n{key.name}x = 5")
        (problem,) = refused(file)
        assert (problem.key, problem.found) == (f"{key}x", "no such key")
        assert problem.expected.endswith(f"; did you mean {key}?")

    @every_key
    def test_an_unknown_variable_with_the_nearest(self, key: Key) -> None:
        (problem,) = refused(None, {f"{key.variable}X": "5"})
        assert problem.origin == f"environment variable {key.variable}X"
        assert problem.expected.endswith(f"; did you mean {key.variable}?")

    @pytest.mark.parametrize(
        ("variable", "meant"),
        [
            ("THORNBACK_MAX_ACTORS", "THORNBACK_ACTOR_SYSTEM__MAX_ACTORS"),
            ("THORNBACK_ACTOR_SYSTEM_MAX_ACTORS", "THORNBACK_ACTOR_SYSTEM__MAX_ACTORS"),
            ("THORNBACK_metrics__port", "THORNBACK_METRICS__PORT"),
            ("THORNBACK_METRICS_PORT", "THORNBACK_METRICS__PORT"),
        ],
    )
    def test_a_variable_spelled_otherwise(self, variable: str, meant: str) -> None:
        (problem,) = refused(None, {variable: "5"})
        assert f"did you mean {meant}?" in problem.expected

    @pytest.mark.parametrize(
        ("text", "key", "found", "expected"),
        [
            ("[event_buss]\nnode_id = 5", "event_buss", "no such section", "mean event_bus?"),
            ("[event_buss]", "event_buss", "no such section", "mean event_bus?"),
            ("max_actors = 5", "max_actors", "no such section", "mean actor_system.max_actors?"),
            ("metrics = 9090", "metrics", "a single value", "a table of keys"),
            ("[[metrics]]\nport = 1", "metrics", "a single value", "a table of keys"),
            (
                "[event_bus]\nmax_actors = 5",
                "event_bus.max_actors",
                "no such key",
                "mean actor_system.max_actors?",
            ),
            ("[metrics]\nqqqqqq = 5", "metrics.qqqqqq", "no such key", "one of port, host"),
        ],
    )
    def test_what_is_in_the_wrong_place(
        self, text: str, key: str, found: str, expected: str, file: Path
    ) -> None:
        file.write_text(text)
        (problem,) = refused(file)
        assert (problem.key, problem.found) == (key, found)
        assert problem.expected.endswith(expected)

    def test_a_wrong_argument(self) -> None:
        (problem,) = refused(None, metrics={"port": "9090"})
        assert str(problem) == f'argument: metrics.port: found "9090", expected {PORT}'

    def test_everything_wrong_is_told_at_once_a_line_each(self, file: Path) -> None:
        file.write_text('[event_bus]\nbuffer_size = "ten"\nnode = 1\n[metrics]\nport = -1')
        with pytest.raises(ConfigurationError) as caught:
            Settings.load(file, environ={"NODE_ID": "", "THORNBACK_X": "1"})
        lines = str(caught.value).splitlines()
        assert len(lines) == len(caught.value.problems) == 5
        assert lines[0] == f'{file}: event_bus.buffer_size: found "ten", expected {COUNT}'
        assert lines[3] == (
            f'environment variable NODE_ID: event_bus.node_id: found "", expected {WORD}'
        )

    def test_a_value_that_is_overridden_is_still_refused(self, file: Path) -> None:
        file.write_text("[metrics]\nport = -1")
        (problem,) = refused(file, {"THORNBACK_METRICS__PORT": "1"})
        assert problem.origin == str(file)

    def test_a_file_that_is_not_toml_with_the_line(self, file: Path) -> None:
        file.write_text("[event_bus]\nnode_id = \nbuffer_size = 5\n")
        (problem,) = refused(file)
        assert problem.origin == str(file)
        assert "line 2" in problem.found
        assert problem.expected == "a readable TOML file"

    def test_a_file_that_is_not_text(self, file: Path) -> None:
        file.write_bytes(b"\xff\xfe")
        (problem,) = refused(file)
        assert "utf-8" in problem.found

    def test_a_folder_instead_of_a_file(self, tmp_path: Path) -> None:
        (problem,) = refused(tmp_path)
        assert problem.found == "something that is no file"

    def test_a_file_that_may_not_be_read(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def denied(*args: object, **options: object) -> None:
            raise PermissionError(13, "Permission denied")

        file.touch()
        monkeypatch.setattr(Path, "open", denied)
        (problem,) = refused(file)
        assert (problem.origin, problem.found) == (str(file), "Permission denied")

    @pytest.mark.parametrize("name", ["", "/no/such/file.toml"])
    def test_a_file_that_a_variable_names_wrongly(self, name: str) -> None:
        (problem,) = refused(None, {"THORNBACK_CONFIG": name})
        assert problem.origin == f"environment variable THORNBACK_CONFIG: {Path(name)}"

    def test_a_long_value_is_cut(self, file: Path) -> None:
        file.write_text(f'[event_store]\ntype = "{"x" * 1000}"')
        (problem,) = refused(file)
        assert len(problem.found) < 100

    def test_the_error_survives_pickle(self, file: Path) -> None:
        problems = refused(file)
        error = pickle.loads(pickle.dumps(ConfigurationError(*problems)))
        assert error.problems == problems
        assert str(error) == str(ConfigurationError(*problems))


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


class TestPasswords:
    URL = "postgresql://user:s3cret@host/db"

    def test_are_not_in_the_repr_or_the_plain_data(self) -> None:
        settings = Settings.load(environ={"DATABASE_URL": self.URL})
        assert "s3cret" not in repr(settings) + str(settings) + str(settings.model_dump())

    def test_are_in_the_json(self) -> None:
        settings = Settings.load(environ={"DATABASE_URL": self.URL})
        assert (
            json.loads(settings.model_dump_json())["event_store"]["connection_string"] == self.URL
        )

    @pytest.mark.parametrize(
        "text",
        [
            '[event_store]\nconnection_string = "mysql://user:s3cret@host/db"',
            '[event_store]\nconnection_string = "s3cret"',
            '[event_store]\nconnection_string = ["postgresql://user:s3cret@host/db"]',
            '[event_store]\nconection_string = "postgresql://user:s3cret@host/db"',
            'event_store = "postgresql://user:s3cret@host/db"',
            'connection_string = "postgresql://user:s3cret@host/db"',
        ],
    )
    def test_are_not_in_errors(self, text: str, file: Path) -> None:
        file.write_text(text)
        with pytest.raises(ConfigurationError) as caught:
            Settings.load(file, environ={"DATABASE_URL": "redis://user:s3cret@host"})
        assert "s3cret" not in str(caught.value) + repr(caught.value)

    def test_are_not_in_what_pydantic_says(self) -> None:
        with pytest.raises(ValidationError) as caught:
            Settings.model_validate({"event_store": {"connection_string": "x://u:s3cret@h"}})
        assert "s3cret" not in str(caught.value)

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("", ""),
            ("postgresql://host/db", "postgresql://host/db"),
            ("postgresql://user@host:5432/db", "postgresql://user@host:5432/db"),
            ("postgresql://user:pw@host:5432/db", "postgresql://user:***@host:5432/db"),
            ("postgresql://user:p/w?#@host/db", "postgresql://user:***@host/db"),
            ("postgresql://me@corp:pw@host/db", "postgresql://me@corp:***@host/db"),
            ("postgresql://h/db?a=b&password=p%20w&c=d", "postgresql://h/db?a=b&password=***&c=d"),
            ("postgresql://h/db?sslpassword=pw", "postgresql://h/db?sslpassword=***"),
            ("host=h password=pw", "***"),
        ],
    )
    def test_are_redacted_in_a_url(self, url: str, shown: str) -> None:
        assert redacted_url(url) == shown

    @given(user=st.text("ab@/?#%&=.", max_size=5), middle=st.text("ab:@/?#%&= \n", max_size=12))
    def test_are_redacted_whatever_they_are(self, user: str, middle: str) -> None:
        shown = redacted_url(f"postgresql://{user}:S3cr{middle}Et@host/db")
        assert "S3cr" not in shown
        assert "Et" not in shown

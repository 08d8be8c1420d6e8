"""Settings: what each key takes, how a refusal reads, and that passwords are not shown."""

import json
import pickle
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from runtime.settings.settings import (
    DEFAULT_FILES,
    ConfigurationError,
    Expected,
    Settings,
    redacted_url,
)
from tests.unit.setting_keys import (
    COUNT,
    FILE_OR_NONE,
    FOLDER,
    KEYS,
    MODULES,
    PLACES,
    PORT,
    STORES,
    STRATEGIES,
    URL,
    WORD,
    Key,
    every_key,
    refused,
)

DEFAULT_FILE = DEFAULT_FILES[-1]  #: the one that the checkout has


IMPOSSIBLE = [
    *[(str(key), "0", COUNT) for key in KEYS if key.expected == COUNT],
    ("event_bus.buffer_size", "-1", COUNT),
    *[
        (key, json.dumps(text), WORD)
        for key in ("event_bus.node_id", "actor_system.namespace", "metrics.host", "gateway.host")
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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.toml"


def described_sections() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in Settings.model_fields.items():
        yield name, type(field.default)


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
        "key", [key for key in KEYS if key.expected not in (FILE_OR_NONE, FOLDER, WORD)], ids=str
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
            ("[metrics]\nqqqqqq = 5", "metrics.qqqqqq", "no such key", "one of port, host, labels"),
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


def test_the_number_of_partitions_comes_from_the_environment_too() -> None:
    name = "THORNBACK_EVENT_STORE__PARTITIONS"
    assert Settings.load(None, environ={name: "4"}).event_store.partitions == 4
    with pytest.raises(ConfigurationError, match=r"found 3, expected 1, 2, 4, 8 or 16"):
        Settings.load(None, environ={name: "3"})

"""Settings: one TOML file, overridden by the environment, overridden by arguments.

Every value is checked together with where it came from, so that a refusal names the
file or the environment variable, the key, what was found and what was expected. Only
`Settings.load` reads the environment; a Settings object made in any other way (from
JSON in a Ray actor, by its constructor) is what it was given and nothing else.
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from actors.errors import InvalidName
from actors.naming import checked_type_name

PROJECT_ROOT = Path(__file__).resolve().parent.parent
DEFAULT_FILE = PROJECT_ROOT / "config" / "event_driven.toml"

PREFIX = "THORNBACK_"
FILE_VARIABLE = "THORNBACK_CONFIG"

_SHOWN_CHARS = 80  #: of a wrong value, in an error

#: What Kubernetes adds to every pod beside a Service named thornback...: not meant for us.
_SERVICE_LINK = re.compile(
    r"THORNBACK_\w*(SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_(TCP|UDP|SCTP)\w*)=.*"
    r"|THORNBACK_\w*PORT=(tcp|udp|sctp)://.*"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in the configuration; a line of a ConfigurationError."""

    origin: str  #: the file's path, "environment variable NAME" or "argument"
    key: str  #: section.key; a section alone, or empty when the whole file is meant
    found: str  #: never a password
    expected: str

    def __str__(self) -> str:
        place = f"{self.origin}: {self.key}" if self.key else self.origin
        return f"{place}: found {self.found}, expected {self.expected}"


class ConfigurationError(Exception):
    """The settings cannot be used. `problems` has everything that was wrong, in order."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def redacted_url(url: str) -> str:
    """`url` with its passwords as `***`: after the user's name and in the query.

    Hides too much rather than too little where a password is not percent-encoded; text
    that is no URL is hidden as a whole. Not promised: that the result can be parsed.
    """
    parts = re.fullmatch(r"([A-Za-z][\w+.-]*://)(.*)", url, re.DOTALL)
    if parts is None:
        return "***" if url else ""
    shown = re.sub(r"(?i)(password=)[^&\s]*", r"\1***", parts[2])
    return parts[1] + re.sub(r"^([^:]*):.*@", r"\1:***@", shown, flags=re.DOTALL)


@dataclass(frozen=True, slots=True)
class Expected:
    """In an annotation: what values of this type are, in words for a ConfigurationError."""

    words: str


def _postgres_url_or_empty(url: SecretStr) -> SecretStr:
    if re.fullmatch(r"(postgres(ql)?://\S*)?", url.get_secret_value()) is None:
        raise ValueError("not a PostgreSQL URL")
    return url


def _from_project_root(folder: Path) -> Path:
    if folder == Path():
        raise ValueError("data does not lie among the project's own files")
    try:
        return PROJECT_ROOT / folder.expanduser()
    except RuntimeError as error:  # ~somebody without a home
        raise ValueError(str(error)) from error


def _actor_type(name: str) -> str:
    try:
        return checked_type_name(name)
    except InvalidName as error:
        raise ValueError(str(error)) from error


Switch = Annotated[bool, Expected("true or false")]
Count = Annotated[int, Field(ge=1), Expected("a whole number of at least 1")]
Port = Annotated[int, Field(ge=0, le=65535), Expected("a whole number from 0 to 65535")]
Word = Annotated[
    str,
    Field(pattern=r"""^[^\s\x00-\x1f\x7f"'`]+$"""),
    Expected("text that is not empty and has no spaces or quotes"),
]
Folder = Annotated[
    Path,
    Field(strict=False),
    AfterValidator(_from_project_root),
    Expected("the path of a folder of its own"),
]
ConnectionString = Annotated[
    SecretStr,
    AfterValidator(_postgres_url_or_empty),
    PlainSerializer(SecretStr.get_secret_value, return_type=str, when_used="json"),
    Expected("a postgres:// or postgresql:// URL without spaces, or nothing"),
]
StoreType = Literal["postgres", "memory"]
SupervisorStrategy = Literal["restart", "resume", "stop"]
Placement = Literal["pooled", "dedicated"]
Placements = Annotated[
    Mapping[Annotated[str, AfterValidator(_actor_type)], Placement],
    Expected('a table of actor types, each "pooled" or "dedicated"'),
]
ModuleNames = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*$")], ...],
    Field(strict=False),
    Expected('a list of module names, like ["examples.thermostat"]'),
]


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_default=True, hide_input_in_errors=True
    )


class EventBusSettings(_Section):
    node_id: Word = Field(
        "node-001", description="first part of this system's node names in vector clocks"
    )
    buffer_size: Count = Field(
        10_000, description="events the bus keeps in memory for its subscribers"
    )
    max_handlers_per_type: Count = Field(
        10, description="pipeline handlers that may listen to one event type"
    )
    metrics_enabled: Switch = Field(True, description="whether processes keep and report metrics")


class EventStoreSettings(_Section):
    type: Annotated[StoreType, Expected('"postgres" or "memory"')] = Field(
        "postgres", description="where the log is; memory is lost when its writer stops"
    )
    connection_string: ConnectionString = Field(
        SecretStr(""), description="PostgreSQL's URL; empty: an embedded one is started"
    )
    data_folder: Folder = Field(
        Path("~/.local/share/thornback"), description="home of the embedded PostgreSQL"
    )
    connection_pool_size: Count = Field(20, description="connections one process may open")
    batch_size: Count = Field(5_000, description="events in one commit at most")
    snapshot_frequency: Count = Field(1_000, description="events between snapshots of one actor")


class ActorSystemSettings(_Section):
    namespace: Word = Field("thornback", description="Ray namespace of all named actors")
    hosts: Count = Field(2, description="pooled hosts")
    max_actors: Count = Field(100_000, description="actors resident in one host")
    actor_timeout_ms: Count = Field(5_000, description="milliseconds a reply is waited for")
    supervisor_strategy: Annotated[
        SupervisorStrategy, Expected('"restart", "resume" or "stop"')
    ] = Field("restart", description="what happens to an actor whose handler failed")
    mailbox_size: Count = Field(20_000, description="commands one host holds unanswered")
    placement: Placements = Field(
        default_factory=dict, description="actor type -> pooled or dedicated host"
    )
    actor_modules: ModuleNames = Field((), description="modules every host imports at start")


class ProcessingSettings(_Section):
    pipeline_parallelism: Count = Field(8, description="batches one pipeline works on at a time")
    batch_processing_size: Count = Field(50, description="events in one batch of a pipeline")
    processing_timeout_ms: Count = Field(
        1_000, description="milliseconds a pipeline may spend on one batch"
    )


class MetricsSettings(_Section):
    port: Port = Field(9_090, description="port of the Prometheus exporter; 0 turns it off")
    host: Word = Field("127.0.0.1", description="address the exporter listens on")


class Settings(BaseSettings):
    """Every setting of the system. Frozen, picklable, and the same after a trip as JSON.

    The JSON and the pickle contain the database password; repr and errors do not.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True
    )

    event_bus: EventBusSettings = EventBusSettings()
    event_store: EventStoreSettings = EventStoreSettings()
    actor_system: ActorSystemSettings = ActorSystemSettings()
    processing: ProcessingSettings = ProcessingSettings()
    metrics: MetricsSettings = MetricsSettings()

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        **overrides: Mapping[str, Any],
    ) -> Self:
        """Arguments over environment over file over defaults, key by key.

        `path` is the file, otherwise what THORNBACK_CONFIG names, otherwise
        config/event_driven.toml, which alone may be missing. `environ` stands in for the
        process's environment; an `override` is a section: `actor_system={"hosts": 4}`.
        Raises ConfigurationError. A value is refused even where another overrides it.
        """
        variables = os.environ if environ is None else environ
        given = [
            *_flattened(*_read_file(path, variables)),
            *_from_environment(variables),
            *_flattened("argument", overrides),
        ]
        problems = [problem for each in given if (problem := _problem(each)) is not None]
        problems += _unknown_variables(variables)
        if problems:
            raise ConfigurationError(*problems)
        sections: dict[str, Any] = defaultdict(dict)
        for each in given:
            sections[each.section][each.key] = each.value
        return cls(**sections)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The constructor's arguments alone: `load` is what reads the environment."""
        return (init_settings,)


_SECTIONS: dict[str, type[BaseModel]] = {
    name: type(field.default) for name, field in Settings.model_fields.items()
}
#: The short names first: where both are set, the full one wins.
_VARIABLES: dict[str, tuple[str, str]] = {
    "NODE_ID": ("event_bus", "node_id"),
    "DATABASE_URL": ("event_store", "connection_string"),
} | {
    f"{PREFIX}{section}__{key}".upper(): (section, key)
    for section, model in _SECTIONS.items()
    for key in model.model_fields
}


@dataclass(frozen=True, slots=True)
class _Given:
    """A value and where it came from; `key` is None where a section should have been."""

    origin: str
    section: str
    key: str | None
    value: Any


def _read_file(path: Path | None, variables: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The file's name for errors and its content."""
    named = path if path is not None else variables.get(FILE_VARIABLE)
    file = DEFAULT_FILE if named is None else Path(named)
    try:
        if file.is_file():
            return str(file), TomlConfigSettingsSource(Settings, file).toml_data
        found = "something that is no file" if file.exists() else "no such file"
    except OSError as error:
        found = error.strerror or "it unreadable"
    except ValueError as error:  # not TOML, or not UTF-8
        found = str(error)
    if named is None and found == "no such file":
        return str(file), {}
    origin = "" if named is None or path is not None else f"environment variable {FILE_VARIABLE}: "
    raise ConfigurationError(Problem(f"{origin}{file}", "", found, "a readable TOML file"))


def _flattened(origin: str, sections: Mapping[str, Any]) -> Iterator[_Given]:
    for section, table in sections.items():
        if section in _SECTIONS and isinstance(table, Mapping):
            yield from (_Given(origin, section, key, value) for key, value in table.items())
        else:
            yield _Given(origin, section, None, table)


def _from_environment(variables: Mapping[str, str]) -> Iterator[_Given]:
    for name, (section, key) in _VARIABLES.items():
        if name in variables:
            field = _SECTIONS[section].model_fields[key]
            value = _decoded(field, variables[name])
            yield _Given(f"environment variable {name}", section, key, value)


def _decoded(field: FieldInfo, text: str) -> object:
    """A variable's text as its key's type; tables and lists are JSON. Text if it cannot be."""
    annotation: Any = field.annotation
    try:
        if get_origin(annotation) in (Mapping, tuple):
            return json.loads(text)
        return TypeAdapter(annotation).validate_strings(text)
    except ValueError:
        return text


def _unknown_variables(variables: Mapping[str, str]) -> Iterator[Problem]:
    known = {name.removeprefix(PREFIX): name for name in _VARIABLES if name.startswith(PREFIX)}
    for name in sorted(variables.keys() - _VARIABLES.keys() - {FILE_VARIABLE}):
        if name.startswith(PREFIX) and not _SERVICE_LINK.fullmatch(f"{name}={variables[name]}"):
            near = get_close_matches(name.removeprefix(PREFIX).upper(), known, n=1, cutoff=0.5)
            hint = f"; did you mean {known[near[0]]}?" if near else ""
            key = name.removeprefix(PREFIX).lower().replace("__", ".", 1)
            yield Problem(
                f"environment variable {name}", key, "no such key", f"{PREFIX}SECTION__KEY{hint}"
            )


def _problem(given: _Given) -> Problem | None:
    model = _SECTIONS.get(given.section)
    if model is None:
        expected = _one_of(_SECTIONS, given.section)
        return Problem(given.origin, given.section, "no such section", expected)
    if given.key is None:
        return Problem(given.origin, given.section, "a single value", "a table of keys")
    key = f"{given.section}.{given.key}"
    if given.key not in model.model_fields:
        expected = _one_of(model.model_fields, given.key)
        return Problem(given.origin, key, "no such key", expected)
    try:
        model.model_validate({given.key: given.value})
        return None
    except ValidationError:
        field = model.model_fields[given.key]
        return Problem(given.origin, key, _shown(field, given.value), _expected(field))


def _one_of(names: Iterable[str], unknown: str) -> str:
    """`names`, and the nearest to `unknown` among them and the keys of all sections."""
    homes = {key: f"{section}.{key}" for section, key in _VARIABLES.values()}
    near = get_close_matches(unknown, [*names, *homes], n=1)
    hint = f"; did you mean {homes.get(near[0], near[0])}?" if near else ""
    return f"one of {', '.join(names)}{hint}"


def _shown(field: FieldInfo, value: object) -> str:
    """The value as it might stand in the file, on one line; a secret without its password."""
    if field.annotation is SecretStr:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        value = redacted_url(text) if isinstance(text, str) else type(text).__name__
    text = json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def _expected(field: FieldInfo) -> str:
    return next(each.words for each in field.metadata if isinstance(each, Expected))

"""Settings: one TOML file, overridden by the environment, overridden by arguments.

Every key is here, with its type, its default and what it does; runtime/settings/configuration.py
reads and checks them. Only `Settings.load` reads the environment; a Settings object made
in any other way (from JSON in a Ray actor, by its constructor) is what it was given and
nothing else.
"""

import json
import logging
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import (
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from runtime.settings.configuration import ConfigurationError as ConfigurationError
from runtime.settings.configuration import Expected as Expected
from runtime.settings.configuration import Keys, read_file
from runtime.settings.configuration import Problem as Problem
from runtime.settings.configuration import redacted_url as redacted_url
from runtime.settings.sections import (
    ActorSystemSettings,
    EventBusSettings,
    EventStoreSettings,
    GatewaySettings,
    MetricsSettings,
    ProcessingSettings,
    TransportSettings,
)

logger = logging.getLogger("thornback.settings")

#: Relative to the folder in which a program is started, like every path of the settings:
#: where the package itself lies says nothing about whose settings are meant. The first that
#: is there is read.
DEFAULT_FILES = (Path("thornback.toml"), Path("config/event_driven.toml"))

#: Where a value comes from that nobody has given.
BUILT_IN = "default"

#: The files of calls between machines, by key of `transport`, and the variables in which Ray has
#: those of its own TLS, on each machine.
FILES_OF_TLS = {
    "certificate": "RAY_TLS_SERVER_CERT",
    "key": "RAY_TLS_SERVER_KEY",
    "ca": "RAY_TLS_CA_CERT",
}

_ORIGINS = "origins"  #: beside the sections, in the JSON alone


class TlsFile(NamedTuple):
    """A file of calls between machines, as it is named on this machine."""

    key: str  #: of `transport`
    path: str  #: empty: it is not named
    origin: str


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
    transport: TransportSettings = TransportSettings()
    processing: ProcessingSettings = ProcessingSettings()
    metrics: MetricsSettings = MetricsSettings()
    gateway: GatewaySettings = GatewaySettings()

    #: By section.key: where each value came from that is not built in. It travels along, and
    #: makes no difference between settings that are otherwise the same.
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        **overrides: Mapping[str, Any],
    ) -> Self:
        """Arguments over environment over file over defaults, key by key.

        `path` is the file, otherwise what THORNBACK_CONFIG names, otherwise thornback.toml or
        config/event_driven.toml in the working directory, which alone may be missing.
        `environ` stands in for the process's environment; an `override` is a section:
        `actor_system={"hosts": 4}`. Raises ConfigurationError. A value is refused even where
        another overrides it.
        """
        variables = os.environ if environ is None else environ
        given = [
            *_KEYS.flattened(*read_file(path, variables, DEFAULT_FILES)),
            *_KEYS.from_environment(variables),
            *_KEYS.flattened("argument", overrides),
        ]
        problems = [problem for each in given if (problem := _KEYS.problem(each)) is not None]
        problems += _KEYS.unknown_variables(variables)
        if problems:
            raise ConfigurationError(*problems)
        for said in _KEYS.nearly_meant(variables):
            _say_once(said)
        sections: dict[str, Any] = defaultdict(dict)
        for each in given:
            sections[each.section][each.key] = each.value
        loaded = cls(**sections)
        loaded._origins.update((f"{each.section}.{each.key}", each.origin) for each in given)
        if (problem := loaded._rests_problem()) is not None:
            raise ConfigurationError(problem)
        return loaded

    def origin(self, section: str, key: str) -> str:
        """Where a value came from: a file's path, "environment variable NAME", "argument",
        or BUILT_IN, which is also said of what a constructor was given."""
        return self._origins.get(f"{section}.{key}", BUILT_IN)

    def tls_files(self, environ: Mapping[str, str] | None = None) -> Sequence[TlsFile]:
        """Certificate, key and CA of calls between machines, in this order. What the settings do
        not name is where Ray's own TLS has it on this machine, by the environment here."""
        variables = os.environ if environ is None else environ
        found = []
        for key, variable in FILES_OF_TLS.items():
            if path := getattr(self.transport, key):
                found.append(TlsFile(key, path, self.origin("transport", key)))
            else:
                origin = f"environment variable {variable}"
                found.append(TlsFile(key, variables.get(variable, ""), origin))
        return found

    def replaced(self, section: str, key: str, value: Any, origin: str) -> Self:
        """The same settings but for one value."""
        plain = json.loads(self.model_dump_json())
        plain[section][key] = value
        plain[_ORIGINS][f"{section}.{key}"] = origin
        return self.model_validate_json(json.dumps(plain))

    def _rests_problem(self) -> Problem | None:
        """Is the longest rest of processes shorter than the first one?"""
        system, first, longest = self.actor_system, "process_backoff_ms", "process_max_backoff_ms"
        if system.process_max_backoff_ms >= system.process_backoff_ms:
            return None
        origin = self.origin("actor_system", longest)
        if origin == BUILT_IN:
            expected = f"at most {longest}, which is {system.process_max_backoff_ms} unless said"
            origin = self.origin("actor_system", first)
            found = str(system.process_backoff_ms)
            return Problem(origin, f"actor_system.{first}", found, expected)
        expected = f"at least {first}, which is {system.process_backoff_ms}"
        found = str(system.process_max_backoff_ms)
        return Problem(origin, f"actor_system.{longest}", found, expected)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    @model_serializer(mode="wrap")
    def _with_origins(
        self, dump: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        plain: dict[str, Any] = dump(self)
        return {**plain, _ORIGINS: dict(self._origins)} if info.mode == "json" else plain

    @model_validator(mode="wrap")
    @classmethod
    def _from_json(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        origins: dict[str, str] = {}
        if isinstance(data, dict) and _ORIGINS in data:
            data = dict(data)
            origins = data.pop(_ORIGINS)
        made = validate(data)
        made._origins.update(origins)
        return made

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


@cache
def _say_once(text: str) -> None:
    """Settings are loaded again and again."""
    logger.warning("%s", text)


_KEYS = Keys(
    sections={name: type(field.default) for name, field in Settings.model_fields.items()},
    short_names={
        "NODE_ID": ("event_bus", "node_id"),
        "DATABASE_URL": ("event_store", "connection_string"),
    },
)

"""Every key of the settings: what it takes, and TOML that it refuses."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr

from runtime.settings.settings import (
    ConfigurationError,
    Settings,
)

COUNT = "a whole number of at least 1"


SILENCE = "a whole number of at least 1000"


PORT = "a whole number from 0 to 65535"


WORD = "text that is not empty and has no spaces or quotes"


URL = "a postgres:// or postgresql:// URL without spaces, or nothing"


SWITCH = "true or false"


BETWEEN = '"ray" or "tls"'


PARTITIONS = "1, 2, 4, 8 or 16"


PARTITION = "a whole number from 0 to 15"


STORES = '"postgres" or "memory"'


STRATEGIES = '"restart", "resume", "stop" or "escalate"'
WARN_OR_REFUSE = '"warn" or "refuse"'

ON_FAILURE = '"park", "skip" or "pause"'


FOLDER = "the path of a folder of its own"


PLACES = 'a table of actor types (Charger.actor_type), each "pooled" or "dedicated"'


LABELS = 'a table of labels of Ray, like { zone = "a" }'


FILE_OR_NONE = "the path of a file, or nothing"


COUNT_OR_NONE = "a whole number of at least 0"


UP_TO_SIXTEEN = "a whole number from 0 to 16"


URLS = "a list of postgres:// or postgresql:// URLs"


MODULES = 'a list of module names, like ["examples.thermostat"]'


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


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
        if isinstance(value, tuple):
            return tuple(map(_plain, value))
        return _plain(value)


KEYS = [
    Key("event_bus", "node_id", "node-7", "node-7", "7", WORD),
    Key("event_bus", "buffer_size", "5", 5, '"5"', COUNT),
    Key("event_bus", "max_handlers_per_type", "5", 5, "5.0", COUNT),
    Key("event_bus", "metrics_enabled", "no", False, "1", SWITCH),
    Key("event_store", "type", "memory", "memory", "true", STORES),
    Key("event_store", "connection_string", "postgres://h/d", "postgres://h/d", "5", URL),
    Key("event_store", "data_folder", "/srv/data", Path("/srv/data"), "5", FOLDER),
    Key("event_store", "partitions", "4", 4, "3", PARTITIONS),
    Key("event_store", "partition", "3", 3, "16", PARTITION),
    Key("event_store", "partition_urls", '["postgres://h/d"]', ("postgres://h/d",), "5", URLS),
    Key("event_store", "connection_pool_size", "5", 5, "[5]", COUNT),
    Key("event_store", "batch_size", "5", 5, "{}", COUNT),
    Key("event_store", "snapshot_frequency", "5", 5, "nan", COUNT),
    Key("actor_system", "namespace", "other", "other", "true", WORD),
    Key("actor_system", "hosts", "5", 5, "1979-05-27", COUNT),
    Key("actor_system", "max_actors", "5", 5, '"many"', COUNT),
    Key("actor_system", "max_idle_ms", "60000", 60_000, "-1", COUNT_OR_NONE),
    Key("actor_system", "actor_timeout_ms", "5", 5, "0.5", COUNT),
    Key("actor_system", "supervisor_strategy", "stop", "stop", "5", STRATEGIES),
    Key("actor_system", "changed_schemas", "refuse", "refuse", "true", WARN_OR_REFUSE),
    Key("actor_system", "mailbox_size", "5", 5, "true", COUNT),
    Key("actor_system", "process_restarts", "3", 3, "0", COUNT),
    Key("actor_system", "process_period_ms", "500", 500, "0", COUNT),
    Key("actor_system", "process_backoff_ms", "0", 0, "-1", COUNT_OR_NONE),
    Key("actor_system", "process_max_backoff_ms", "200", 200, "-1", COUNT_OR_NONE),
    Key("actor_system", "spare_processes", "0", 0, "17", UP_TO_SIXTEEN),
    Key(
        "actor_system", "placement", '{"radar": "dedicated"}', {"radar": "dedicated"}, "[]", PLACES
    ),
    Key("actor_system", "promote_at", "500", 500, "-1", COUNT_OR_NONE),
    Key("actor_system", "host_labels", '{"zone": "a"}', {"zone": "a"}, "{ zone = 1 }", LABELS),
    Key("actor_system", "core_labels", '{"x.io/a": "b"}', {"x.io/a": "b"}, '{ "" = "a" }', LABELS),
    Key("actor_system", "actor_modules", '["one.two"]', ("one.two",), '"one.two"', MODULES),
    Key("transport", "between_machines", "tls", "tls", "true", BETWEEN),
    Key("transport", "certificate", "/a/c.pem", "/a/c.pem", "5", FILE_OR_NONE),
    Key("transport", "key", "/a/k.pem", "/a/k.pem", "[]", FILE_OR_NONE),
    Key("transport", "ca", "/a/ca.pem", "/a/ca.pem", "5", FILE_OR_NONE),
    Key("processing", "pipeline_parallelism", "5", 5, '""', COUNT),
    Key("processing", "batch_processing_size", "5", 5, "false", COUNT),
    Key("processing", "processing_timeout_ms", "5", 5, "1e3", COUNT),
    Key("processing", "on_failure", "skip", "skip", "5", ON_FAILURE),
    Key("processing", "failure_tries", "5", 5, "1.5", COUNT),
    Key("processing", "failure_backoff_ms", "5", 5, '"400"', COUNT),
    Key("processing", "max_parked_keys", "5", 5, "true", COUNT),
    Key("processing", "member_timeout_ms", "1000", 1_000, "999", SILENCE),
    Key("metrics", "port", "0", 0, '"9090"', PORT),
    Key("metrics", "host", "0.0.0.0", "0.0.0.0", "[]", WORD),
    Key("metrics", "labels", '{"zone": "c"}', {"zone": "c"}, "{ zone = 3 }", LABELS),
    Key("gateway", "enabled", "no", False, "1", SWITCH),
    Key("gateway", "labels", '{"zone": "b"}', {"zone": "b"}, "{ zone = 2 }", LABELS),
    Key("gateway", "port", "0", 0, '"8080"', PORT),
    Key("gateway", "host", "::1", "::1", "[]", WORD),
    Key("gateway", "tls_certificate", "/a/c.pem", "/a/c.pem", "5", FILE_OR_NONE),
    Key("gateway", "tls_key", "/a/k.pem", "/a/k.pem", "[]", FILE_OR_NONE),
    Key("gateway", "tokens_required", "yes", True, "0", SWITCH),
    Key("gateway", "token_rate", "5", 5, "-1", COUNT_OR_NONE),
    Key("gateway", "body_limit", "5", 5, "0.5", COUNT),
    Key("gateway", "read_timeout_ms", "5", 5, "{}", COUNT),
    Key("gateway", "heartbeat_ms", "5", 5, "[]", COUNT),
    Key("gateway", "max_connections", "5", 5, "0", COUNT),
    Key("gateway", "max_requests", "5", 5, "true", COUNT),
    Key("gateway", "max_streams", "5", 5, '"5"', COUNT),
    Key("gateway", "access_log", "yes", True, "0", SWITCH),
]


every_key = pytest.mark.parametrize("key", KEYS, ids=str)


def refused(path: Path | None, environ: dict[str, str] | None = None, **overrides: Any) -> Any:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(path, environ=environ or {}, **overrides)
    return caught.value.problems

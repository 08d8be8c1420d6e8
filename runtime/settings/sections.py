"""The sections of the settings: every key with its type, default and meaning."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, SecretStr

from actors.errors import InvalidName
from actors.naming import checked_type_name
from runtime.settings.configuration import ConfigurationError as ConfigurationError
from runtime.settings.configuration import Expected as Expected
from runtime.settings.configuration import Problem as Problem
from runtime.settings.configuration import redacted_url as redacted_url
from streams.failures import OnFailure


def _postgres_url_or_empty(url: SecretStr) -> SecretStr:
    if re.fullmatch(r"(postgres(ql)?://\S*)?", url.get_secret_value()) is None:
        raise ValueError("not a PostgreSQL URL")
    return url


def _from_here(folder: Path) -> Path:
    if folder == Path():
        raise ValueError("data does not lie among a project's own files")
    try:
        return Path.cwd() / folder.expanduser()
    except RuntimeError as error:  # ~somebody without a home
        raise ValueError(str(error)) from error


def _file_from_here(path: str) -> str:
    if not path:
        return path
    if "\0" in path:
        raise ValueError("no path has a NUL")
    try:
        return str(Path.cwd() / Path(path).expanduser())
    except RuntimeError as error:  # ~somebody without a home
        raise ValueError(str(error)) from error


def _actor_type(name: str) -> str:
    try:
        return checked_type_name(name)
    except InvalidName as error:
        raise ValueError(str(error)) from error


def _power_of_two(number: int) -> int:
    if number & (number - 1):
        raise ValueError("no power of two")
    return number


Switch = Annotated[bool, Expected("true or false")]

Count = Annotated[int, Field(ge=1), Expected("a whole number of at least 1")]

#: Whoever has to say something ten times in it does so ten times a second at most.
Lapse = Annotated[int, Field(ge=1_000), Expected("a whole number of at least 1000")]

CountOrNone = Annotated[int, Field(ge=0), Expected("a whole number of at least 0")]

Port = Annotated[int, Field(ge=0, le=65535), Expected("a whole number from 0 to 65535")]

Word = Annotated[
    str,
    Field(pattern=r"""^[^\s\x00-\x1f\x7f"'`]+$"""),
    Expected("text that is not empty and has no spaces or quotes"),
]

Folder = Annotated[
    Path,
    Field(strict=False),
    AfterValidator(_from_here),
    Expected("the path of a folder of its own"),
]

FileOrNone = Annotated[
    str, AfterValidator(_file_from_here), Expected("the path of a file, or nothing")
]

ConnectionString = Annotated[
    SecretStr,
    AfterValidator(_postgres_url_or_empty),
    PlainSerializer(SecretStr.get_secret_value, return_type=str, when_used="json"),
    Expected("a postgres:// or postgresql:// URL without spaces, or nothing"),
]

#: One each for several partitions.
ConnectionStrings = Annotated[
    tuple[ConnectionString, ...],
    Field(strict=False),
    Expected("a list of postgres:// or postgresql:// URLs"),
]

StoreType = Literal["postgres", "memory"]

#: Of a source's hash so many bits are its partition.
PartitionCount = Annotated[
    int, Field(ge=1, le=16), AfterValidator(_power_of_two), Expected("1, 2, 4, 8 or 16")
]

BetweenMachines = Literal["ray", "tls"]

SupervisorStrategy = Literal["restart", "resume", "stop", "escalate"]

ChangedSchemas = Literal["warn", "refuse"]

Placement = Literal["pooled", "dedicated"]

Placements = Annotated[
    Mapping[Annotated[str, AfterValidator(_actor_type)], Placement],
    Expected('a table of actor types (Charger.actor_type), each "pooled" or "dedicated"'),
]

#: As Kubernetes and Ray have them: `in(...)` and `!...` are conditions and no labels.
Labels = Annotated[
    Mapping[
        Annotated[
            str, Field(pattern=r"^([a-zA-Z0-9.-]+/)?[a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?$")
        ],
        Annotated[str, Field(pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?$", max_length=63)],
    ],
    Expected('a table of labels of Ray, like { zone = "a" }'),
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
        100_000, description="events the bus keeps in memory for its subscribers"
    )
    max_handlers_per_type: Count = Field(
        10, description="handlers that may listen to one event type"
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
    partitions: PartitionCount = Field(
        1, description="logs of their own, each with a writer and a bus; fixed once there is one"
    )
    partition: Annotated[int, Field(ge=0, le=15), Expected("a whole number from 0 to 15")] = Field(
        0, description="which of them these settings are of; launching the system sets it"
    )
    partition_urls: ConnectionStrings = Field(
        (), description="URLs of the other partitions' databases, in their order; none: beside it"
    )
    connection_pool_size: Count = Field(20, description="connections one process may open")
    batch_size: Count = Field(5_000, description="events in one commit at most")
    snapshot_frequency: Count = Field(1_000, description="events between snapshots of one actor")


class ActorSystemSettings(_Section):
    # More than fifteen fields: each is a key of the section, and none needs another.
    namespace: Word = Field("thornback", description="Ray namespace of all named actors")
    hosts: Count = Field(2, description="pooled hosts")
    max_actors: Count = Field(100_000, description="actors resident in one host")
    max_idle_ms: CountOrNone = Field(
        0, description="milliseconds after which an idle actor leaves memory; 0: only if it must"
    )
    actor_timeout_ms: Count = Field(
        5_000,
        description="milliseconds a reply is waited for; of these a handler may take four fifths",
    )
    supervisor_strategy: Annotated[
        SupervisorStrategy, Expected('"restart", "resume", "stop" or "escalate"')
    ] = Field("restart", description="what happens to an actor whose handler failed")
    changed_schemas: Annotated[ChangedSchemas, Expected('"warn" or "refuse"')] = Field(
        "warn", description="what is done with a class that changes a schema in its version"
    )
    mailbox_size: Count = Field(20_000, description="commands one host holds unanswered")
    process_restarts: Count = Field(
        5, description="restarts of a process in one period; beyond them it is stopped, or rests"
    )
    process_period_ms: Count = Field(
        30_000, description="milliseconds of that period, and of what is in a row"
    )
    process_backoff_ms: CountOrNone = Field(
        100,
        description="milliseconds before a second restart in a row, doubled at each further one",
    )
    process_max_backoff_ms: CountOrNone = Field(
        10_000, description="milliseconds before a restart at most; at least process_backoff_ms"
    )
    spare_processes: Annotated[int, Field(ge=0, le=16), Expected("a whole number from 0 to 16")] = (
        Field(1, description="warm processes on each machine, to start a process in that has died")
    )
    placement: Placements = Field(
        default_factory=dict, description="actor type -> pooled or dedicated host"
    )
    promote_at: CountOrNone = Field(
        0, description="commands a second from which a shard gets a host of its own; 0: never"
    )
    host_labels: Labels = Field(
        default_factory=dict, description="labels a machine must have for hosts; none: any machine"
    )
    core_labels: Labels = Field(
        default_factory=dict, description="labels a machine must have for all other processes"
    )
    actor_modules: ModuleNames = Field((), description="modules every host imports at start")


class TransportSettings(_Section):
    between_machines: Annotated[BetweenMachines, Expected('"ray" or "tls"')] = Field(
        "ray", description="how processes of different machines call one another"
    )
    certificate: FileOrNone = Field(
        "", description="PEM file of a machine's certificate; empty: what Ray's TLS has"
    )
    key: FileOrNone = Field("", description="PEM file of its key; empty: what Ray's TLS has")
    ca: FileOrNone = Field(
        "", description="PEM file of who signs all of them; empty: what Ray's TLS has"
    )


class ProcessingSettings(_Section):
    pipeline_parallelism: Count = Field(
        2, description="workers of a stream program that is run without a number of them"
    )
    batch_processing_size: Count = Field(50, description="events that a worker evaluates in one go")
    processing_timeout_ms: Count = Field(
        1_000, description="milliseconds a worker may spend on them before that is logged"
    )
    on_failure: Annotated[OnFailure, Expected('"park", "skip" or "pause"')] = Field(
        "park", description="what becomes of an event at which a stream program fails"
    )
    failure_tries: Count = Field(3, description="how often such an event is tried before that")
    failure_backoff_ms: Count = Field(
        400, description="milliseconds before the second try; each further pause is twice as long"
    )
    max_parked_keys: Count = Field(
        1_000, description="keys that a worker may have parked; where there are more, it pauses"
    )
    member_timeout_ms: Lapse = Field(
        10_000, description="milliseconds after which a silent member of a group is out"
    )


class MetricsSettings(_Section):
    port: Port = Field(9_090, description="port of the Prometheus exporter; 0 turns it off")
    host: Word = Field("127.0.0.1", description="address the exporter listens on")
    labels: Labels = Field(
        default_factory=dict,
        description="labels of the machines that each have an exporter; none: the directory's",
    )


class GatewaySettings(_Section):
    enabled: Switch = Field(True, description="whether the system answers HTTP")
    labels: Labels = Field(
        default_factory=dict,
        description="labels of the machines that each have a gateway; none: one with the core",
    )
    port: Port = Field(8_080, description="port of the HTTP gateway; 0: any that is free")
    host: Word = Field("127.0.0.1", description="address the gateway listens on")
    tls_certificate: FileOrNone = Field(
        "", description="PEM file of the certificate, with its chain; empty: no TLS"
    )
    tls_key: FileOrNone = Field("", description="PEM file of the certificate's key")
    tokens_required: Switch = Field(
        False, description="whether a token is asked for also where none was ever made"
    )
    token_rate: CountOrNone = Field(
        0, description="requests a second of one token; 0: as many as come"
    )
    body_limit: Count = Field(1_048_576, description="bytes one message may have")
    read_timeout_ms: Count = Field(
        10_000, description="milliseconds a client may take to send, or to take what it is sent"
    )
    heartbeat_ms: Count = Field(15_000, description="milliseconds a stream of events is silent")
    max_connections: Count = Field(10_000, description="connections of clients that may be open")
    max_requests: Count = Field(4_000, description="requests the gateway works on at a time")
    max_streams: Count = Field(5_000, description="streams of events that may be open")
    access_log: Switch = Field(False, description="whether each request is logged")

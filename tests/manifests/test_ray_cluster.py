"""ray-cluster.yaml: `ray up` takes it; our ports and labels, and a token on every machine."""

import re
import shlex
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start

from runtime.settings.settings import Settings
from tests.cluster.__main__ import cluster_file
from tests.manifests.rendered import ROOT

SETTINGS = ROOT / "k8s" / "base" / "thornback.toml"
STARTS = ["head_start_ray_commands", "worker_start_ray_commands"]


@pytest.fixture
def config() -> Any:
    return yaml.safe_load((ROOT / "ray-cluster.yaml").read_text())


def options_of(command: str) -> dict[str, str]:
    """Of a `ray start`."""
    words = shlex.split(command.partition("ray start ")[2])
    return dict(word.removeprefix("--").partition("=")[::2] for word in words)


def test_ray_takes_it(config: Any) -> None:
    validate_config(prepare_config(config))


def test_ray_takes_what_cluster_test_makes_of_it() -> None:
    made = yaml.safe_load(cluster_file(["192.0.2.11"]))
    validate_config(prepare_config(made))
    assert made["provider"]["worker_ips"] == ["192.0.2.11"]
    assert made["min_workers"] == made["max_workers"] == 1


def test_ray_refuses_a_misspelt_field(config: Any) -> None:
    config["head_start_commands"] = config.pop("head_start_ray_commands")
    with pytest.raises(Exception, match="head_start_commands"):
        validate_config(prepare_config(config))


def test_the_block_for_aws_is_taken_as_well(config: Any) -> None:
    text = (ROOT / "ray-cluster.yaml").read_text().partition("# On AWS:")[2]
    block = yaml.safe_load(
        re.sub(r"^#( {3}|$)", "", text.partition("\n#\n")[2], flags=re.MULTILINE)
    )
    del config["min_workers"]
    validate_config(config | block)
    assert block["head_node_type"] in block["available_node_types"]


@pytest.mark.parametrize("commands", STARTS)
def test_ray_is_started_with_options_that_it_has(config: Any, commands: str) -> None:
    known = {option.removeprefix("--") for param in start.params for option in param.opts}
    assert set(options_of(config[commands][-1])) <= known


@pytest.mark.parametrize("commands", STARTS)
def test_every_machine_asks_for_the_token_that_is_copied_to_it(config: Any, commands: str) -> None:
    assert "RAY_AUTH_MODE=token" in config[commands][-1].split()
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "token:" not in yaml.safe_dump(config["auth"])


@pytest.mark.parametrize("commands", STARTS)
def test_the_ports_of_api_and_metrics_are_left_free(config: Any, commands: str) -> None:
    options = options_of(config[commands][-1])
    ports = [value for name, value in options.items() if name.endswith("port")]
    assert options["metrics-export-port"] == "8090"
    assert not {"8080", "9090"} & set(ports)


def test_the_labels_are_those_that_the_settings_of_a_cluster_mean(config: Any) -> None:
    settings = Settings.load(SETTINGS, environ={})
    core, host = (options_of(config[commands][-1])["labels"] for commands in STARTS)
    labels = [dict(one.split("=") for one in each.split(",")) for each in (core, host)]
    assert settings.actor_system.core_labels.items() <= labels[0].items()
    assert settings.actor_system.host_labels.items() <= labels[1].items()
    # docs/deployment.md has every machine show its metrics, and the head answer at 8080.
    assert all(settings.metrics.labels.items() <= each.items() for each in labels)
    gateways = [settings.gateway.labels.items() <= each.items() for each in labels]
    assert gateways == [True, False]


def test_every_shell_has_the_settings_of_a_cluster_and_where_the_database_is(config: Any) -> None:
    [shell] = [command for command in config["setup_commands"] if "> ~/.thornback.sh" in command]
    assert f"THORNBACK_CONFIG=$HOME/thornback/{SETTINGS.relative_to(ROOT)}" in shell
    assert ". ~/.ray/thornback.env" in shell
    assert config["file_mounts"]["~/.ray/thornback.env"] == "~/.ray/thornback.env"
    assert "chmod 600 ~/.ray/auth_token ~/.ray/thornback.env" in config["setup_commands"]
    assert not Settings.load(SETTINGS, environ={}).event_store.connection_string.get_secret_value()


def test_the_head_gets_the_key_by_which_it_reaches_the_workers(config: Any) -> None:
    assert config["auth"]["ssh_private_key"]


def test_all_machines_have_the_versions_that_were_tested_together(config: Any) -> None:
    [install] = [command for command in config["setup_commands"] if "pip install" in command]
    assert "-c ~/thornback/constraints.txt" in install
    assert config["min_workers"] == config["max_workers"] == len(config["provider"]["worker_ips"])

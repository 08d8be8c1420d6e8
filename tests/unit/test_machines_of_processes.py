"""On which machines of a Ray the processes of a system may run."""

import pytest

from runtime.process.ray_actors import actor_options
from runtime.settings.settings import Settings

CHOSEN = Settings.load(
    environ={},
    actor_system={
        "placement": {"radar": "dedicated"},
        "host_labels": {"role": "host", "zone": "a"},
        "core_labels": {"role": "core"},
    },
)


@pytest.mark.parametrize("host", ["host-0", "host-12", "radar/R1"])
def test_hosts_run_where_all_labels_for_hosts_are(host: str) -> None:
    assert actor_options(CHOSEN, host)["label_selector"] == {"role": "host", "zone": "a"}


@pytest.mark.parametrize("process", ["directory", "writer", "bus", "gateway-0"])
def test_all_others_run_where_the_labels_for_the_core_are(process: str) -> None:
    assert actor_options(CHOSEN, process)["label_selector"] == {"role": "core"}


def test_what_is_for_one_machine_alone_runs_there_whatever_the_labels_of_its_kind() -> None:
    assert actor_options(CHOSEN, "gateway-a", "abc")["label_selector"] == {"ray.io/node-id": "abc"}


@pytest.mark.parametrize("process", ["directory", "host-0"])
def test_without_labels_any_machine_will_do(process: str) -> None:
    assert "label_selector" not in actor_options(Settings.load(environ={}), process)


@pytest.mark.parametrize(
    ("settings", "else_on"),
    [
        (CHOSEN, {"role": "host", "zone": "a"}),
        (Settings.load(environ={}), {"ray.io/node-id": "!none"}),
    ],
    ids=["labels", "no-labels"],
)
def test_a_host_prefers_a_machine_and_goes_to_any_other_one_for_hosts_without_it(
    settings: Settings, else_on: dict[str, str]
) -> None:
    options = actor_options(settings, "host-0", prefers="abc")
    assert options["label_selector"].items() >= {"ray.io/node-id": "abc"}.items()
    assert options["fallback_strategy"] == [{"label_selector": else_on}]

"""Which services there are to be: one with the core, or one on each machine that is for them."""

from typing import Any

import pytest

from runtime.cluster.services import services_of
from runtime.settings.settings import Settings
from runtime.topology.machines import Machine

LABELS = {"role": "web", "zone": "a"}
WEB = Machine(id="a" * 56, labels={**LABELS, "more": "x"})
OTHER = Machine(id="b" * 56, labels={"role": "web"})
GOING = Machine(id="c" * 56, labels=LABELS, leaving=True)


def found(**gateway: Any) -> dict[str, str]:
    """By name: the machines of the gateways that there are to be."""
    return services(gateway=gateway)


def services(**sections: Any) -> dict[str, str]:
    """By name: the machines of all services that there are to be."""
    services = services_of(Settings.load(environ={}, **sections), [WEB, OTHER, GOING])
    return {name: service.machine for name, service in services.items()}


def test_without_labels_there_is_one_wherever_the_core_may_run() -> None:
    assert found() == {"gateway-0": ""}


def test_a_machine_that_has_all_labels_and_stays_has_one_of_its_own() -> None:
    assert found(labels=LABELS) == {f"gateway-{WEB.id[:12]}": WEB.id}


def test_none_is_there_where_http_is_turned_off() -> None:
    assert found(labels=LABELS, enabled=False) == {}


def exporters(**sections: Any) -> dict[str, str]:
    """The same of exporters."""
    return services(gateway={"enabled": False}, **sections)


def test_a_machine_with_the_labels_for_it_has_an_exporter_of_its_own() -> None:
    assert exporters(metrics={"labels": LABELS}) == {f"exporter-{WEB.id[:12]}": WEB.id}


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"metrics": {"labels": LABELS, "port": 0}},
        {"metrics": {"labels": LABELS}, "event_bus": {"metrics_enabled": False}},
    ],
    ids=["no-labels", "no-port", "no-metrics"],
)
def test_none_has_one_where_nothing_is_shown_or_the_directory_shows_it(sections: Any) -> None:
    assert exporters(**sections) == {}

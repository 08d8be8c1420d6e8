"""The processes of a system that the rest does not need: its clients, and who shows what it counts.

The classes of those that live above the runtime are known here by name, and nowhere else
(docs/decisions/0045): the runtime cannot import the gateways, which import it.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import NamedTuple

from runtime.cluster.machine_exporter import MachineExporter
from runtime.process.process import Process
from runtime.settings.settings import Settings
from runtime.topology.machines import Machine
from runtime.topology.names import exporter_name, gateway_name

_GATEWAY = "gateways.web.gateway.Gateway"


class Service(NamedTuple):
    """What is to run under a name."""

    kind: type[Process]
    machine: str = ""  #: where alone; empty: wherever its kind may run


def services_of(settings: Settings, machines: Iterable[Machine]) -> Mapping[str, Service]:
    """By the name of the process: each that these settings want on these machines, less those
    that are about to go. They are started when hosts, writer and bus are ready."""
    stay = [each for each in machines if not each.leaving]
    return {**_gateways(settings, stay), **_exporters(settings, stay)}


def _gateways(settings: Settings, machines: Iterable[Machine]) -> Mapping[str, Service]:
    wanted = settings.gateway
    if not wanted.enabled:
        return {}
    kind = _class(_GATEWAY)
    if not wanted.labels:
        return {gateway_name(): Service(kind)}
    theirs = (each.id for each in machines if each.has(wanted.labels))
    return {gateway_name(machine): Service(kind, machine) for machine in theirs}


def _exporters(settings: Settings, machines: Iterable[Machine]) -> Mapping[str, Service]:
    wanted = settings.metrics
    if not (settings.event_bus.metrics_enabled and wanted.port and wanted.labels):
        return {}
    theirs = (each.id for each in machines if each.has(wanted.labels))
    return {exporter_name(machine): Service(MachineExporter, machine) for machine in theirs}


def _class(dotted: str) -> type[Process]:
    module, _, name = dotted.rpartition(".")
    found: type[Process] = getattr(import_module(module), name)
    return found

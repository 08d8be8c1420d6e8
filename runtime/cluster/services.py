"""The processes of a system that live above the runtime: clients of it that it starts itself.

Their classes are known here by name, and nowhere else (docs/decisions/0045): the runtime cannot
import the gateways, which import it.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import NamedTuple

from runtime.process.process import Process
from runtime.settings.settings import Settings
from runtime.topology.machines import Machine
from runtime.topology.names import gateway_name

_GATEWAY = "gateways.web.gateway.Gateway"


class Service(NamedTuple):
    """What is to run under a name."""

    kind: type[Process]
    machine: str = ""  #: where alone; empty: wherever its kind may run


def services_of(settings: Settings, machines: Iterable[Machine]) -> Mapping[str, Service]:
    """By the name of the process: each that these settings want on these machines, less those
    that are about to go. They are started when hosts, writer and bus are ready."""
    wanted = settings.gateway
    if not wanted.enabled:
        return {}
    kind = _class(_GATEWAY)
    if not wanted.labels:
        return {gateway_name(): Service(kind)}
    theirs = (each.id for each in machines if each.has(wanted.labels) and not each.leaving)
    return {gateway_name(machine): Service(kind, machine) for machine in theirs}


def _class(dotted: str) -> type[Process]:
    module, _, name = dotted.rpartition(".")
    found: type[Process] = getattr(import_module(module), name)
    return found

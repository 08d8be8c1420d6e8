"""The processes of a system that live above the runtime: clients of it that it starts itself.

Their classes are known here by name, and nowhere else (docs/decisions/0045): the runtime cannot
import the gateways, which import it.
"""

from collections.abc import Mapping
from importlib import import_module

from runtime.process.process import Process
from runtime.settings.settings import Settings
from runtime.topology.names import gateway_name

_GATEWAY = "gateways.web.gateway.Gateway"


def services_of(settings: Settings) -> Mapping[str, type[Process]]:
    """By the name of the process: the class of each that these settings want. They are started
    when hosts, writer and bus are ready."""
    return {gateway_name(0): _class(_GATEWAY)} if settings.gateway.enabled else {}


def _class(dotted: str) -> type[Process]:
    module, _, name = dotted.rpartition(".")
    found: type[Process] = getattr(import_module(module), name)
    return found

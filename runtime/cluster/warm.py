"""What a spare process has behind it before it is anybody's (runtime/process/spares.py): everything
that a process of a system imports, and the devices that every host knows, which take as long to
describe as all else that a host does before it starts."""

from runtime.cluster import directory as directory
from runtime.host.registration import Registration

Registration("a spare process").know_module("actors.devices")

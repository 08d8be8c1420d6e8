"""What becomes of the processes of a system, as far as the log tells it.

The directory publishes these, with `process/NAME` for their source. The ordinary is not told: a
process that dies and is started anew is counted by a metric alone.
"""

from actors.event import SystemEvent


class HostWasStopped(SystemEvent):
    """A host had ended too often; others have its shards, and it is not started any more."""

    event_type = "host-stopped"

    host: str
    reason: str
    shards: int  #: that have moved


class HostWasStarted(SystemEvent):
    """A host that had been stopped was started again, because somebody asked for it."""

    event_type = "host-started"

    host: str

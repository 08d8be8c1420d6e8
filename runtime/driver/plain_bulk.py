"""Many commands of one caller in plain values, in full batches: a bulk call for an event loop.

What bulk.py is for drivers, without classes and without a thread. Whoever uses it decides how
much he offers before he looks at the replies: that is the backpressure.
"""

from runtime.driver.channel import Channel
from runtime.driver.connection import Connection
from runtime.driver.outgoing import Outgoing
from runtime.driver.plain import PlainCommand
from runtime.driver.reply import Reply
from runtime.wire.answers import AnsweredRows, raise_error, read_rows
from runtime.wire.commands import Answer, CommandPacker


class PlainBulk:
    """The batches of one bulk call. Lives in the loop of its connection.

    The commands for one actor run in the order in which they are offered. Hosts and database may
    be away for up to `patience_s`; a batch is then sent again with its ids.
    """

    def __init__(self, connection: Connection, patience_s: float, *, want_events: bool) -> None:
        self._connection = connection
        self._patience_s = patience_s
        self._want_events = want_events
        self._read = read_rows if want_events else _read_nothing
        self._pack = CommandPacker().pack
        self._filling: dict[Channel, Outgoing] = {}
        self._routed = 0  #: by which version of the table of shards these were found

    def offer(self, command: PlainCommand) -> Reply[AnsweredRows | None]:
        """Put a command into its channel's batch, which leaves when it is full. Raises
        InvalidName, InvalidMessage and ConnectionClosed."""
        packed = self._pack(command.fields())
        channel, routed = self._connection.channels.way(command.source, None)
        if routed != self._routed:  # some actors live elsewhere: what is for them goes first
            self.send_all()
            self._routed = routed
        outgoing = self._filling.get(channel)
        if outgoing is None:
            outgoing = Outgoing(self._patience_s, bulk=True, want_events=self._want_events)
            outgoing.routed = routed
            self._filling[channel] = outgoing
        index = outgoing.add(packed)
        if outgoing.full:
            self._send(channel)
        return Reply(outgoing, index, self._read)

    def send_all(self) -> None:
        """Send what there is, full or not."""
        for channel in list(self._filling):
            self._send(channel)

    def _send(self, channel: Channel) -> None:
        outgoing = self._filling.pop(channel)
        try:
            channel.submit(outgoing)
        except Exception as error:  # what the channel was ended with: also its host is gone
            outgoing.finish(None, error)  # every reply raises it


def _read_nothing(answer: Answer, index: int) -> None:
    raise_error(answer, index)

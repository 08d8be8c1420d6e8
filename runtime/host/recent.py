"""The table of recent commands: what each did."""

from collections import deque

from runtime.host.effects import Effects


class Recent(dict[bytes, Effects]):
    """The commands of the last attempts, by id: it spares the look into the log.

    Those under way are in it, too, as long as they may become durable. Of those that are,
    at most so many commands are kept, and so many bytes.
    """

    MAX_BYTES = 64 * 1024 * 1024

    def __init__(self, capacity: int, max_bytes: int = MAX_BYTES) -> None:
        super().__init__()
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._kept: deque[Effects] = deque()
        self._commands = 0
        self.bytes = 0  #: about how much memory those kept take

    def keep(self, effects: Effects) -> None:
        """Remember what is durable; forget the oldest beyond what may be kept."""
        if not effects.counts:
            return
        self._kept.append(effects)
        self._commands += len(effects.counts)
        self.bytes += effects.size
        while self._commands > self._capacity or self.bytes > self._max_bytes:
            oldest = self._kept.popleft()
            self._commands -= len(oldest.counts)
            self.bytes -= oldest.size
            self.forget(oldest)

    def forget(self, effects: Effects) -> None:
        """Take its commands out: it was undone, or is too old."""
        for command_id in effects.counts:
            if self.get(command_id) is effects:
                del self[command_id]

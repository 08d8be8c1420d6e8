"""The table of recent commands: where each ran."""

from collections import deque

from runtime.host.batch import Batch


class Recent(dict[bytes, Batch]):
    """The commands of the last batches, by id: where each ran. Spares the look into the log."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity
        self._batches: deque[Batch] = deque()
        self._held = 0

    def keep(self, batch: Batch) -> None:
        """Remember a batch that is durable; forget the oldest beyond the capacity."""
        self._batches.append(batch)
        self._held += len(batch.commands)
        while self._held > self._capacity and len(self._batches) > 1:
            self.forget(oldest := self._batches.popleft())
            self._held -= len(oldest.commands)

    def forget(self, batch: Batch) -> None:
        """Take a batch's commands out: it was refused, or is too old."""
        for command in batch.commands:
            if self.get(command[2]) is batch:
                del self[command[2]]

"""What each shard of a host was sent lately."""

from collections import Counter
from collections.abc import Callable, Mapping

from runtime.host.batch import Batch
from runtime.topology.placement import shard_of
from runtime.wire.commands import SOURCE


class ShardLoads:
    """Commands by shard, of the last one to two windows.

    Of each batch one command stands for all: to look at each would cost it 0.2 us, and over the
    thousands of batches of a window what is hot comes out all the same.
    """

    WINDOW_S = 10.0

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._began_s = now_s()
        self._present: Counter[int] = Counter()
        self._before: Counter[int] = Counter()

    def note(self, batch: Batch) -> None:
        """A batch is about to be decided."""
        count = len(batch.commands)
        if count:
            self._turn()
            self._present[shard_of(batch.commands[batch.number % count][SOURCE])] += count

    def recent(self) -> Mapping[int, int]:
        """So many commands, about, came for each shard that any came for."""
        self._turn()
        return dict(self._present + self._before)

    def _turn(self) -> None:
        now_s = self._now_s()
        if now_s - self._began_s < self.WINDOW_S:
            return
        late = now_s - self._began_s >= 2 * self.WINDOW_S
        self._before = Counter() if late else self._present
        self._present, self._began_s = Counter(), now_s

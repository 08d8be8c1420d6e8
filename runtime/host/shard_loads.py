"""What each shard of a host is sent."""

from collections import Counter
from collections.abc import Callable, Mapping

from runtime.host.batch import Batch
from runtime.topology.placement import shard_of
from runtime.wire.commands import SOURCE


class ShardLoads:
    """Commands by shard, of the last one to two windows.

    Of each batch a few commands stand for all: to look at each would cost it 0.2 us, and over the
    hundreds of batches of a window what is hot comes out all the same.
    """

    WINDOW_S = 10.0
    #: So many commands of a batch are looked at, at most.
    SAMPLES = 16
    #: Less time than that says nothing.
    LEAST_S = 1.0

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._began_s = now_s()
        self._present: Counter[int] = Counter()
        self._before: Counter[int] = Counter()
        self._before_s = 0.0  #: how long the window before took

    def note(self, batch: Batch) -> None:
        """A batch is about to be decided."""
        commands = batch.commands
        if not commands:
            return
        self._turn()
        step = -(-len(commands) // self.SAMPLES)
        for command in commands[batch.number % step :: step]:  # each batch begins elsewhere
            self._present[shard_of(command[SOURCE])] += step

    def per_second(self) -> Mapping[int, float]:
        """So many commands a second, about, came for each shard that any came for."""
        self._turn()
        over_s = max(self._before_s + self._now_s() - self._began_s, self.LEAST_S)
        return {shard: count / over_s for shard, count in (self._present + self._before).items()}

    def _turn(self) -> None:
        lasts_s = self._now_s() - self._began_s
        if lasts_s < self.WINDOW_S:
            return
        late = lasts_s >= 2 * self.WINDOW_S
        self._before, self._before_s = (Counter(), 0.0) if late else (self._present, lasts_s)
        self._present, self._began_s = Counter(), self._now_s()

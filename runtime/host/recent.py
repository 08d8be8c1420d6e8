"""The table of recent commands: what each did, and which were without effect."""

from collections import OrderedDict, deque
from collections.abc import Callable, Set
from typing import NamedTuple

from actors.naming import aggregate_key_of
from runtime.host.effects import Effects
from runtime.wire.error_codec import EncodedError
from runtime.wire.values import encode
from store.rows.layout import row_starts, source_at


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
        self.in_vain = InVain(capacity)
        #: Of attempts that were undone: what each command in vain was answered stands if what its
        #: driver sent after it turns out to be in the log.
        self.open = InVain(capacity)

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

    def erase(self, sources: Set[str]) -> None:
        """Keep nothing that has anything of these sources. What of others goes with it is looked
        up in the log, where it is asked for again."""
        aggregates = [aggregate_key_of(source) for source in sources]
        self._drop(lambda effects: any(each in effects.rows.data for each in aggregates))
        for outcomes in (self.in_vain, self.open):
            outcomes.forget_of(sources.__contains__)

    def forget_of(self, gone: Callable[[str], bool]) -> None:
        """Keep nothing that has anything of such sources, which live elsewhere now: when one of
        them is erased, nobody tells this host."""
        known: dict[bytes, bool] = {}

        def has_some(effects: Effects) -> bool:
            data = effects.rows.data
            for source in {source_at(data, start) for start in row_starts(effects.rows)}:
                if source not in known:
                    known[source] = gone(source.decode())
                if known[source]:
                    return True
            return False

        self._drop(has_some)
        for outcomes in (self.in_vain, self.open):
            outcomes.forget_of(gone)

    def _drop(self, unwanted: Callable[[Effects], bool]) -> None:
        kept, self._kept = self._kept, deque()
        self._commands = self.bytes = 0
        for effects in kept:
            if unwanted(effects):
                self.forget(effects)
            else:
                self._kept.append(effects)
                self._commands += len(effects.counts)
                self.bytes += effects.size

    def forget(self, effects: Effects) -> None:
        """Take its commands out: it was undone, or is too old."""
        for command_id in effects.counts:
            if self.get(command_id) is effects:
                del self[command_id]


class Outcome(NamedTuple):
    """What became of a command that has no events."""

    source: str
    message_type: str
    error: EncodedError | None  #: None: there was nothing to do
    size: int  #: about how many bytes of memory it takes
    follower: bytes  #: the id of the next event that its driver's commands to this actor made


class InVain:
    """The last commands that handlers decided without effect, by id, with what was answered.

    The log knows nothing of them. A batch that is sent again, because no answer came, is
    answered out of this table where it was in vain: what its driver sent after it may have run
    since, and decided anew it would take effect behind that (docs/decisions/0048).
    """

    MAX_BYTES = 16 * 1024 * 1024
    #: What one takes beside its error: its id, its source, its place in the table.
    OUTCOME_BYTES = 400

    def __init__(self, capacity: int, max_bytes: int = MAX_BYTES) -> None:
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._outcomes: OrderedDict[bytes, Outcome] = OrderedDict()
        self.bytes = 0  #: about how much memory they take

    def __len__(self) -> int:
        return len(self._outcomes)

    def add(
        self,
        command_id: bytes,
        source: str,
        message_type: str,
        error: EncodedError | None,
        follower: bytes = b"",
    ) -> None:
        """Remember an outcome; forget the oldest beyond what may be kept."""
        outcomes = self._outcomes
        if command_id in outcomes:
            self.forget(command_id)
        size = self.OUTCOME_BYTES + len(source) + (len(encode(error)) if error else 0)
        outcomes[command_id] = Outcome(source, message_type, error, size, follower)
        self.bytes += size
        while self.bytes > self._max_bytes or len(outcomes) > self._capacity:
            self.bytes -= outcomes.popitem(last=False)[1].size

    def of(self, command_id: bytes, source: str, message_type: str) -> Outcome | None:
        """What became of this command, if it is remembered, and was this one."""
        found = self._outcomes.get(command_id)
        if found is None or (found.source, found.message_type) != (source, message_type):
            return None
        return found

    def forget_of(self, gone: Callable[[str], bool]) -> None:
        """Forget those of such sources: others decide for them now."""
        for command_id, outcome in list(self._outcomes.items()):
            if gone(outcome.source):
                self.forget(command_id)

    def forget(self, command_id: bytes) -> None:
        """It was undone: nothing was decided."""
        found = self._outcomes.pop(command_id, None)
        if found is not None:
            self.bytes -= found.size

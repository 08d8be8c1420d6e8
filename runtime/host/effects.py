"""What an attempt put into the log: all that is remembered of it to answer repeats."""

from array import array
from collections.abc import Set

from store.appends import Acknowledged
from store.rows.layout import EncodedRows, aggregate_at, stamp

_NO_ROWS = EncodedRows(b"", array("I"))
_NOT_YET = Acknowledged(first_position=0, recorded_us=0)

#: What a remembered command costs beside its rows: its id, its count, its place in tables.
COMMAND_BYTES = 200


class Effects:
    """The events of one attempt's commands.

    It knows no batch, no attempt and no other Effects, so who remembers one keeps its
    rows in memory and nothing else.
    """

    __slots__ = ("_firsts", "acknowledged", "beside", "counts", "message_types", "rows")

    def __init__(self) -> None:
        #: How many events each command has that has some, by its id, in the order of rows.
        self.counts: dict[bytes, int] = {}
        self.message_types: list[str] = []  #: of each of these commands; texts that classes share
        self.rows = _NO_ROWS  #: set once, when all is decided
        self.beside = 0  #: how many of them, the last ones, are of no command
        self.acknowledged = _NOT_YET  #: set once, when the rows are durable
        self._firsts: dict[bytes, tuple[bytes, str]] | None = None

    @property
    def of_commands(self) -> int:
        """How many events its commands have."""
        return len(self.rows) - self.beside

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return len(self.rows.data) + COMMAND_BYTES * len(self.counts)

    @property
    def firsts(self) -> dict[bytes, tuple[bytes, str]]:
        """Whose events each of its commands has, and its message type, by id; found out when a
        repeat asks for it."""
        if self._firsts is None:
            lengths, self._firsts = self.rows.lengths, {}
            number = at = 0
            for (command_id, count), kind in zip(
                self.counts.items(), self.message_types, strict=True
            ):
                self._firsts[command_id] = aggregate_at(self.rows.data, at), kind
                at += sum(lengths[number : number + count])
                number += count
        return self._firsts

    def rows_of(self, command_ids: Set[bytes]) -> dict[bytes, bytes]:
        """The stamped rows of some of its commands, by id; only once they are durable."""
        found: dict[bytes, bytes] = {}
        data, lengths, done = self.rows.data, self.rows.lengths, self.acknowledged
        number = at = 0
        for command_id, count in self.counts.items():
            theirs = lengths[number : number + count]
            end = at + sum(theirs)
            if command_id in command_ids:
                rows = bytearray(data[at:end])
                stamp(rows, theirs, done.recorded_us, done.first_position + number)
                found[command_id] = bytes(rows)
            number, at = number + count, end
        return found

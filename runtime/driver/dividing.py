"""A batch whose actors do not all live at one host any more, in parts: one for each host.

Each part travels by itself, and what became of them is put together as the answer to the whole, so
whoever waits for that sees no difference. Where no part was answered, the whole fails as the first
of them did; where some were, it says of which commands nothing is known (`without_answer`).
"""

import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from runtime.driver.outgoing import Outgoing
from runtime.wire.commands import Answer, source_of_command
from runtime.wire.error_codec import encode_error
from store.rows.layout import split_rows, stamp


def by_host(outgoing: Outgoing, host_of: Callable[[str], str]) -> dict[str, list[int]]:
    """The commands of a batch by the host of their actors, by index and in order."""
    found: dict[str, list[int]] = {}
    for index, packed in enumerate(outgoing.commands):
        found.setdefault(host_of(source_of_command(packed)), []).append(index)
    return found


def divided(whole: Outgoing, indexes: Mapping[str, Sequence[int]]) -> dict[str, Outgoing]:
    """A batch in parts, of these commands each, which take its place: it ends with them."""
    whole.divided = True
    together = _Together(whole, len(indexes))
    parts = {}
    for host, theirs in indexes.items():
        part = parts[host] = whole.part(theirs)
        together.wait_for(part, theirs)
    return parts


@dataclass
class _Together:
    """What became of the parts of a batch. Channels finish parts in their loop, or in the thread
    that closes them."""

    whole: Outgoing
    left: int  #: parts that are not finished
    answered: bool = False
    first: Exception | None = None  #: why the first of those failed that did
    answer: Answer = field(
        default_factory=lambda: Answer({}, 0, set(), 0, 0, [], [], b"", {}, {}, {})
    )
    lock: threading.Lock = field(default_factory=threading.Lock)  # guards all but the whole

    def wait_for(self, part: Outgoing, indexes: Sequence[int]) -> None:
        """`part` has these commands of the whole."""
        part.on_finish = lambda _: self._finished(part, indexes)

    def _finished(self, part: Outgoing, indexes: Sequence[int]) -> None:
        with self.lock:
            if part.answer is not None:
                self.answered = True
                self._put(part.answer, indexes)
                for number, error in part.without_answer.items():
                    self.whole.without_answer[indexes[number]] = error
            else:
                assert part.error is not None
                self.first = self.first or part.error
                self.whole.without_answer.update(dict.fromkeys(indexes, part.error))
                errors = {at: encode_error(part.failure(n)) for n, at in enumerate(indexes)}
                self.answer.errors.update(errors)
            self.left -= 1
            if self.left:
                return
        if self.answered:
            self.whole.finish(self.answer, None)
        else:
            self.whole.finish(None, self.first)

    def _put(self, theirs: Answer, indexes: Sequence[int]) -> None:
        ours = self.answer
        ours.total += theirs.total
        for number, index in enumerate(indexes):
            if number in theirs.repeats:
                ours.repeats.add(index)
            if number in theirs.errors:
                ours.errors[index] = theirs.errors[number]
            if number in theirs.values:
                ours.values[index] = theirs.values[number]
            if number in theirs.elsewhere:
                ours.elsewhere[index] = theirs.elsewhere[number]
            elif theirs.offsets:
                ours.elsewhere[index] = _stamped(theirs, number)


def _stamped(answer: Answer, number: int) -> bytes:
    """The rows of one command, with all that they stand for in the log."""
    data = bytearray(answer.rows[answer.offsets[number] : answer.offsets[number + 1]])
    lengths = array("I", [len(row) for _, row in split_rows(bytes(data))])
    stamp(data, lengths, answer.recorded_us, answer.first_position + answer.numbers[number])
    return bytes(data)

"""What did not work at a host, by type: where to look first when something is wrong.

It is counted when it is answered, so that a command which was run again counts once; and so does
one that is sent again, because its answer was lost, as long as the host remembers it. Of each type
the last one is kept, with the lines of its user's code. Logs have all of them (`thornback logs`).
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from actors.errors import Rejected
from actors.naming import actor_type_of
from runtime.errors import HandlerBlocked, HandlerFailed
from runtime.topology.status import FailureRecord
from runtime.wire.commands import ID, SOURCE, message_type_of
from runtime.wire.error_codec import EncodedError, decode_error


class Failures:
    """What one host has answered with an error since it began, and what timers have come to that
    nobody waits for. In its loop."""

    #: Types of failures that are kept: clients may make names of messages up. Beyond it the one
    #: that has not come for longest is forgotten.
    MOST = 200
    #: Letters that are kept of a text.
    TEXT = 500
    #: Commands that are remembered, so that none counts twice.
    REMEMBERED = 20_000

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._found: OrderedDict[tuple[str, str, str], FailureRecord] = OrderedDict()
        #: The last commands that are counted: their ids, with what else tells a command from others
        #: whose sender gave them the same one.
        self._counted: OrderedDict[tuple[bytes, str, str], None] = OrderedDict()

    def note(
        self,
        errors: Mapping[int, EncodedError],
        commands: Sequence[Sequence[Any]],
        raised: Mapping[int, Sequence[str]],
    ) -> None:
        """Commands of a batch were answered so; `raised` says where some of them were rejected."""
        now_us = self._now_us()
        for index, error in errors.items():
            source, message_type = commands[index][SOURCE], message_type_of(commands[index])
            if not self._is_new((commands[index][ID], source, message_type)):
                continue
            told = _told(error)
            key = (actor_type_of(source), message_type[: self.TEXT], told.name[: self.TEXT])
            before = self._found.pop(key, None)
            # Of a large batch only the first are looked at for their lines.
            frames = raised.get(index) or told.frames or (before.frames if before else ())
            self._found[key] = FailureRecord(
                actor_type=key[0],
                message_type=key[1],
                name=key[2],
                outcome=told.outcome,
                count=before.count + 1 if before else 1,
                first_us=before.first_us if before else now_us,
                last_us=now_us,
                source=source,
                text=told.text[: self.TEXT],
                frames=tuple(frames),
            )
        while len(self._found) > self.MOST:
            self._found.popitem(last=False)

    def _is_new(self, command: tuple[bytes, str, str]) -> bool:
        if command in self._counted:
            return False
        self._counted[command] = None
        if len(self._counted) > self.REMEMBERED:
            self._counted.popitem(last=False)
        return True

    def records(self) -> list[FailureRecord]:
        """All that is kept."""
        return list(self._found.values())


class _Told(NamedTuple):
    """What an error on the wire says."""

    name: str
    outcome: str
    text: str
    frames: Sequence[str] = ()


def _told(error: EncodedError) -> _Told:
    name, arguments = error
    if name == Rejected.__name__:
        of_a_class = len(arguments) == 4
        return _Told(arguments[1] if of_a_class else name, "rejected", str(arguments[0]))
    if name in (HandlerFailed.__name__, HandlerBlocked.__name__) and len(arguments) == 5:
        failure = str(arguments[2])
        kind = name if name == HandlerBlocked.__name__ else failure.partition(":")[0]
        return _Told(kind, "failed", failure, arguments[4])
    return _Told(name, "not run", str(decode_error(error)))

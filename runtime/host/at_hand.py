"""What a host has at hand, noted so that its next incarnation learns with what it has ended.

A host has something at hand only while it is **wary**: for a while after Ray has started it anew,
since noting each command costs a little. What the one before had at hand is to blame where that was
ended by its dead man's switch, because nobody could interrupt it; and where incarnations have ended
in another way twice with the same thing at hand: it crashed, or took all memory.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from actors.naming import actor_type_of
from runtime.host.code_stamp import differ
from runtime.process.notes import Notes
from runtime.wire.commands import ID, MESSAGE_TYPE, SOURCE

logger = logging.getLogger("thornback.host")

#: What is at hand beside commands: hooks, by their names, and an actor's being rebuilt.
ON_START, ON_STOP, ON_FAILURE, REBUILDING = "on_start", "on_stop", "on_failure", "(rebuilding)"
#: A snapshot that is made where an actor was loaded.
SNAPSHOT = "(snapshot)"
#: A class's reading the past of an actor before it is taken; behind it stands which class.
READING = "(reading its past)"

#: What tells one thing at hand from any other: a source, what is done, and a command's id.
Key = tuple[str, str, bytes]
#: What is noted of it: that, and what its actor type decides by.
_Noted = tuple[str, str, bytes, str]

_encode = msgspec.msgpack.Encoder().encode


class End(NamedTuple):
    """How the incarnation before has ended."""

    key: Key  #: what it had at hand
    code: str  #: what its actor type decided by
    failure: str  #: what is said of that where it is to blame; empty where it is not


def hook_of(source: str, what: str) -> Sequence[Any]:
    """What is at hand while that is done, as if it were a command."""
    return source, what, b""


class AtHand:
    """Of one host. `trust` may be called by a thread, all else by its loop."""

    #: For so long after it was started anew a host notes what it has at hand.
    WARY_S = 120.0
    #: So often incarnations may end with the same thing at hand.
    ENDS = 2

    def __init__(self, notes: Notes | None) -> None:
        self._notes = notes
        #: Is told what is at hand, while this host is wary.
        self.note: Callable[[Sequence[Any]], None] | None = None
        self.noted = False  #: something may be at hand by what was noted
        #: With what incarnations have ended, of which code that was, and how often.
        self.died: dict[Key, tuple[str, int]] = {}
        #: What tells the code of an actor type from any other, as far as that is known.
        self.code_of: Callable[[str], str] = lambda actor_type: ""

    def end_before(self) -> End | None:
        """Count the end of the incarnation before, if it had anything at hand. It is told again
        until there is `nothing` at hand."""
        assert self._notes is not None
        last, said = self._notes.was_at_hand(), self._notes.was_told()
        if said:
            logger.error("the one before held its interpreter, and was ended:\n%s", said)
        if not last:
            return None
        try:
            source, what, command_id, code = msgspec.msgpack.decode(last, type=_Noted)
        except msgspec.MsgspecError:  # it was cut
            logger.warning("what the one before had at hand cannot be read")
            return None
        key = source, what, command_id
        before, ends = self.died.get(key, (code, 0))
        ends = 1 if differ(before, code) else ends + 1  # by other code it is something else
        self.died[key] = code, ends
        if said:
            failure = "its code held the interpreter for too long, and its host was replaced"
            return End(key, code, failure)
        if ends >= self.ENDS:
            return End(key, code, f"its host has ended {ends} times while it was run")
        return End(key, code, "")

    def be_wary(self) -> None:
        """Note from now on what is at hand."""
        self.note = self._note

    def trust(self) -> None:
        """Be wary no longer, and forget the ends: it has gone well for a while."""
        self.note = None
        self.nothing()
        self.died = {}

    def nothing(self) -> None:
        """Nothing is at hand any more."""
        self.noted = False
        if self._notes is not None:
            self._notes.put_at_hand(b"")

    def _note(self, at: Sequence[Any]) -> None:
        assert self._notes is not None
        self.noted = True
        code = self.code_of(actor_type_of(at[SOURCE]))
        self._notes.put_at_hand(_encode((at[SOURCE], at[MESSAGE_TYPE], at[ID], code)))

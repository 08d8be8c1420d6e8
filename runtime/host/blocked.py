"""What has kept a host from everything else, and is not run again.

A command whose handler did not come back in time, or that ended its host's process, is sent again
by whoever waits for it: without a memory it would do so again and again. So it is remembered, by
its id, and a hook by its actor and name, also by the host's next incarnation (process/notes.py).

There are two ways in. Whoever watches handlers says so, before anything is done about it (`add`).
And the end of an incarnation may show that what that had at hand is it (at_hand.py).
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actors.naming import actor_type_of
from runtime.errors import HandlerBlocked
from runtime.host.at_hand import AtHand, Key
from runtime.host.code_stamp import differ
from runtime.process.notes import Notes
from runtime.wire.commands import ID, MESSAGE_TYPE, SOURCE, told

logger = logging.getLogger("thornback.host")


class Found(msgspec.Struct, array_like=True):
    """One thing that is not run again."""

    source: str
    what: str  #: the message's type, or one of those in at_hand.py
    id: bytes  #: of the command; empty for anything else
    at_us: int  #: when it was found, Unix microseconds
    failure: str
    frames: tuple[str, ...] = ()
    judged: bool = False  #: its actor's supervision has seen to it
    code: str = ""  #: what tells its class's code from any other; empty where nobody knew

    @property
    def key(self) -> Key:
        """What tells it from any other."""
        return self.source, self.what, self.id

    def error(self, decision: str = "not run") -> HandlerBlocked:
        """What is told of it."""
        return HandlerBlocked(self.source, told(self.what), self.failure, decision, self.frames)


class _Kept(msgspec.Struct, array_like=True):
    """What the next incarnation is to know."""

    found: list[Found]
    #: With what at hand incarnations have ended, of which code that was, and how often.
    died: list[tuple[Key, tuple[str, int]]]


class Blocked:
    """Of one host. The thread that watches adds to it, all else is its loop's."""

    #: Beyond it the first ones are forgotten.
    MOST = 1_000
    #: For so long it is not run again.
    KEPT_US = 3_600_000_000

    def __init__(self, now_us: Callable[[], int], notes: Notes | None = None) -> None:
        self._now_us, self._notes = now_us, notes
        self._found: OrderedDict[Key, Found] = OrderedDict()
        #: Those that are commands, by id: what the hot loop looks at.
        self.commands: dict[bytes, Found] = {}
        self.at_hand = AtHand(notes)
        self._before: list[Found] = []  #: what supervisors of earlier incarnations saw to

    def begin(self, *, restarted: bool) -> None:
        """Learn what earlier incarnations have left."""
        if self._notes is None or not restarted:
            return
        try:
            kept = msgspec.msgpack.decode(self._notes.kept() or b"\x92\x90\x90", type=_Kept)
        except msgspec.MsgspecError:
            logger.exception("what earlier incarnations knew of handlers that block is lost")
            kept = _Kept([], [])
        self.at_hand.died = dict(kept.died)
        self._before = [each for each in kept.found if each.judged]
        for each in kept.found:
            self._put(each)
        if end := self.at_hand.end_before():
            if end.failure:
                self.add(end.key, end.failure, code=end.code)
            else:
                self._keep()
            self.at_hand.nothing()  # it is counted once, however often this process tries to start
        self.at_hand.be_wary()

    def trust(self) -> None:
        """Be wary no longer: it has gone well for a while."""
        had_ends = bool(self.at_hand.died)
        self.at_hand.trust()
        if had_ends:
            self._keep()

    def know_codes(self, code_of: Callable[[str], str], actor_types: Sequence[str]) -> None:
        """From now on it is known by which code an actor type decides. What has blocked in an
        earlier incarnation, and is of other code than its type has now, is tried again."""
        self.at_hand.code_of = code_of
        for actor_type in actor_types:
            self.forget_other_code(actor_type, code_of(actor_type))

    def add(
        self,
        at: Sequence[Any],
        failure: str,
        frames: Sequence[str] = (),
        *,
        code: str | None = None,
    ) -> Found:
        """This blocks: from now on it is not run again. `code` is what its actor type decided by
        then; None: what it decides by now."""
        if code is None:
            code = self.at_hand.code_of(actor_type_of(at[SOURCE]))
        found = Found(
            at[SOURCE], at[MESSAGE_TYPE], bytes(at[ID]), self._now_us(), failure, tuple(frames),
            code=code,
        )  # fmt: skip
        self._put(found)
        self._keep()
        return found

    def hook(self, source: str, what: str) -> Found | None:
        """What is known of a hook of an actor, or of its being rebuilt."""
        return self._present(self._found.get((source, what, b""))) if self._found else None

    def command(self, command: Sequence[Any]) -> Found | None:
        """What is known of a command."""
        found = self.commands.get(command[ID])
        if found is None or (found.source, found.what) != (command[SOURCE], command[MESSAGE_TYPE]):
            return None
        return self._present(found)

    def judged(self, found: Found) -> None:
        """Its actor's supervisor has seen to it."""
        if not found.judged:
            found.judged = True
            self._keep()

    def forget_type(self, actor_type: str) -> None:
        """Its class was replaced: everything is tried again."""
        self._forget(self._of_type(actor_type))

    def forget_other_code(self, actor_type: str, code: str) -> None:
        """A class is known now, by whose code it may be another one than that which blocked in
        an earlier incarnation: what is known to be another's is tried again."""
        self._forget([one for one in self._of_type(actor_type) if differ(one.code, code)])

    def _of_type(self, actor_type: str) -> list[Found]:
        return [one for one in self._found.values() if actor_type_of(one.source) == actor_type]

    def _forget(self, these: list[Found]) -> None:
        for found in these:
            self._drop(found)
        if these:
            self._keep()

    def failed_before(self, source: str, *, group: bool, but: bytes | None = None) -> list[float]:
        """How many seconds ago supervisors of earlier incarnations saw to what an actor, or its
        group, had blocked with. It is told once. `but` is the command that fails now: sent again,
        it is one failure and not two."""
        actor_type, now_us = actor_type_of(source), self._now_us()
        theirs = [
            each
            for each in self._before
            if each.source == source or (group and actor_type_of(each.source) == actor_type)
        ]
        self._before = [each for each in self._before if each not in theirs]
        others = [each for each in theirs if not each.id or each.id != but]
        return [max(now_us - each.at_us, 0) / 1_000_000 for each in others]

    def _present(self, found: Found | None) -> Found | None:
        if found is not None and self._now_us() - found.at_us > self.KEPT_US:
            self._drop(found)
            return None
        return found

    def _put(self, found: Found) -> None:
        self._found[found.key] = found
        if found.id:
            self.commands[found.id] = found
        while len(self._found) > self.MOST:
            self._drop(next(iter(self._found.values())))

    def _drop(self, found: Found) -> None:
        self._found.pop(found.key, None)
        if self.commands.get(found.id) is found:
            del self.commands[found.id]

    def _keep(self) -> None:
        if self._notes is not None:
            kept = _Kept([*self._found.values()], [*self.at_hand.died.items()])
            self._notes.keep(msgspec.msgpack.encode(kept))

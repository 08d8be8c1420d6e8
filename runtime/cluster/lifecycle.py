"""Where a system stands in its life, as its directory knows it; there is no way back.

    it is       and                                          then it is
    launched    every process is ready                       running
    launched    its start fails, and no other launch waits   undone, and over
    any         somebody drains it                           draining
    draining    all has ended                                over
    any         another system takes its database            replaced, and over when all has ended

One that ran before its directory was restarted counts as running from the beginning: it is not
the directory's to undo. While it is draining, it takes no launch and no driver. One that was
replaced says so to whoever asks, also when it is over.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from runtime.errors import SystemDraining
from runtime.topology.status import DrainReport
from store.errors import SystemReplaced


class Lifecycle:
    """The directory's event loop alone changes it."""

    def __init__(self, namespace: str, *, found_running: bool) -> None:
        self._namespace = namespace  #: immutable
        #: Ran the system before this incarnation, or has a start of it succeeded?
        self.found_running = found_running
        self.has_shards = asyncio.Event()  #: the database is claimed, and they are dealt out
        self.replaced: SystemReplaced | None = None  #: by another system, for good
        self.undoing: asyncio.Task[None] | None = None  #: of a start in vain; launches wait for it
        self.draining: asyncio.Task[DrainReport] | None = None  #: from the first drain on, for good
        self.over = False  #: all that the directory had started has ended, for good
        self._launches = 0  #: that wait now
        self._take_over = False  #: did one of them say so?

    @contextmanager
    def launching(self, *, take_over: bool) -> Iterator[None]:
        """Around a launch that waits for the system to run."""
        self._launches += 1
        self._take_over |= take_over
        try:
            yield
        finally:
            self._launches -= 1
            self._take_over &= self._launches > 0

    @property
    def takes_over(self) -> bool:
        """Does a launch that waits now take the database from whichever system has it?"""
        return self._take_over

    @property
    def in_vain(self) -> bool:
        """Is a start that has failed to be undone? It is not where another launch still waits,
        nor where something of the system ran before."""
        return self.replaced is None and self._launches == 1 and not self.found_running

    async def undo(self, work: Coroutine[Any, Any, None]) -> None:
        """End what was started in vain: launches that come meanwhile wait for that, too."""
        self.undoing = asyncio.ensure_future(work)
        await asyncio.shield(self.undoing)

    async def drain(self, work: Callable[[], Coroutine[Any, Any, DrainReport]]) -> DrainReport:
        """Drain it, if nobody does already: who comes meanwhile shares the drain."""
        if self.draining is None:
            self.draining = asyncio.ensure_future(work())
        return await asyncio.shield(self.draining)

    def check_not_draining(self) -> None:
        """Raises SystemDraining from when it is drained on."""
        if self.draining is not None:
            raise SystemDraining(self._namespace)

    def check_not_replaced(self) -> None:
        """Raises SystemReplaced once another system has its database."""
        if self.replaced is not None:
            raise SystemReplaced(*self.replaced.args)

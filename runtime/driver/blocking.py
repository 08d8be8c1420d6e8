"""Bulk calls for callers that block: the only place in which a bulk call waits."""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from weakref import finalize

from actors.event import Event
from runtime.driver.bulk import BulkCall, BulkResult, Item
from runtime.driver.bulk_steps import Progress, asking, telling
from runtime.driver.reply import Reply
from runtime.process.no_waiting import check_may_wait

logger = logging.getLogger("thornback.driver")


def tell_many(items: Iterable[Item], *, patience_s: float, progress: Progress | None) -> BulkResult:
    """See ActorSystem.tell_many."""
    check_may_wait("a bulk call")
    changed = threading.Event()
    call = BulkCall(patience_s, want_events=False, changed=changed.set)
    with closing(telling(items, call, progress)) as steps:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: BulkResult = end.value
                return result
            changed.wait()
            changed.clear()  # only now: what changes from here on is seen by the next step


def ask_many(
    items: Iterable[Item], *, patience_s: float, ahead: int
) -> Iterator[Reply[list[Event]]]:
    """See ActorSystem.ask_many."""
    begun: list[bool] = []
    replies = _asked_many(items, patience_s, ahead, begun)
    finalize(replies, _say_not_begun, begun)
    return replies


def _say_not_begun(begun: list[bool]) -> None:
    if not begun:
        logger.warning(
            "nobody went through the replies of an ask_many, so nothing of it was sent: say `for "
            "reply in system.ask_many(...)`, or tell_many, which sends at once"
        )


def _asked_many(
    items: Iterable[Item], patience_s: float, ahead: int, begun: list[bool]
) -> Iterator[Reply[list[Event]]]:
    begun.append(True)
    check_may_wait("a bulk call")
    changed = threading.Event()
    call = BulkCall(patience_s, want_events=True, changed=changed.set)
    with closing(asking(items, call, ahead)) as steps:
        for reply in steps:
            if reply is not None:
                yield reply
            else:
                changed.wait()
                changed.clear()  # only now: what changes from here on is seen by the next step

"""Bulk calls, step by step: how the items come to be batches, and their answers to the caller.

Nothing here waits, and nothing here knows threads: `telling` and `asking` are generators
that hand control back whenever something has to happen first. Whoever drives them waits in
its own way (blocking.py with a thread, the simulation with an event of its loop). Who goes
before the end closes them: what was taken and not sent is said to be so.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from actors.event import Event
from runtime.driver.bulk import BulkCall, BulkResult, Item, no_item
from runtime.driver.reply import Reply
from runtime.errors import ConnectionClosed
from runtime.wire.answers import read_events

Progress = Callable[[BulkResult], None]


def telling(
    items: Iterable[Item], call: BulkCall, progress: Progress | None
) -> Generator[None, None, BulkResult]:
    """See ActorSystem.tell_many. Yields when it can go on only after `changed`.

    What the iterable or `progress` raises is raised when everything that was taken is
    settled; `progress` is not called again after it has raised.
    """
    try:
        result = BulkResult()
        failure: Exception | None = None
        try:
            for item in _iterated(items):
                while call.offer(item) is None:
                    yield
                    _count(call, result, progress)
                if call.answered:
                    _count(call, result, progress)
        except Exception as error:
            failure = error
        while True:
            try:
                _count(call, result, progress if failure is None else None)
            except Exception as error:
                failure = failure or error
            call.send_all()
            if call.idle:
                break
            if not call.answered:
                yield
        if failure is not None:
            raise failure
        return result
    finally:
        call.leave()  # changes nothing but where the caller goes before the end


def _count(call: BulkCall, result: BulkResult, progress: Progress | None) -> None:
    collected = call.collect()
    for outgoing in collected:
        result.add(outgoing)
    for outgoing in collected:
        if isinstance(outgoing.error, ConnectionClosed):
            raise ConnectionClosed(*outgoing.error.args)
        if progress is not None:
            progress(result)


def asking(
    items: Iterable[Item], call: BulkCall, ahead: int
) -> Generator[Reply[list[Event]] | None, None, None]:
    """See ActorSystem.ask_many. Yields the replies, each done, in the order of the items;
    and None when it can go on only after `changed`.

    What the iterable raises, or offering what it gives, is raised behind the replies of all
    that was taken before.
    """
    try:
        replies: deque[Reply[list[Event]]] = deque()
        taken, failure = _iterated(items), None
        item: Item | None = None  # that could not be placed yet
        while True:
            try:
                item = item or next(taken)
                placed = call.offer(item)
            except StopIteration:
                break
            except Exception as error:
                failure = error
                break
            if placed is None:
                yield None
                call.collect()
                continue
            item = None
            replies.append(Reply(*placed, read_events))
            if len(replies) >= ahead:
                yield from _first(replies, call)
        while replies:
            yield from _first(replies, call)
        if failure is not None:
            raise failure
    finally:
        call.leave()  # changes nothing but where the caller goes before the end


def _first(
    replies: "deque[Reply[list[Event]]]", call: BulkCall
) -> Generator[Reply[list[Event]] | None, None, None]:
    reply = replies.popleft()
    while not reply.done():
        call.collect()
        call.send_all()
        if not reply.done():
            yield None
    call.collect()
    yield reply


def _iterated(items: Any) -> Iterator[Item]:
    try:
        return iter(items)
    except TypeError as error:
        raise no_item(items) from error

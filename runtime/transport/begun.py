"""Work whose first step is done at once, in the background from where it first waits.

A task begins a turn of the event loop after it was made. On the way of a single command
that is a turn for each process it passes (5 to 10 us) in which nothing happens. Python
3.12 has this as `asyncio.eager_task_factory`.
"""

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


def begun(work: Coroutine[Any, Any, T]) -> "asyncio.Future[T]":
    """Run a coroutine up to where it first waits; the rest is a task, to be cancelled as one.

    Until then it has no task of its own, so it may not set a timeout that early.
    """
    try:
        awaited = work.send(None)
    except StopIteration as done:
        return _ended(done.value, None)
    except Exception as error:
        return _ended(None, error)
    rest = _rest(work, awaited)
    rest.send(None)
    return asyncio.ensure_future(rest)


async def _rest(work: Coroutine[Any, Any, T], awaited: Any) -> T:
    return await _going_on(work, awaited)


@types.coroutine
def _going_on(work: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    try:
        try:
            yield  # here it stands as a task that is yet to run: one cancelled so early ends, too
        except (Exception, asyncio.CancelledError) as error:
            awaited = work.throw(error)
        while True:
            try:
                answer = yield awaited
            except (Exception, asyncio.CancelledError) as error:
                awaited = work.throw(error)
            else:
                awaited = work.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        work.close()  # where it was given up: otherwise it has ended


def _ended(result: Any, error: Exception | None) -> "asyncio.Future[Any]":
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
    return future

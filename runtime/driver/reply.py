"""What a driver holds for something that it asked: awaitable, with a `result`."""

import asyncio
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from actors.errors import ThornbackError
from runtime.driver.pending import Pending
from runtime.errors import AskTimeout
from runtime.process.no_waiting import check_may_wait
from runtime.wire.commands import Answer

T = TypeVar("T")


class Reply(Generic[T]):
    """The answer to come of one command, or of another question to the system. Await it,
    or call `result`.

    Either gives the value or raises the typed error; as often as one likes. It is a coroutine,
    too, as far as asyncio.create_task and TaskGroup.create_task want one. An error that nobody
    looks at is logged.
    """

    __slots__ = ("_index", "_pending", "_read", "_steps")

    def __init__(self, pending: Pending[Any], index: int, read: Callable[[Any, int], T]) -> None:
        self._pending = pending
        self._index = index
        self._read = read

    def __repr__(self) -> str:
        """Whose it is, and how it stands; what it brings is what `result` returns."""
        pending = self._pending
        how = "unanswered"
        if pending.finished:
            failed = pending.error is not None or (
                isinstance(pending.answer, Answer) and self._index in pending.answer.errors
            )
            how = "failed" if failed else "answered"
        return f"<Reply to {pending.asked(self._index)}: {how}>"

    @property
    def pending(self) -> Pending[Any]:
        """What it waits for, with others that travelled along."""
        return self._pending

    def done(self) -> bool:
        """Would `result` return, or raise, at once?"""
        return self._pending.finished

    @property
    def repeated(self) -> bool:
        """Whether the command had taken effect before; known once the reply is done."""
        answer = self._pending.answer
        return isinstance(answer, Answer) and self._index in answer.repeats

    def result(self, timeout_s: float | None = None, *, timeout: None = None) -> T:
        """Wait for the answer. Without `timeout_s`, as long as what was asked may take: a
        command the system's `actor_timeout_ms`, one of a bulk call its patience.

        Raises AskTimeout, or what the command was answered; WaitInHandler, at once, in a host's
        handler; and TypeError for `timeout`, which is concurrent.futures' word.
        """
        _check_seconds(timeout_s, timeout)
        if timeout_s is None:
            timeout_s = self._pending.limit_s
        if not self._pending.finished:
            check_may_wait(self._pending.what(self._index))
        if not self._pending.wait(timeout_s):
            self._pending.heard(self._index)
            raise AskTimeout(
                self._pending.what(self._index), timeout_s or 0.0, doing=self._pending.held_up_by()
            )
        return self._value()

    def __await__(self) -> Generator[Any, None, T]:
        future = self._pending.future()
        if future is not None:
            yield from future
        return self._value()

    def send(self, value: None) -> Any:
        """The next step of the task that runs it (see collections.abc.Coroutine)."""
        return self._of_task().send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error where its task waits."""
        return self._of_task().throw(*error)

    def close(self) -> None:
        """Its task gives up waiting; the command goes on."""
        self._of_task().close()

    if not TYPE_CHECKING:  # which says so, too, and at the line

        def __getattr__(self, name: str) -> NoReturn:
            self._is_no_value(f".{name}", AttributeError)

        def __getitem__(self, index: object) -> NoReturn:
            self._is_no_value(f"[{index!r}]", TypeError)

        def _is_no_value(self, wanted: str, error: type[Exception]) -> NoReturn:
            raise error(
                f"a reply has no {wanted}: what was asked for is what .result() returns, or await"
            )

    def _of_task(self) -> Generator[Any, Any, T]:
        """Where the running task is in it: several may wait for one reply."""
        if not hasattr(self, "_steps"):  # made here: few replies are made tasks of
            self._steps: dict[Any, Generator[Any, Any, T]] = {}
        steps = self._steps
        task = asyncio.current_task()
        if task not in steps:
            steps[task] = self.__await__()
        return steps[task]

    def _value(self) -> T:
        try:
            if self._pending.error is not None:
                raise self._pending.failure(self._index)
            return self._read(self._pending.answer, self._index)
        except ThornbackError as error:
            self._pending.heard(self._index)
            # It was decoded here and happened elsewhere: the frames in between tell nothing.
            raise error.with_traceback(None)  # noqa: B904 - it is the same error
        except Exception:
            self._pending.heard(self._index)
            raise


def _check_seconds(timeout_s: Any, timeout: Any) -> None:
    if timeout is not None or not isinstance(timeout_s, int | float | None):
        wrong = f"timeout={timeout!r}" if timeout is not None else f"{timeout_s!r}"
        raise TypeError(f"a reply waits for seconds: result(timeout_s=1.5), not {wrong:.80}")


def as_it_is(answer: T, _: int) -> T:
    """Read an answer that is the value itself."""
    return answer

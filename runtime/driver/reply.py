"""What a driver holds for something that it asked: awaitable, with a `result`."""

from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from runtime.driver.pending import Pending
from runtime.errors import AskTimeout, fresh
from runtime.wire.commands import Answer

T = TypeVar("T")


class Reply(Generic[T]):
    """The answer to come of one command, or of another question to the system. Await it,
    or call `result`.

    Either gives the value or raises the typed error; as often as one likes.
    """

    __slots__ = ("_index", "_pending", "_read")

    def __init__(self, pending: Pending[Any], index: int, read: Callable[[Any, int], T]) -> None:
        self._pending = pending
        self._index = index
        self._read = read

    def done(self) -> bool:
        """Would `result` return, or raise, at once?"""
        return self._pending.finished

    @property
    def repeated(self) -> bool:
        """Whether the command had taken effect before; known once the reply is done."""
        answer = self._pending.answer
        return isinstance(answer, Answer) and self._index in answer.repeats

    def result(self, timeout_s: float | None = None) -> T:
        """Wait for the answer. Without `timeout_s`, as long as what was asked may take: a
        command the system's `actor_timeout_ms`, one of a bulk call its patience.

        Raises AskTimeout, or what the command was answered.
        """
        if timeout_s is None:
            timeout_s = self._pending.limit_s
        if not self._pending.wait(timeout_s):
            raise AskTimeout(self._pending.what(self._index), timeout_s or 0.0)
        return self._value()

    def __await__(self) -> Generator[Any, None, T]:
        future = self._pending.future()
        if future is not None:
            yield from future
        return self._value()

    def _value(self) -> T:
        if self._pending.error is not None:
            raise fresh(self._pending.error)
        return self._read(self._pending.answer, self._index)


def as_it_is(answer: T, _: int) -> T:
    """Read an answer that is the value itself."""
    return answer

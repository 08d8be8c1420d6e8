"""The answer to come of one command."""

from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from runtime.driver.outgoing import Outgoing
from runtime.errors import AskTimeout
from runtime.wire.commands import Answer

T = TypeVar("T")


class Reply(Generic[T]):
    """The answer to come of one command. Await it, or call `result`.

    Either gives the value or raises the typed error; as often as one likes.
    """

    __slots__ = ("_index", "_outgoing", "_read")

    def __init__(self, outgoing: Outgoing, index: int, read: Callable[[Answer, int], T]) -> None:
        self._outgoing = outgoing
        self._index = index
        self._read = read

    def done(self) -> bool:
        """Would `result` return, or raise, at once?"""
        return self._outgoing.finished

    def wait(self) -> None:
        """Block until it is done, however it ended."""
        self._outgoing.wait(None)

    @property
    def repeated(self) -> bool:
        """Whether the command had taken effect before; known once the reply is done."""
        answer = self._outgoing.answer
        return answer is not None and self._index in answer.repeats

    def result(self, timeout_s: float | None = None) -> T:
        """Wait for the answer. Without `timeout_s`, as long as the system's
        `actor_timeout_ms` allows. Raises AskTimeout, or what the command was answered."""
        if not self._outgoing.wait(timeout_s):
            raise AskTimeout(self._outgoing.source(self._index), timeout_s or 0.0)
        return self._value()

    def __await__(self) -> Generator[Any, None, T]:
        future = self._outgoing.future()
        if future is not None:
            yield from future
        return self._value()

    def _value(self) -> T:
        if self._outgoing.error is not None:
            raise fresh(self._outgoing.error)
        assert self._outgoing.answer is not None
        return self._read(self._outgoing.answer, self._index)


def fresh(error: Exception) -> Exception:
    """The error anew: one raised at several places would collect all their tracebacks."""
    return type(error)(*error.args)

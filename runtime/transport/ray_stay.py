"""This program's stay in a Ray that may end before the program does.

What was got during a stay is good for nothing in the Ray that comes after it: a handle of a process
raises ActorDiedError once its stay is over, as that of a process which was drained does. So whoever
finds drained systems again finds those of another Ray, too (docs/decisions/0053).
"""

from collections.abc import Callable
from typing import Any

from ray.exceptions import ActorDiedError


class InNoRay(ValueError):
    """There is no such process: the Ray that this program was in has ended."""


class RayStay:
    """One stay; `after` says what comes of it, for whoever asks when it is over."""

    def __init__(self, after: str) -> None:
        self.over = False  # once it is, for good
        self._after = after

    def check(self) -> None:
        """Raises InNoRay once it is over."""
        if self.over:
            raise InNoRay(self._after)

    def handle(self, handle: Any) -> "StayHandle":
        """The handle of a process, for as long as this stay."""
        return StayHandle(handle, self)


class StayHandle:
    """A Ray handle whose methods raise ActorDiedError once its stay is over."""

    def __init__(self, handle: Any, stay: RayStay) -> None:
        self._handle, self._stay = handle, stay

    def __getattr__(self, name: str) -> Any:
        return _Method(self._called(name))

    def _called(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self._stay.over:
                raise ActorDiedError
            return getattr(self._handle, name).remote(*arguments)

        return call

    def of_ray(self) -> Any:
        """The handle as Ray gave it, for what Ray alone can do with it."""
        return self._handle


class _Method:
    def __init__(self, remote: Callable[..., Any]) -> None:
        self.remote = remote


class _Now:
    """The stay of this program; None where its Ray ends no earlier than it, or where it is to
    end with its Ray: in what Ray itself has started."""

    stay: RayStay | None = None


def begin_stay(after: str) -> RayStay:
    """This program has just joined a Ray that may end before it."""
    _Now.stay = RayStay(after)
    return _Now.stay


def stay_now() -> RayStay | None:
    """The stay in the Ray that this program is in, or was in last."""
    return _Now.stay


def of_ray(handle: Any) -> Any:
    """A handle as Ray knows it."""
    return handle.of_ray() if isinstance(handle, StayHandle) else handle

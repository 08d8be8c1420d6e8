"""Calls with the wrong arguments: Python says that they do not fit, and we say what would."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def advised(advice: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have the TypeError for arguments that do not fit end with an advice. What the function
    itself raises is its own."""

    def advise(function: Callable[P, R]) -> Callable[P, R]:
        takes = signature(function)

        @wraps(function)
        def call(*args: P.args, **named: P.kwargs) -> R:
            _check(function.__name__, takes.bind, advice, *args, **named)
            return function(*args, **named)

        return call

    return advise


def _check(name: str, bind: Callable[..., Any], advice: str, /, *args: Any, **named: Any) -> None:
    try:
        bind(*args, **named)
    except TypeError as error:
        raise TypeError(f"{name}: {error}: {advice}") from None

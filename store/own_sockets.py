"""Sockets are for the process that opened them, also where it forks.

A forked process has copies of them. As long as one is open, nobody at the other end notices that
the process which used it has ended: neither a driver that waits for an answer, nor PostgreSQL,
which keeps its locks for it. Python has them closed where a child goes on to another program
(PEP 446, and so does uvloop); in one that goes on in Python, after `os.fork` or by multiprocessing,
they are closed here. Nothing is sent by that, and the parent goes on.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

#: By whoever has sockets: what tells the descriptors of those that are open.
_own: "WeakKeyDictionary[Any, Callable[[Any], Iterable[int]]]" = WeakKeyDictionary()


def keep_from_children(holder: Any, descriptors: Callable[[Any], Iterable[int]]) -> None:
    """Close the sockets of somebody in processes that this one forks. `descriptors` is asked
    there, and tells those that are open."""
    _own[holder] = descriptors


def descriptors_of(transport: Any) -> list[int]:
    """Those of a transport of an event loop."""
    if transport is None or transport.is_closing():
        return []
    plain = transport.get_extra_info("socket")
    # An event loop that was closed has closed it, and its transport does not know.
    return [] if plain is None or plain.fileno() < 0 else [plain.fileno()]


def _in_a_forked_child() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    problems: list[Exception] = []
    for holder, descriptors in list(_own.items()):
        try:
            for descriptor in descriptors(holder):
                # Not just closed: the loop's objects would close whatever has its number by then.
                os.dup2(nothing, descriptor, inheritable=False)
        except Exception as problem:
            problems.append(problem)
    os.close(nothing)
    _own.clear()
    if problems:  # Python prints it: nobody can catch what is raised after a fork
        raise ExceptionGroup("sockets of the process that forked are still open", problems)


os.register_at_fork(after_in_child=_in_a_forked_child)

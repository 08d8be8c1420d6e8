"""What is shown, and one way to fail: for every main and every command, without Ray.

Exit codes: 0, all is well; 1, it was done, and something is not well (a rejected line, a process
that is away); 2, it could not be done (a ThornbackError, a wrong option); 130, Ctrl-C.
"""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console, RenderableType

from actors.errors import ThornbackError

UNWELL = 1  #: the exit code of what was done and found something amiss
IMPOSSIBLE = 2  #: of what could not be done
INTERRUPTED = 130  #: after Ctrl-C

#: Wide enough for any line, where nobody's terminal says how wide it is.
_WIDE = 4096

console = Console(highlight=False)
problems = Console(stderr=True, highlight=False, soft_wrap=True)


def show(what: RenderableType) -> None:
    """Print a table: within the terminal, or a row a line where there is none."""
    folded = console.is_terminal or console.width != 80
    (console if folded else Console(highlight=False, width=_WIDE)).print(what)


@contextmanager
def begun(what: str) -> Iterator[None]:
    """Say at once what is done until the block ends: on a terminal in a line that goes again,
    elsewhere in a line that stays, so that nobody waits for a first word."""
    if not console.is_terminal:
        console.print(what, markup=False)
    with console.status(what):
        yield


def as_json(value: Any) -> str:
    """A value as one line of JSON, for programs."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def run(main: Callable[[], int], *, for_programs: bool = False) -> None:
    """Run a main and exit: with its code, or with one line for an error that has a name
    (`for_programs`: a line of JSON)."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    try:
        code = main()
        sys.stdout.flush()
    except ThornbackError as error:
        if for_programs:
            said = as_json({"error": type(error).__name__, "message": str(error)})
            problems.print(said, markup=False)
        else:
            problems.print("[red]error[/]:", end=" ")
            problems.print(str(error), markup=False)
        code = IMPOSSIBLE
    except KeyboardInterrupt:
        problems.print("interrupted")
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read this has seen enough. What is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    with _undisturbed():
        leave_ray()
    sys.exit(code)


def leave_ray() -> None:
    """Leave the Ray that this process has joined, if it has. Ray itself leaves when Python ends,
    and sleeps for half a second before; Ctrl-C in that time shows a traceback of Ray's."""
    if (leave := getattr(sys.modules.get("ray"), "shutdown", None)) is not None:
        leave()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """What was to be done is done, and Ctrl-C changes nothing any more."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID | Path):
        return str(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return str(value)

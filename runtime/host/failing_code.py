"""Where in its user's code a handler failed."""

import os
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, FrameType

#: So many frames are told; the whole traceback is in the log.
FRAMES = 3

_ROOT = Path(__file__).parents[2]
#: What calls a handler, and takes what it yields, whosever it is.
_CALLERS = (
    *(f"{_ROOT / room}{os.sep}" for room in ("runtime", "store")),
    str(_ROOT / "actors" / "actor_type.py"),
)
_OURS = tuple(f"{_ROOT / room}{os.sep}" for room in ("runtime", "actors", "store", "streams"))
_INSTALLED = tuple(
    f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")
)

_NOT_THEIRS = (*_OURS, *_INSTALLED)


def own_frames(error: BaseException) -> list[str]:
    """The last frames of the user's own code on the way to an error: file, line and function.

    Own is what is neither ours nor installed; where nothing is, as for an actor that comes out
    of an installed package, all that is not of what calls it.
    """
    # Not `extract_tb`: it looks for the lines of the source, which takes twenty times as long.
    return _last([(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)])


def running_frames(stack: Iterable[FrameType]) -> list[str]:
    """The same of code that still runs, from its innermost frame on."""
    frames = [(frame.f_code, frame.f_lineno or 0) for frame in stack]
    return _last(frames[::-1])


def _last(frames: list[tuple[CodeType, int]]) -> list[str]:
    """Those that are told, of frames from the outermost on."""
    theirs = [each for each in frames if not each[0].co_filename.startswith(_NOT_THEIRS)]
    found = theirs or [each for each in frames if not each[0].co_filename.startswith(_CALLERS)]
    return [f"{code.co_filename}:{line}, in {code.co_name}" for code, line in found[-FRAMES:]]

"""Where in its user's code a handler failed, and for whom it is running now."""

import os
import sys
import sysconfig
import traceback
from pathlib import Path
from types import CodeType, FrameType

#: So many frames are told; the whole traceback is in the log.
FRAMES = 3

_ROOT = Path(__file__).parents[2]
_RUNTIME = f"{_ROOT / 'runtime'}{os.sep}"
_OURS = tuple(f"{_ROOT / room}{os.sep}" for room in ("runtime", "actors", "store", "streams"))
_INSTALLED = tuple(
    f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def own_frames(error: BaseException) -> list[str]:
    """The last frames of the user's own code on the way to an error: file, line and function.

    Own is what is neither ours nor installed; where nothing is, as for an actor that comes out
    of an installed package, all that is not of the runtime.
    """
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [each for each in frames if not each.filename.startswith((*_OURS, *_INSTALLED))]
    found = theirs or [each for each in frames if not each.filename.startswith(_RUNTIME)]
    return [f"{each.filename}:{each.lineno}, in {each.name}" for each in found[-FRAMES:]]


def running_for(decide: CodeType) -> str | None:
    """The source whose handler or applier this thread is in: a local of `decide`, which is looked
    for among the callers. So it costs a command nothing that nobody prints in it."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not decide:
        frame = frame.f_back
    return None if frame is None else frame.f_locals.get("source")

"""Programs that stay while the Ray of their project ends and another one begins.

Ray's own code ends a program that has lost its Ray, about a minute later and from outside Python.
So a program that is to stay leaves the Ray of `thornback up` when that ends: when its note says
that it is about to, or when the process that keeps it is gone. It joins the next one that is noted
in the folder. Its connections are told nothing: what they knew is over
(runtime/transport/ray_stay.py), and they find the system again as after a drain.
"""

import gc
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import ray

from runtime.cluster.project_ray import (
    ADDRESS,
    Note,
    begin_no_ray,
    mean_none,
    noted,
    project_is_up,
)
from runtime.driver.connection import any_open
from runtime.transport.ray_stay import RayStay, begin_stay, stay_now

logger = logging.getLogger("thornback.driver")

#: Between two looks at the note and at the process that keeps Ray: neither says when it goes.
_LOOK_S = 0.25


def stay_on(found: Note, folder: Path, join: Callable[[], None]) -> None:
    """This program has joined the Ray of that note, of a project's `folder`. It leaves it when it
    ends, and calls `join` to come back to the next one, for as long as it has open connections.

    `join` joins the Ray that is noted in `folder`, and calls this again. It raises where that
    does not let anybody in.
    """
    after = (
        f"the Ray of `thornback up` in {folder} has ended; this program goes on when "
        "`thornback up` has started another one there"
    )
    stay = begin_stay(after)
    threading.Thread(
        target=_watch, args=(found, folder, stay, after, join), name="thornback-ray", daemon=True
    ).start()


def _watch(found: Note, folder: Path, stay: RayStay, after: str, join: Callable[[], None]) -> None:
    pause = threading.Event()
    while _lasts(found, folder):
        pause.wait(_LOOK_S)
    if any_open():
        logger.warning("%s", after)
    begin_no_ray()
    stay.end()
    if other_ray(found) is None:
        _leave_ray()
    mean_none(found)
    said = ""
    while any_open() and stay_now() is stay:  # or somebody else of this program has come back
        try:
            if project_is_up(folder):
                join()
                logger.warning("back in the Ray of `thornback up` in %s", folder)
                return
        except Exception as error:  # it may let this program in a moment later
            if str(error) != said:
                logger.warning("not yet back in Ray: %s", error)
                stay.say(f"{after}: {error}")
            said = str(error)
        pause.wait(_LOOK_S)


def other_ray(found: Note) -> str | None:
    """The address of the Ray that this program is in, if it is another one than that of the note:
    this program's own code has joined it."""
    if not ray.is_initialized():
        return None
    joined: str = ray.get_runtime_context().gcs_address
    return joined if joined != found.way_in.get(ADDRESS) else None


def _leave_ray() -> None:
    """While Ray is being left, its own code ends the program, without a word, where anything of it
    is given back. RayStay keeps what would be; the collector of garbage is to find none of it."""
    gc.collect()
    collects = gc.isenabled()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        if collects:
            gc.enable()


def _lasts(found: Note, folder: Path) -> bool:
    try:
        now = noted(folder)
        there = now is not None and now.pid == found.pid and not now.ending
        return there and found.keeper() is not None
    except OSError as error:  # this program has too many files open, say: it has seen nothing
        logger.debug("cannot look whether Ray is to end: %s", error)
        return True

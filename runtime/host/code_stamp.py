"""Tells the code of classes that a host has imported from what it was before.

A class that was sent has a fingerprint of what it is (wire/actor_code.py), which takes ten
milliseconds or more to make: too long for each class of a host that is started anew in a hurry. A
stamp is of the files that the user's modules were imported from, also of those that a class only
uses. So it may tell two apart that decide alike, and never takes one for another that decides
otherwise.
"""

import logging
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from runtime.wire.class_shipping import own_modules

logger = logging.getLogger("thornback.host")

#: What a stamp begins with, and no fingerprint does: those two say nothing of one another.
_STAMPED = "files:"


def stamp_of(modules: Iterable[str]) -> str:
    """Of the code of modules that were imported just now, and of all that may be used by them: the
    same packages, and the user's other modules."""
    roots = {*(one.partition(".")[0] for one in modules), *(one.__name__ for one in own_modules())}
    digest = sha256()
    for name, loaded in sorted(sys.modules.items()):
        if name.partition(".")[0] in roots:
            place = getattr(loaded, "__file__", None)
            if isinstance(place, str):
                digest.update(f"{name}\n".encode(errors="replace") + _content(Path(place)))
    return _STAMPED + digest.hexdigest()


def differ(before: str, now: str) -> bool:
    """Are these two known to be of different code? Of nobody's code, and of a fingerprint beside a
    stamp, that is not known."""
    if not before or not now:
        return False
    return before != now and before.startswith(_STAMPED) == now.startswith(_STAMPED)


def _content(place: Path) -> bytes:
    """What tells a file from another: of a source its text, of what is compiled its size and when
    it was written."""
    try:
        if place.suffix == ".py":
            return sha256(place.read_bytes()).digest()
        found = place.stat()
    except OSError as error:  # out of an archive, say
        logger.debug("%s cannot be read: %s", place, error)
        return b""
    return f"{found.st_size} {found.st_mtime_ns}".encode()

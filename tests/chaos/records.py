"""What drivers and readers write down: a line is in the file before what it says is acted on."""

import json
import os
import time
from pathlib import Path
from typing import Any


class Record:
    """A file of one process. What was written is there, also where the writer is killed: one call
    hands a whole line to the system."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, **line: Any) -> None:
        """One line."""
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """Nothing is written any more."""
        os.close(self._file)


def now_ns() -> int:
    """By a clock that all processes of this machine share."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

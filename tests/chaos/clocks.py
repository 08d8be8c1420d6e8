"""The clocks of the suite's machines, set while all of it runs (site/sitecustomize.py)."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from tests.chaos.records import Record, now_ns

_SITE = Path(__file__).parent / "site"
#: What `site/sitecustomize.py` reads of the environment.
FOLDER, MACHINE = "CHAOS_CLOCKS", "CHAOS_MACHINE"


class Clocks:
    """All of them. One that nobody has set is right."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self._folder = folder
        self._record: Record | None = None

    def environment(self) -> Mapping[str, str]:
        """What whoever is to have such a clock is started with."""
        path = [str(_SITE), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {FOLDER: str(self._folder), "PYTHONPATH": os.pathsep.join(path)}

    def begin(self, records: Path) -> None:
        """All are right, and what becomes of them is written down there."""
        self._record = Record(records / "clocks.jsonl")
        self._record.write(unix_ns=time.time_ns(), at_ns=now_ns())
        for machine in self._folder.iterdir():
            self.right(machine.name)

    def right(self, machine: str) -> None:
        """Have a clock say what time it is."""
        self.set(machine, 0.0)

    def set(self, machine: str, by_s: float) -> bool:
        """Have a clock be off by so much; is there such a machine?"""
        assert self._record is not None
        by_ns = int(by_s * 1e9)
        try:
            file = os.open(self._folder / machine, os.O_WRONLY)
        except FileNotFoundError:
            return False
        began_ns = now_ns()
        os.pwrite(file, by_ns.to_bytes(8, "little", signed=True), 0)
        os.close(file)
        self._record.write(machine=machine, by_ns=by_ns, from_ns=began_ns, at_ns=now_ns())
        return True

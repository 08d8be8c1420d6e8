"""Totals of the log: counters that are not counted up, because the log says what they are.

Whoever knows them shows them as long as it lives, wherever it runs. They are in no file of
prometheus_client's own, whose counters stay when their process has gone to another machine: a sum
over machines would have them twice.
"""

from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.mmap_dict import MmapedDict, mmap_key


class Total(NamedTuple):
    """A counter with one label."""

    name: str
    text: str
    label: str


PUBLISHED = Total("events_published", "Events of the log since the launch", "event_type")
PROCESSED = Total("events_processed", "Events of the log since the launch, by who decides", "node")
TOTALS = (PUBLISHED, PROCESSED)

#: What the names of the files begin with: they are read as those of prometheus_client's counters.
_BEGIN = "counter_totals-"


def totals_file(folder: Path, identifier: str) -> Path:
    """Where the process that counts under that name has its totals."""
    return folder / f"{_BEGIN}{identifier}.db"


def whose_totals(file: Path) -> str | None:
    """Under which name the process counts that has its totals there; None: no such file."""
    return file.stem.removeprefix(_BEGIN) if file.name.startswith(_BEGIN) else None


class Totals:
    """Those of one process; shown to nobody where `file` is None. What whoever had this file
    before has shown in it is shown no more, and what he shows from now on to nobody: he may live,
    and two who write into one file make what nobody can read."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._values: Any = None  # made with the first that is shown: most processes have none
        if file is not None and file.exists():
            fresh = file.with_suffix(".new")
            _mapped(fresh).close()
            fresh.replace(file)  # for who reads just now it is the one or the other, and whole

    def show(self, total: Total, label: str, count: int) -> None:
        """From now on it is so many."""
        if self._file is None:
            return
        if self._values is None:
            self._values = _mapped(self._file)
        key: Any = mmap_key
        name = f"{total.name}_total"
        where = key(total.name, name, [total.label], [label], total.text)
        self._values.write_value(where, float(count), 0.0)


def _mapped(file: Path) -> Any:
    mapped: Any = MmapedDict
    return mapped(str(file))

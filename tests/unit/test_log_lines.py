"""The log of a process: which of Ray's files are of its earlier incarnations, and what they say."""

import os
import subprocess
import sys
from pathlib import Path

from jobs.cli.logs import _entries
from runtime.process.log_lines import ended_files, read_file

OWN = "thornback/host-1"


def file_of(folder: Path, name: str, whose: str, *, age_s: float = 0.0, said: str = "") -> Path:
    """A file as Ray names them, with the mark of a process behind what Ray writes itself."""
    file = folder / f"worker-{name}.out"
    file.write_text(f":job_id:01000000\n:thornback_process:{whose}\n{said}")
    os.utime(file, (1e9 - age_s, 1e9 - age_s))
    return file


def test_the_files_of_earlier_incarnations_are_known_by_their_mark(tmp_path: Path) -> None:
    now = file_of(tmp_path, "now", OWN)
    older = file_of(tmp_path, "older", OWN, age_s=20)
    old = file_of(tmp_path, "old", OWN, age_s=10)
    file_of(tmp_path, "neighbour", "thornback/host-11")
    file_of(tmp_path, "namesake", "staging/host-1")
    (tmp_path / "worker-none.out").touch()
    (tmp_path / "raylet.out").write_text(f":thornback_process:{OWN}\n")
    assert ended_files(tmp_path, OWN, but=[now]) == [old, older]


def test_of_a_process_that_fails_over_and_over_the_last_files_are_told(tmp_path: Path) -> None:
    files = [file_of(tmp_path, str(number), OWN, age_s=number) for number in range(30)]
    assert ended_files(tmp_path, OWN, but=[]) == files[:8]


def test_a_last_line_without_an_end_is_told_of_those_alone_that_have_ended(tmp_path: Path) -> None:
    file = tmp_path / "worker-1.out"
    file.write_text("whole\nhal")
    assert read_file(file, None, ended=False) == (6, b"whole\n", False)
    assert read_file(file, 6, ended=False) == (6, b"", False)
    assert read_file(file, None, ended=True) == (9, b"whole\nhal", True)
    assert read_file(file, 9, ended=True) == (9, b"", True)


SAYS = """
import logging
from runtime.process import log_lines

whom = iter([None, "charger/c 1@x [y]", None, None])
machine = "0123456789abcdef"
log_lines.begin(lambda: next(whom), "thornback/host-0", node="n-1.a/b c", machine=machine)
logging.getLogger("thornback.host").warning("one")
print("two\\nthree")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("somebody.else").exception("four")
"""


def test_whatever_a_process_says_names_its_node_and_its_machine() -> None:
    said = subprocess.run(
        [sys.executable, "-c", SAYS], capture_output=True, text=True, check=True
    )  # fmt: skip
    entries = [*_entries("host-0", False, said.stderr), *_entries("host-0", False, said.stdout)]
    assert [(one.level, one.logger, one.about, one.text.split("\n")[0]) for one in entries] == [
        ("WARNING", "thornback.host", "", "one"),
        ("ERROR", "somebody.else", "", "four"),
        ("PRINT", "stdout", "charger/c 1@x [y]", "two"),
        ("PRINT", "stdout", "", "three"),
    ]
    assert {(one.node, one.machine) for one in entries} == {("n-1.a/b c", "0123456789ab")}
    assert entries[1].text.endswith("ZeroDivisionError: division by zero")

"""Stamps of imported code: another one wherever a file of it is another one, and only there."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.host.code_stamp import differ, stamp_of

HELPER = "LIMIT = 1\n"
MACHINE = "from its_own.helper import LIMIT\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a package that is nobody else's."""
    folder = tmp_path / "its_own"
    folder.mkdir()
    for name, text in (("__init__", ""), ("helper", HELPER), ("machine", MACHINE)):
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("its_own.machine")
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "its_own"]:
        del sys.modules[name]


def test_code_that_a_class_only_uses_is_in_its_stamp(package: Path) -> None:
    before = stamp_of(["its_own.machine"])
    assert stamp_of(["its_own.machine"]) == before
    (package / "helper.py").write_text("LIMIT = 2\n")
    after = stamp_of(["its_own.machine"])
    assert differ(before, after)
    (package / "helper.py").write_text(HELPER)
    assert stamp_of(["its_own.machine"]) == before


def test_a_file_that_is_gone_is_another_one_and_no_error(package: Path) -> None:
    before = stamp_of(["its_own.machine"])
    (package / "helper.py").unlink()
    assert differ(before, stamp_of(["its_own.machine"]))


def test_nothing_is_known_of_nothing_nor_of_a_fingerprint_beside_a_stamp() -> None:
    assert not differ("", "files:a")
    assert not differ("a", "")
    assert not differ("a", "files:a")
    assert differ("a", "b")
    assert not differ("files:a", "files:a")

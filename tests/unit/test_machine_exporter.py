"""The exporter of a machine on which the directory does not run."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from runtime.telemetry.exporter import NewestFolder, fresh_folder


@pytest.fixture(autouse=True)
def own_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def launched(namespace: str, commands: int, at_s: int) -> None:
    """A host of a system that was launched then has counted so many commands."""
    folder = fresh_folder(namespace)
    folder.mkdir()
    mapped: Any = MmapedDict
    file = mapped(str(folder / "counter_host-0.db"))
    file.write_value(mmap_key("commands", "commands_total", [], [], "Commands"), commands, 0.0)
    file.close()
    os.utime(folder, (at_s, at_s))


def shown(namespace: str) -> str:
    registry = CollectorRegistry()
    registry.register(NewestFolder(namespace))
    return generate_latest(registry).decode()


def test_nothing_is_shown_before_a_launch() -> None:
    assert shown("fleet") == ""


def test_the_system_that_was_launched_last_is_shown() -> None:
    launched("fleet", 2, at_s=200)
    launched("fleet", 1, at_s=100)
    assert "commands_total 2.0" in shown("fleet")
    launched("fleet", 3, at_s=300)
    assert "commands_total 3.0" in shown("fleet")


def test_another_namespace_is_not_shown() -> None:
    launched("other", 2, at_s=200)
    assert shown("fleet") == ""

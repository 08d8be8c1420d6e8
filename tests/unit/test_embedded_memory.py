"""How much of a machine's memory the embedded PostgreSQL gets."""

from pathlib import Path

import psutil
import pytest

from store.embedded.memory import MIB, buffers_of, memory_here, shared_buffers

TOTAL = psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("memory_mib", "buffers"),
    [(512, "256MB"), (2048, "256MB"), (8192, "1024MB"), (23_552, "2944MB"), (1 << 20, "4096MB")],
)
def test_it_is_an_eighth_within_bounds(memory_mib: int, buffers: str) -> None:
    assert buffers_of(memory_mib * MIB) == buffers


def test_several_servers_share_it() -> None:
    assert shared_buffers() == buffers_of(memory_here())
    assert shared_buffers(4) == buffers_of(memory_here() // 4)


def machine(folder: Path, groups: str, **limits: str) -> Path:
    """A machine whose process is in such control groups, which have such limits."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(groups)
    for name, limit in limits.items():
        path = folder / "sys/fs/cgroup" / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(limit)
    return folder


def test_a_machine_without_control_groups_is_used_whole(tmp_path: Path) -> None:
    assert memory_here(tmp_path) == TOTAL


def test_a_group_without_a_limit_changes_nothing(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/pod/one\n", pod__one__memory_DOT_max="max\n")
    assert memory_here(root) == TOTAL


def test_the_limit_of_a_group_around_it_holds_too(tmp_path: Path) -> None:
    root = machine(
        tmp_path, "0::/pod/one\n", pod__one__memory_DOT_max="max\n", pod__memory_DOT_max="7000000\n"
    )
    assert memory_here(root) == 7_000_000


def test_so_does_that_of_the_first_kind_of_control_groups(tmp_path: Path) -> None:
    groups = "5:cpu,cpuacct:/elsewhere\n4:memory:/pod\n"
    root = machine(tmp_path, groups, memory__pod__memory_DOT_limit_in_bytes="9000000\n")
    assert memory_here(root) == 9_000_000


def test_a_limit_above_what_there_is_changes_nothing(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/\n", memory_DOT_max=f"{TOTAL * 2}\n")
    assert memory_here(root) == TOTAL

"""What `thornback status` makes of the facts of a process: one line that people read."""

import pytest

from jobs.status import say_other_code, shown
from runtime.topology.names import ProcessKind
from runtime.topology.status import HostFacts, ProcessStatus, TypeCode, WorkerFacts


def worker(program: str, **more: object) -> WorkerFacts:
    """The facts of a worker that has begun."""
    return WorkerFacts(program=program, slots=8, workers=2, fingerprint="0", **more)  # type: ignore[arg-type]


def test_lists_are_shown_as_their_names_and_empty_ones_not_at_all() -> None:
    together = (worker("alarms", position=7), worker("bills"))
    line = shown(worker("night", position=1_204, handles=("low-*", "high-*"), handlers=together))
    assert line.endswith("handles low-* high-*, handlers alarms bills")
    assert "position 1,204" in line
    assert "hand" not in shown(worker("rooms"))


def test_what_is_so_is_said_and_what_is_not_so_is_not() -> None:
    assert ", paused" in shown(worker("rooms", paused=True))
    assert "paused" not in shown(worker("rooms"))


def host(name: str, **code: str) -> ProcessStatus:
    """A host with these fingerprints of types."""
    types = tuple(
        TypeCode(actor_type=each, class_name="x.X", fingerprint=code[each]) for each in code
    )
    facts = HostFacts(
        residents=0, evicted=0, unanswered=0, commands=0, actor_types=tuple(code), code=types,
        source=None,
    )  # fmt: skip
    return ProcessStatus(
        name=name, kind=ProcessKind.POOLED_HOST, node=f"node-001.{name}", machine="", pid=1,
        up_s=1.0, restarted=False, rss_bytes=1, private_bytes=1, trouble=None, facts=facts,
    )  # fmt: skip


def test_hosts_with_different_code_are_named_and_others_are_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    old, new = "a" * 64, "b" * 64
    say_other_code([host("host-0", silo=old, barn=old), host("host-1", silo=old), host("host-2")])
    assert capsys.readouterr().err == ""
    say_other_code([host("host-0", silo=old, barn=old), host("host-1", silo=new, barn=old)])
    said = capsys.readouterr().err
    assert (
        "hosts decide silo by different code (aaaaaaaaaa at host-0; bbbbbbbbbb at host-1)" in said
    )
    assert "barn" not in said

"""What is not run again, and how later incarnations of a host learn of it."""

from pathlib import Path
from typing import Any

import pytest

from runtime.host.at_hand import ON_START, hook_of
from runtime.host.blocked import Blocked
from runtime.host.interruptible import Interruptible
from runtime.process.notes import Notes

BLOCK: list[Any] = ["stuck/a", "block", b"0123456789abcdef"]
OTHER: list[Any] = ["stuck/b", "block", b"fedcba9876543210"]


class Clock:
    now_us = 1_000_000

    def __call__(self) -> int:
        return self.now_us


def incarnation(folder: Path, *, restarted: bool = True, clock: Clock | None = None) -> Blocked:
    made = Blocked(clock or Clock(), Notes(folder / "host"))
    made.begin(restarted=restarted)
    return made


def test_the_next_incarnation_knows_what_blocked(tmp_path: Path) -> None:
    first = incarnation(tmp_path, restarted=False)
    assert first.at_hand.note is None  # nothing has happened: nothing is noted
    first.add(BLOCK, "it took longer than 5 s", ["a.py:3, in block"])
    first.add(hook_of("stuck/a", ON_START), "it took longer than 5 s")
    second = incarnation(tmp_path)
    found = second.command(BLOCK)
    assert found is not None
    told = found.error("restart")
    assert (told.source, told.message_type, told.decision) == ("stuck/a", "block", "restart")
    assert told.frames == ("a.py:3, in block",)
    assert second.hook("stuck/a", ON_START) is not None
    assert second.hook("stuck/b", ON_START) is None
    assert second.command(OTHER) is None
    # One that Ray has not started anew is of a system that was launched since.
    assert incarnation(tmp_path, restarted=False).command(BLOCK) is None


def test_a_command_is_known_by_its_id_its_actor_and_its_type() -> None:
    known = Blocked(Clock())
    known.add(BLOCK, "it took longer than 5 s")
    assert known.command(BLOCK)
    assert known.command(["stuck/b", *BLOCK[1:]]) is None
    assert known.command(["stuck/a", "add", BLOCK[2]]) is None


def test_what_was_at_hand_when_the_switch_ended_a_host_is_what_blocked(tmp_path: Path) -> None:
    first = incarnation(tmp_path)
    assert first.at_hand.note is not None  # it is wary
    first.at_hand.note(OTHER)
    first.at_hand.note(BLOCK)
    (tmp_path / "host.told").write_text("Timeout!\n  File a.py, line 3 in block\n")
    second = incarnation(tmp_path)
    found = second.command(BLOCK)
    assert found is not None
    assert "held the interpreter" in found.failure
    assert second.command(OTHER) is None


def test_one_end_of_a_host_blames_nobody_and_a_second_one_does(tmp_path: Path) -> None:
    first = incarnation(tmp_path)
    assert first.at_hand.note is not None
    first.at_hand.note(BLOCK)
    second = incarnation(tmp_path)
    assert second.command(BLOCK) is None
    assert second.at_hand.note is not None
    second.at_hand.note(BLOCK)
    found = incarnation(tmp_path).command(BLOCK)
    assert found is not None
    assert found.failure == "its host has ended 2 times while it was run"


def test_one_end_is_counted_once_however_often_the_next_process_tries_to_start(
    tmp_path: Path,
) -> None:
    first = incarnation(tmp_path)
    assert first.at_hand.note is not None
    first.at_hand.note(BLOCK)
    again = incarnation(tmp_path)
    for _ in range(2):  # its store is away, say
        again = incarnation(tmp_path)
    assert again.command(BLOCK) is None


def test_ends_with_something_else_or_nothing_at_hand_blame_nobody(tmp_path: Path) -> None:
    for at in (BLOCK, OTHER):
        one = incarnation(tmp_path)
        assert one.at_hand.note is not None
        one.at_hand.note(at)
    third = incarnation(tmp_path)
    assert third.at_hand.note is not None
    third.at_hand.note(BLOCK)
    third.at_hand.nothing()  # it came back
    fourth = incarnation(tmp_path)
    assert fourth.command(BLOCK) is None
    fourth.trust()  # all goes well
    assert fourth.at_hand.note is None
    fifth = incarnation(tmp_path)
    assert fifth.at_hand.note is not None
    fifth.at_hand.note(BLOCK)
    assert incarnation(tmp_path).command(BLOCK) is None


def test_what_is_noted_while_a_host_ceases_to_be_wary_is_no_more_at_hand_afterwards(
    tmp_path: Path,
) -> None:
    first = incarnation(tmp_path)
    note = first.at_hand.note
    assert note is not None

    def decide() -> None:
        first.trust()  # another thread says so
        note(BLOCK)

    Interruptible(first).run(None, decide)
    (tmp_path / "host.told").write_text("Timeout!")
    assert incarnation(tmp_path).command(BLOCK) is None


@pytest.mark.parametrize("file", ["kept", "at_hand"])
def test_notes_that_cannot_be_read_are_told_and_cost_a_host_nothing(
    tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = incarnation(tmp_path)
    first.add(BLOCK, "it took longer than 5 s")
    (tmp_path / f"host.{file}").write_bytes(b"\x00\x00\x00\x09no notes.")
    second = incarnation(tmp_path)
    assert (second.command(BLOCK) is None) == (file == "kept")
    assert caplog.records


def test_a_full_disk_is_told_and_what_is_known_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = Blocked(Clock(), Notes(tmp_path / "no such folder" / "host"))
    known.begin(restarted=True)
    known.add(BLOCK, "it took longer than 5 s")
    assert known.at_hand.note is not None
    known.at_hand.note(BLOCK)
    assert known.command(BLOCK)
    assert "could not be kept" in caplog.text


def test_after_an_hour_and_for_a_new_class_everything_is_tried_again() -> None:
    clock = Clock()
    known = Blocked(clock)
    known.add(BLOCK, "it took longer than 5 s")
    known.add(["other/a", "block", b"another id"], "it took longer than 5 s")
    known.forget_type("stuck")
    assert known.command(BLOCK) is None
    assert known.command(["other/a", "block", b"another id"])
    clock.now_us += Blocked.KEPT_US + 1
    assert known.command(["other/a", "block", b"another id"]) is None
    assert not known.commands


def test_what_another_class_has_ended_no_later_incarnation_knows(tmp_path: Path) -> None:
    first = incarnation(tmp_path)
    first.know_codes({"stuck": "code one"}.__getitem__, [])
    first.add(BLOCK, "it took longer than 5 s")
    assert incarnation(tmp_path).command(BLOCK)
    # A driver brings the class to the next incarnation, where it takes the place of none.
    second = incarnation(tmp_path)
    second.forget_other_code("stuck", "code one")
    assert second.command(BLOCK)
    second.forget_other_code("other", "code two")
    assert second.command(BLOCK)
    second.forget_other_code("stuck", "code two")
    assert second.command(BLOCK) is None
    assert incarnation(tmp_path).command(BLOCK) is None
    first.forget_type("stuck")
    assert incarnation(tmp_path).command(BLOCK) is None


def test_a_class_that_was_replaced_is_forgotten_by_later_incarnations_too(tmp_path: Path) -> None:
    first = incarnation(tmp_path)
    first.add(BLOCK, "it took longer than 5 s")
    first.forget_type("stuck")
    assert incarnation(tmp_path).command(BLOCK) is None


def test_so_many_are_known_and_the_first_ones_are_forgotten() -> None:
    known = Blocked(Clock())
    for number in range(Blocked.MOST + 10):
        known.add(["stuck/a", "block", number.to_bytes(16, "big")], "it took longer than 5 s")
    assert len(known.commands) == Blocked.MOST
    assert known.command(["stuck/a", "block", (9).to_bytes(16, "big")]) is None
    assert known.command(["stuck/a", "block", (10).to_bytes(16, "big")])


def test_what_supervisors_saw_to_in_earlier_incarnations_is_told_once(tmp_path: Path) -> None:
    clock = Clock()
    first = incarnation(tmp_path, clock=clock)
    first.judged(first.add(BLOCK, "it took longer than 5 s"))
    first.judged(first.add(OTHER, "it took longer than 5 s"))
    first.add(["stuck/a", "block", b"not seen to"], "it took longer than 5 s")
    clock.now_us += 3_000_000
    second = incarnation(tmp_path, clock=clock)
    assert second.failed_before("stuck/a", group=False) == [3.0]
    assert second.failed_before("stuck/c", group=True) == [3.0]
    assert second.failed_before("stuck/a", group=True) == []


def test_what_has_ended_its_process_is_tried_again_by_other_code(tmp_path: Path) -> None:
    first = incarnation(tmp_path)
    first.know_codes({"stuck": "files:one"}.__getitem__, ["stuck"])
    assert first.at_hand.note is not None
    first.at_hand.note(BLOCK)
    (tmp_path / "host.told").write_text("Timeout!")
    second = incarnation(tmp_path)
    second.know_codes({"stuck": "files:one"}.__getitem__, ["stuck"])
    assert second.command(BLOCK)
    third = incarnation(tmp_path)  # on which the mended class was installed meanwhile
    third.know_codes({"stuck": "files:two"}.__getitem__, ["stuck"])
    assert third.command(BLOCK) is None
    assert incarnation(tmp_path).command(BLOCK) is None


def test_ends_by_other_code_are_not_counted_together(tmp_path: Path) -> None:
    for code in ("files:one", "files:two"):
        one = incarnation(tmp_path)
        one.know_codes({"stuck": code}.__getitem__, ["stuck"])
        assert one.at_hand.note is not None
        one.at_hand.note(BLOCK)
    third = incarnation(tmp_path)
    assert third.command(BLOCK) is None
    third.know_codes({"stuck": "files:two"}.__getitem__, ["stuck"])
    assert third.at_hand.note is not None
    third.at_hand.note(BLOCK)
    assert incarnation(tmp_path).command(BLOCK)


def test_of_a_class_that_was_sent_one_that_is_imported_says_nothing(tmp_path: Path) -> None:
    first = incarnation(tmp_path)
    first.know_codes({"stuck": "its fingerprint"}.__getitem__, ["stuck"])
    first.add(BLOCK, "it took longer than 5 s")
    second = incarnation(tmp_path)
    second.know_codes({"stuck": "files:one"}.__getitem__, ["stuck"])
    assert second.command(BLOCK)  # the class is sent again, and would end this process again
    second.forget_other_code("stuck", "another fingerprint")
    assert second.command(BLOCK) is None

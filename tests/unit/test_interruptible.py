"""Code that is interrupted by another thread: it ends, and nothing is raised beyond it."""

import threading
import time
from random import Random
from typing import Any

import pytest

from runtime.errors import HandlerBlocked
from runtime.host import interruptible
from runtime.host.blocked import Blocked
from runtime.host.interruptible import Interruptible, Interruption

AT = ["stuck/a", "block", b"an id"]
BECAUSE = HandlerBlocked("stuck/a", "block", "it took longer than 1 s", "not run")


def work() -> Interruptible:
    return Interruptible(Blocked(lambda: 0))


def interrupted_soon(running: Interruptible, at: Any, begun: threading.Event) -> threading.Thread:
    def interrupt() -> None:
        begun.wait()
        running.interrupt(at, BECAUSE)

    other = threading.Thread(target=interrupt)
    other.start()
    return other


def test_a_loop_ends_when_another_thread_interrupts_it() -> None:
    running, begun = work(), threading.Event()

    def loop() -> None:
        begun.set()
        while True:
            pass

    other = interrupted_soon(running, AT, begun)
    with pytest.raises(HandlerBlocked, match="longer than 1 s"):
        running.run(AT, loop)
    other.join()
    assert running.at is None
    assert running.run(AT, lambda: 3) == 3  # and what follows is not concerned


@pytest.mark.parametrize("way", ["swallows it", "raises another", "has ended"])
def test_whatever_becomes_of_an_interruption_what_was_run_does_not_count(way: str) -> None:
    running, begun = work(), threading.Event()

    def catch() -> str:
        begun.set()
        try:
            while way != "has ended":
                pass
            time.sleep(0)
            other.join()  # it comes here, at the latest
        except Interruption:
            if way == "raises another":
                raise RuntimeError(way) from None
        return way

    other = interrupted_soon(running, AT, begun)
    with pytest.raises(HandlerBlocked):
        running.run(AT, catch)
    other.join()


def test_what_is_no_more_at_hand_is_not_interrupted() -> None:
    running = work()
    running.interrupt(AT, BECAUSE)
    later = [*AT]

    def interrupt_the_one_before() -> str:
        running.interrupt(AT, BECAUSE)
        return "done"

    assert running.run(later, interrupt_the_one_before) == "done"
    with pytest.raises(ZeroDivisionError):  # its own errors are its own
        running.run(later, lambda: 1 / 0)


def test_an_end_waits_for_an_interruption_that_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    running, begun, about = work(), threading.Event(), threading.Event()
    raise_in = interruptible._raise_in

    def raise_late(thread: int, error: type[BaseException] | None) -> None:
        if error is not None:
            about.set()
            time.sleep(0.05)  # meanwhile what is run comes to its end
        raise_in(thread, error)

    monkeypatch.setattr(interruptible, "_raise_in", raise_late)

    def end_meanwhile() -> None:
        begun.set()
        about.wait()

    other = interrupted_soon(running, AT, begun)
    with pytest.raises(HandlerBlocked):
        running.run(AT, end_meanwhile)
    other.join()  # and nothing is raised here


def test_nothing_is_raised_outside_however_an_interruption_and_an_end_meet() -> None:
    running, over, random = work(), threading.Event(), Random(7)

    def interrupt() -> None:
        while not over.is_set():
            if (at := running.at) is not None:
                running.interrupt(at, BECAUSE)

    def step(rounds: int) -> int:
        total = 0
        for number in range(rounds):
            running.at = [number]
            total += number
        if rounds % 7 == 0:
            raise KeyError(rounds)
        return total

    other = threading.Thread(target=interrupt)
    other.start()
    ended = {"returned": 0, "raised": 0, "interrupted": 0}
    try:
        for _ in range(20_000):
            try:
                running.run(AT, step, random.randrange(1, 400))
                ended["returned"] += 1
            except HandlerBlocked:
                ended["interrupted"] += 1
            except KeyError:
                ended["raised"] += 1
            assert running.at is None
            if ended["interrupted"] >= 200 and ended["returned"] >= 200:
                break
    finally:
        over.set()
        other.join()
    assert ended["interrupted"]
    assert ended["returned"]

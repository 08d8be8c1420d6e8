"""Work that blocks, beside an event loop; and what it is mostly used for."""

import asyncio
import threading

import pytest
import ray

from runtime.process.aside import Aside
from runtime.transport.peers import Peers


async def test_what_work_returns_or_raises_comes_to_who_waits() -> None:
    aside = Aside()
    assert await aside.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await aside.run(lambda: 1 / 0)


async def test_so_much_is_done_at_a_time_and_the_rest_in_its_turn() -> None:
    aside, going_on = Aside(), threading.Event()
    begun: list[int] = []
    all_busy = threading.Semaphore(0)

    def work(number: int) -> int:
        begun.append(number)
        all_busy.release()
        assert going_on.wait(30)
        return number

    waiting = [asyncio.ensure_future(aside.run(lambda n=n: work(n))) for n in range(7)]  # type: ignore[misc]
    await asyncio.sleep(0)
    for _ in range(Aside.THREADS):
        assert all_busy.acquire(timeout=30)
    assert sorted(begun) == [0, 1, 2, 3]
    waiting[5].cancel()
    await asyncio.wait({waiting[5]})
    going_on.set()
    assert await asyncio.gather(*waiting[:5], waiting[6]) == [0, 1, 2, 3, 4, 6]
    assert 5 not in begun, "who gives up takes back what has not begun"


async def test_where_there_is_no_thread_to_be_had_that_is_said_and_the_next_one_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aside = Aside()

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    for _ in range(2 * Aside.THREADS):
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", none_left)
            with pytest.raises(RuntimeError, match="new thread"):
                await aside.run(lambda: 1)
    assert await asyncio.wait_for(aside.run(lambda: 2), 30) == 2


def test_what_is_forgotten_while_it_is_looked_up_is_not_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peers = Peers("n")

    def of_before_a_drain(name: str, namespace: str) -> str:
        peers.forget(name)
        return "has ended"

    monkeypatch.setattr(ray, "get_actor", of_before_a_drain)
    assert peers.handle("bus") == "has ended"
    monkeypatch.setattr(ray, "get_actor", lambda name, namespace: f"{namespace}/{name}")
    assert peers.known("bus") is None
    assert peers.handle("bus") == peers.known("bus") == "n/bus"

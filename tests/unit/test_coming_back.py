"""A program that stays while the Ray of its project ends, and joins the next one; without Ray."""

import errno
import gc
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import ray

from runtime.cluster import coming_back, project_ray, ray_session
from runtime.cluster.coming_back import stay_on
from runtime.cluster.project_ray import Note
from runtime.cluster.ray_session import NoRay, join_ray
from runtime.driver import connection
from runtime.driver.opening import opening
from runtime.transport import ray_stay
from runtime.transport.ray_stay import InNoRay, RayStay, stay_now

LIMIT_S = 30.0


@pytest.fixture
def note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Note:
    """The Ray of this folder, which this process keeps and is not connected to."""
    monkeypatch.chdir(tmp_path)
    for variable in ("RAY_ADDRESS", "RAY_ENABLE_AUTO_CONNECT"):
        monkeypatch.setenv(variable, "")  # as it was before, whoever sets it meanwhile
    monkeypatch.setattr(ray_stay._Now, "stay", None)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    project_ray.note({"RAY_ADDRESS": "127.0.0.1:1"})
    noted = project_ray.noted()
    assert noted is not None
    return noted


def test_it_leaves_the_ray_that_is_about_to_end_and_joins_the_next_one(
    note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, tried, joined = threading.Event(), threading.Event(), threading.Event()
    collects: list[bool] = []
    monkeypatch.setattr(coming_back, "any_open", lambda: True)

    def shutdown() -> None:
        collects.append(gc.isenabled())  # what is collected meanwhile would end the program
        left.set()

    monkeypatch.setattr(ray, "shutdown", shutdown)

    def join() -> None:
        if not tried.is_set():
            tried.set()
            raise NoRay("it lets nobody in yet")
        joined.set()

    stay_on(note, Path.cwd(), join)
    stay = stay_now()
    assert stay is not None
    assert not left.is_set()
    project_ray.note_ending(note, ending=True)
    assert left.wait(LIMIT_S)
    assert stay.over
    assert not tried.is_set()
    project_ray.note_ending(note, ending=False)  # the next one
    assert joined.wait(LIMIT_S)
    assert (collects, gc.isenabled()) == ([False], True)


def test_without_an_open_connection_it_leaves_and_does_not_come_back(
    note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = threading.Event()
    monkeypatch.setattr(coming_back, "any_open", lambda: False)
    monkeypatch.setattr(ray, "shutdown", left.set)
    stay_on(note, Path.cwd(), lambda: pytest.fail("nobody wants it"))
    project_ray.forget()
    assert left.wait(LIMIT_S)
    for thread in threading.enumerate():
        if thread.name == "thornback-ray":
            thread.join(LIMIT_S)
            assert not thread.is_alive()


def test_who_is_to_stay_joins_no_ray_that_is_about_to_end(
    note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined: list[float] = []
    stays: list[Note] = []
    monkeypatch.setattr(ray_session, "_join_meant", joined.append)
    monkeypatch.setattr(ray_session, "stay_on", lambda found, folder, join: stays.append(found))
    join_ray(1.0, stay=True)
    assert (joined, stays) == ([1.0], [note])
    join_ray(2.0)  # what ends it, for example
    assert (joined, stays) == ([1.0, 2.0], [note])


def test_a_ray_that_is_about_to_end_is_none_for_who_is_to_stay(note: Note) -> None:
    project_ray.note_ending(note, ending=True)
    with pytest.raises(NoRay):
        join_ray(1.0, stay=True)
    assert project_ray.use_project_ray() is not None  # for `down`


@pytest.mark.parametrize("stay", [True, False])
def test_a_try_that_fails_does_not_hide_the_next_ray_of_the_folder(
    stay: bool, note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    meant: list[str] = []

    def join_meant(timeout_s: float) -> None:
        meant.append(os.environ["RAY_ADDRESS"])
        if len(meant) == 1:
            raise NoRay("it has just ended")

    monkeypatch.setattr(ray_session, "_join_meant", join_meant)
    monkeypatch.setattr(ray_session, "stay_on", lambda found, folder, join: None)
    with pytest.raises(NoRay, match="it has just ended"):
        join_ray(1.0, stay=stay)
    project_ray.note({"RAY_ADDRESS": "127.0.0.1:2"})  # `up` has started another one
    join_ray(1.0, stay=stay)
    assert meant == ["127.0.0.1:1", "127.0.0.1:2"]


def test_who_is_let_in_after_he_has_gone_leaves_again_before_the_next_try(
    note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in, done = threading.Event(), list[str]()

    def init(**_: object) -> None:
        assert let_in.wait(LIMIT_S)
        done.append("joined")

    monkeypatch.setattr(ray_session, "check_answers", lambda *_, **__: None)
    monkeypatch.setattr(ray_session, "gcs_addresses", dict)
    monkeypatch.setattr(ray_session, "stay_on", lambda found, folder, join: done.append("stays"))
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: done.append("left"))
    with pytest.raises(NoRay, match=r"within 0\.01 s"):
        join_ray(0.01, stay=True)
    with pytest.raises(NoRay, match="has not answered yet: try again later"):
        join_ray(0.01, stay=True)
    let_in.set()
    join_ray(LIMIT_S, stay=True)
    assert done == ["joined", "left", "joined", "stays"]


def test_who_is_about_to_connect_when_the_ray_ends_comes_back_too(
    note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined, left = threading.Event(), threading.Event()
    monkeypatch.setattr(ray, "shutdown", left.set)
    monkeypatch.setattr(connection, "_all", ())
    with opening():
        stay_on(note, Path.cwd(), joined.set)
        project_ray.note_ending(note, ending=True)
        assert left.wait(LIMIT_S)
        project_ray.note_ending(note, ending=False)
        assert joined.wait(LIMIT_S)


def test_who_cannot_look_whether_the_ray_ends_goes_on_looking(
    note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, left = threading.Semaphore(0), threading.Event()

    def too_many(folder: Path) -> Note:
        looked.release()
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(coming_back, "any_open", lambda: False)
    monkeypatch.setattr(ray, "shutdown", left.set)
    with monkeypatch.context() as full:
        full.setattr(coming_back, "noted", too_many)
        stay_on(note, Path.cwd(), lambda: pytest.fail("nobody wants it"))
        for _ in range(2):
            assert looked.acquire(timeout=LIMIT_S)
    assert not left.is_set()
    project_ray.note_ending(note, ending=True)
    assert left.wait(LIMIT_S)


class InRay:
    """The Ray that this program is in, as Ray tells."""

    def __init__(self, address: str) -> None:
        self.gcs_address = address


def joined_by_itself(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """This program's own code has joined a Ray."""
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: InRay(address))


def test_who_has_joined_another_ray_meanwhile_is_not_back_and_is_told_so(
    note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, said = threading.Event(), RayStay.say

    def say(stay: RayStay, after: str) -> None:
        said(stay, after)
        told.set()

    monkeypatch.setattr(coming_back, "any_open", lambda: not told.is_set())
    monkeypatch.setattr(ray, "shutdown", lambda: joined_by_itself(monkeypatch, "192.0.2.1:6379"))
    monkeypatch.setattr(RayStay, "say", say)
    monkeypatch.setattr(ray_session, "_join_meant", lambda timeout_s: None)
    join_ray(1.0, stay=True)
    stay = stay_now()
    assert stay is not None
    project_ray.note_ending(note, ending=True)
    _until(lambda: stay.over)
    project_ray.note({"RAY_ADDRESS": "127.0.0.1:2"})  # `up` has started another one
    assert told.wait(LIMIT_S)
    with pytest.raises(InNoRay, match=r"joined another Ray, at 192\.0\.2\.1:6379"):
        stay.check()


def test_a_ray_that_the_program_has_joined_itself_meanwhile_is_not_left(
    note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()

    def nobody() -> bool:
        looked.set()
        return False

    monkeypatch.setattr(coming_back, "any_open", nobody)
    monkeypatch.setattr(ray, "shutdown", lambda: pytest.fail("it is somebody else's"))
    stay_on(note, Path.cwd(), lambda: pytest.fail("nobody wants it"))
    joined_by_itself(monkeypatch, "192.0.2.1:6379")
    project_ray.forget()
    assert looked.wait(LIMIT_S)
    _until_watched()


def test_who_has_come_back_by_itself_stays_in_the_next_ray(
    note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coming_back, "any_open", lambda: True)
    monkeypatch.setattr(ray_session, "_join_meant", lambda timeout_s: None)
    monkeypatch.setattr(ray, "shutdown", lambda: joined_by_itself(monkeypatch, "127.0.0.1:2"))
    join_ray(1.0, stay=True)
    before = stay_now()
    project_ray.note_ending(note, ending=True)
    _until(lambda: before is not None and before.over)
    project_ray.note({"RAY_ADDRESS": "127.0.0.1:2"})
    _until(lambda: stay_now() is not before)
    monkeypatch.setattr(coming_back, "any_open", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    project_ray.forget()
    _until_watched()


def _until(holds: Callable[[], bool]) -> None:
    """Wait for what a thread of its own does, which tells nobody."""
    until_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def _until_watched() -> None:
    """Wait until nobody watches any more."""
    for thread in threading.enumerate():
        if thread.name == "thornback-ray":
            thread.join(LIMIT_S)
            assert not thread.is_alive()

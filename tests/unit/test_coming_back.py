"""A program that stays while the Ray of its project ends, and joins the next one; without Ray."""

import errno
import gc
import os
import threading
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
from runtime.transport.ray_stay import stay_now

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

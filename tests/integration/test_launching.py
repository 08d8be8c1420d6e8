"""Launching beside what runs already, while it is drained, and where it cannot succeed."""

import fcntl
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import ray

from runtime.cluster import launching
from runtime.cluster.clearing import Left, drain_namespace
from runtime.driver import directory_link
from runtime.driver.directory_link import answer, called
from runtime.errors import (
    AnotherRelease,
    AskTimeout,
    DatabaseInUse,
    HostUnavailable,
    LaunchFailed,
    SystemDraining,
    SystemNotFound,
)
from runtime.process.ray_actors import RayActors
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.release import RELEASE
from store.embedded.server import EmbeddedPostgres
from store.errors import StoreUnavailable
from tests.integration.devices import Add, Beacon, Counter
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    eventually,
    kill,
    pids_of,
    statuses_of,
    url_of,
    writes_held_up,
)
from thornback.testing.databases import create_database, query

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


class Bystander:
    """A user's own Ray actor in the namespace of the system."""

    def ask(self) -> str:
        return "alive"


@pytest.mark.parametrize("name", ["mine", "counter/mine"])
def test_an_actor_of_somebody_else_in_the_namespace_is_left_alone(
    launch: Launcher, name: str
) -> None:
    settings = launch.settings(actor_system={"placement": {"beacon": "dedicated"}})
    namespace = settings.actor_system.namespace
    options = {"name": name, "namespace": namespace, "num_cpus": 0, "lifetime": "detached"}
    bystander = ray.remote(Bystander).options(**options).remote()
    try:
        system = launch.run(settings)
        system.actor(Beacon, "north").ask(Add()).result(timeout_s=LIMIT_S)
        assert pids_of(system).keys() == {"directory", "writer", "bus", "host-0", "beacon/north"}
        launch.drain(system)
        assert ray.get(bystander.ask.remote(), timeout=LIMIT_S) == "alive"
    finally:
        ray.kill(bystander)


def test_a_program_of_another_release_is_told_so_and_changes_nothing(
    launch: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = launch.run(launch.settings())
    pids = pids_of(system)
    directory = ray.get_actor("directory", namespace=system.namespace)
    with pytest.raises(AnotherRelease, match="is of another release"):  # which takes more
        called(directory, "join", 5.0, RELEASE, "and something new")
    with pytest.raises(SystemNotFound, match=f"of release {RELEASE} of Thornback"):  # or less
        answer(directory, "join", 5.0)
    monkeypatch.setattr(directory_link, "RELEASE", "0.0.9")
    with pytest.raises(AnotherRelease, match=f"of release {RELEASE} .* this program is of 0.0.9"):
        ActorSystem.connect(settings=system.settings)
    monkeypatch.setattr(launching, "RELEASE", "0.0.9")
    with pytest.raises(AnotherRelease, match=r"0\.0\.9"):
        ActorSystem.launch(system.settings)
    assert pids_of(system) == pids
    (event,) = system.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    assert event.version == 1


def test_a_launch_while_the_directory_restarts_waits_for_it_and_stops_nothing(
    launch: Launcher,
) -> None:
    system = launch(actor_system={"hosts": 2})
    before = pids_of(system)
    kill(system, "directory")
    with ActorSystem.launch(system.settings, timeout_s=LIMIT_S) as again:
        after = pids_of(again)
    assert after.pop("directory") != before.pop("directory")
    assert after == before
    assert system.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)


def test_a_launch_that_fails_beside_a_running_system_stops_none_of_it(
    launch: Launcher, server: EmbeddedPostgres
) -> None:
    url = create_database(server.start())
    system = launch(
        event_store={"connection_string": url}, actor_system={"actor_timeout_ms": 1_000}
    )
    system.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    before = pids_of(system)
    server.stop()
    try:
        killed = {name: kill(system, name) for name in ("bus", "directory")}
        with pytest.raises(LaunchFailed, match=r"127\.0\.0\.1.* is not available"):
            ActorSystem.launch(system.settings, timeout_s=LIMIT_S)
    finally:
        server.start()
    with ActorSystem.launch(system.settings, timeout_s=LIMIT_S) as again:
        after = pids_of(again)
        assert all(after[name] != pid for name, pid in killed.items())
        assert {name: after[name] for name in ("host-0", "writer")} == {
            name: before[name] for name in ("host-0", "writer")
        }
        assert asked_until_answered(again) == 2


def asked_until_answered(system: ActorSystem) -> int | None:
    """The version of one more event, written as soon as that is possible."""
    command = uuid4()  # a try whose outcome is open and the next are one command
    return eventually(lambda: _asked(system, command))


def _asked(system: ActorSystem, command: UUID) -> int | None:
    ref = system.actor(Counter, "a")
    try:
        return ref.ask(Add(), id=command).result(timeout_s=LIMIT_S)[0].version
    except (AskTimeout, HostUnavailable, StoreUnavailable):
        return None  # it comes back, or its pooled connections have yet to notice that it did


def test_a_launch_during_a_drain_is_refused_and_one_after_it_starts_anew(
    launch: Launcher,
) -> None:
    system = launch(actor_system={"actor_timeout_ms": 60_000})
    ref = system.actor(Counter, "a")
    ref.ask(Add()).result(timeout_s=LIMIT_S)
    other = ActorSystem.connect(settings=system.settings)
    with writes_held_up(url_of(system)):
        reply = other.actor(Counter, "a").ask(Add())
        host = ray.get_actor("host-0", namespace=system.namespace)
        directory = ray.get_actor("directory", namespace=system.namespace)
        eventually(lambda: ray.get(host.status.remote()).facts.unanswered == 1)
        drainer = threading.Thread(target=lambda: launch.drain(system))
        drainer.start()
        eventually(lambda: ray.get(directory.status.remote()).facts.draining)
        with pytest.raises(SystemDraining, match=system.namespace):
            ActorSystem.launch(system.settings, timeout_s=LIMIT_S)
        with pytest.raises(SystemDraining, match=system.namespace):
            ActorSystem.connect(system.namespace)
        assert not reply.done()
    drainer.join(LIMIT_S)
    assert not drainer.is_alive()
    other.close()
    again = launch.run(system.settings)
    assert again.actor(Counter, "a").state().result(timeout_s=LIMIT_S).total == 2


def test_a_launch_on_a_bad_folder_leaves_nothing_and_says_why_in_a_line(
    launch: Launcher, data: Path
) -> None:
    data.write_text("a file")
    bad = launch.settings(event_store={"data_folder": str(data)})
    with pytest.raises(LaunchFailed) as refused:
        ActorSystem.launch(bad, timeout_s=LIMIT_S)
    assert str(refused.value).count("\n") == 0
    assert "something in its path is no folder" in str(refused.value)
    with pytest.raises(SystemNotFound):
        drain_namespace(bad, LIMIT_S, lambda _: None)
    data.unlink()
    assert launch.run(bad).actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)


def test_a_namespace_whose_directory_is_gone_is_drained_all_the_same(launch: Launcher) -> None:
    system = launch()
    system.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    launch.forget(system)
    ray.kill(ray.get_actor("directory", namespace=system.namespace), no_restart=True)
    report = drain_namespace(system.settings, LIMIT_S, lambda _: None)
    assert [each.problem for each in report.processes] == [None, None]
    assert report["writer"].settled == 1
    with pytest.raises(SystemNotFound):
        drain_namespace(system.settings, LIMIT_S, lambda _: None)


def test_a_launch_while_what_is_left_is_ended_is_refused_and_one_after_it_starts_anew(
    launch: Launcher,
) -> None:
    system = launch()
    directory = ray.get_actor("directory", namespace=system.namespace)
    left = Left(RayActors(system.namespace), system.settings, directory)
    with left.to_end() as handles, pytest.raises(SystemDraining):
        ActorSystem.launch(system.settings, timeout_s=LIMIT_S)
    assert {"writer", "bus", "host-0"} <= handles.keys()
    launch.forget(system)
    again = launch.run(system.settings)
    assert again.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)


def test_a_drain_whose_driver_was_gone_at_its_end_leaves_the_way_free(launch: Launcher) -> None:
    system = launch()
    directory = ray.get_actor("directory", namespace=system.namespace)
    ray.get(directory.stop.remote(LIMIT_S), timeout=LIMIT_S)  # and nobody ends the directory
    again = launch.run(system.settings)
    assert again.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    launch.forget(system)


@pytest.fixture
def data(launch: Launcher) -> Iterator[Path]:
    """A folder for the data of an embedded server that the tests of a system break."""
    folder = Path(tempfile.mkdtemp(prefix="tb-own-", dir="/tmp"))
    folder.chmod(0o711)  # root's server runs as another user, who has to get through
    yield folder / "data"
    launch.drain_all()  # first: a system that lives brings its server back
    EmbeddedPostgres(folder / "data" / "postgres").destroy()
    shutil.rmtree(folder)


@pytest.fixture
def embedded(launch: Launcher, data: Path) -> Settings:
    """Settings of a system with an embedded database of its own."""
    return launch.settings(
        event_store={"data_folder": str(data)}, actor_system={"actor_timeout_ms": 5_000}
    )


def test_a_directory_whose_database_does_not_start_says_why_and_tries_again(
    launch: Launcher, embedded: Settings, data: Path
) -> None:
    system = launch.run(embedded)
    system.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    before = pids_of(system)
    configuration = data / "postgres" / "data" / "postgresql.conf"
    configuration.rename(configuration.with_suffix(".away"))
    _kill_postmaster(data)
    kill(system, "directory")
    with pytest.raises(LaunchFailed, match=r"postgresql\.conf"):
        ActorSystem.launch(embedded, timeout_s=LIMIT_S)
    directory = ray.get_actor("directory", namespace=system.namespace)
    assert "postgresql.conf" in ray.get(directory.status.remote()).trouble
    configuration.with_suffix(".away").rename(configuration)
    with ActorSystem.launch(embedded, timeout_s=LIMIT_S) as again:
        after = pids_of(again)
        assert {**after, "directory": 0} == {**before, "directory": 0}
        assert asked_until_answered(again) == 2


def test_an_embedded_server_that_comes_back_on_another_port_is_found_there(
    launch: Launcher, embedded: Settings, data: Path
) -> None:
    system = launch.run(embedded)
    system.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    before, old = pids_of(system), urlsplit(url_of(system)).port
    assert old is not None
    with (data / "postgres" / "lock").open("a") as lock, socket.socket() as stranger:
        fcntl.flock(lock, fcntl.LOCK_EX)  # nobody starts the server meanwhile
        _kill_postmaster(data)
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        eventually(lambda: _bound(stranger, old))
        stranger.listen()
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert asked_until_answered(system) == 2
        # So does a process that is started anew, with the settings that it once had.
        kill(system, "bus")
        kill(system, "host-0")
        assert asked_until_answered(system) == 3
        eventually(lambda: "bus" in (found := statuses_of(system)) and found["bus"].facts)
        with ActorSystem.connect(system.namespace) as other:
            new = url_of(other)
            assert urlsplit(new).port != old
            assert other.actor(Counter, "a").state().result(timeout_s=LIMIT_S).total == 3
        assert pids_of(system)["writer"] == before["writer"]
        assert query(new, "SELECT count(*) FROM events")[0][0] == 3


def test_a_launch_on_the_embedded_server_of_a_live_system_leaves_it_alone(
    launch: Launcher, embedded: Settings, data: Path
) -> None:
    """Whichever of the two starts that server again, which has just died."""
    system = launch.run(embedded)
    system.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    before = pids_of(system)
    other = launch.settings(event_store={"data_folder": str(data)})
    _kill_postmaster(data)
    with pytest.raises(DatabaseInUse, match=system.namespace):
        ActorSystem.launch(other, timeout_s=LIMIT_S)
    assert asked_until_answered(system) == 2
    assert pids_of(system) == before
    assert EmbeddedPostgres(data / "postgres").running()


def _bound(stranger: socket.socket, port: int) -> bool:
    try:
        stranger.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def _kill_postmaster(data: Path) -> None:
    found = EmbeddedPostgres(data / "postgres")._postmaster()
    assert found is not None
    os.kill(found[0], signal.SIGKILL)

"""What is looked at before a system is started on this machine, and how it is told."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.cluster.preflight import CannotStartHere, check_machine
from runtime.settings.settings import Settings
from store.embedded.home import Home, UnusableFolder

#: Somebody may have a system on this machine, under the ports of the defaults.
NO_PORTS: Any = {"metrics": {"port": 0}, "gateway": {"port": 0}}
PORTLESS = "[metrics]\nport = 0\n[gateway]\nport = 0\n"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def in_file(folder: Path, text: str) -> Settings:
    """The settings of a file with that text."""
    file = folder / "mine.toml"
    file.write_text(text)
    return Settings.load(file, environ={})


def test_a_folder_where_none_can_be_made_is_refused_and_not_tried_for_ever() -> None:
    with (
        pytest.raises(UnusableFolder, match="none can be made there"),
        Home(Path("/proc/x/postgres")).locked(),
    ):
        pass


def test_a_data_folder_that_cannot_be_used_is_told_with_the_setting_and_its_origin(
    tmp_path: Path,
) -> None:
    settings = in_file(tmp_path, f'[event_store]\ndata_folder = "/proc/x"\n{PORTLESS}')
    with pytest.raises(CannotStartHere) as caught:
        check_machine(settings)
    said = str(caught.value)
    assert said.startswith("no database can be kept in /proc/x/postgres")
    assert f"event_store.data_folder, from {tmp_path / 'mine.toml'}" in said
    assert "none can be made there" in said
    assert "name another folder" in said


def test_a_folder_that_is_a_file_or_has_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full" / "postgres").mkdir(parents=True)
    (tmp_path / "full" / "postgres" / "letter.txt").touch()
    for folder, why in {"file": "is no folder", "full": "holds other things"}.items():
        settings = Settings.load(
            environ={}, event_store={"data_folder": str(tmp_path / folder)}, **NO_PORTS
        )
        with pytest.raises(CannotStartHere, match=why):
            check_machine(settings)


def test_a_metrics_port_that_is_taken_is_told_with_who_has_it_and_one_that_is_free(
    tmp_path: Path, taken: int
) -> None:
    settings = in_file(tmp_path, f'[event_store]\ntype = "memory"\n[metrics]\nport = {taken}\n')
    with pytest.raises(CannotStartHere) as caught:
        check_machine(settings)
    said = str(caught.value)
    assert f"127.0.0.1:{taken} (metrics.port, from {tmp_path / 'mine.toml'})" in said
    assert f"process {os.getpid()}" in said
    assert "is free), or metrics.port to 0 for none" in said


def test_a_gateway_port_that_is_taken_is_told_likewise(tmp_path: Path, taken: int) -> None:
    kept = '[event_store]\ntype = "memory"\n[metrics]\nport = 0\n[gateway]\n'
    with pytest.raises(CannotStartHere) as caught:
        check_machine(in_file(tmp_path, f"{kept}port = {taken}\n"))
    said = str(caught.value)
    assert f"the gateway port 127.0.0.1:{taken} (gateway.port, from {tmp_path}" in said
    assert f"process {os.getpid()}" in said
    assert "is free), or gateway.port to 0 for any" in said
    check_machine(in_file(tmp_path, f"{kept}port = {taken}\nenabled = false\n"))

    kept = f'[event_store]\ntype = "memory"\n[metrics]\nport = {taken}\n[gateway]\nport = {taken}\n'
    with pytest.raises(CannotStartHere, match="metrics and gateway are to have one port"):
        check_machine(in_file(tmp_path, kept))


def test_the_port_that_is_named_as_free_is_not_the_other_one_of_these_settings() -> None:
    for _ in range(20):  # until there is one with a free neighbour, which the gateway is to have
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = int(server.getsockname()[1])
            sections: Any = {"metrics": {"port": port}, "gateway": {"port": port + 1}}
            with pytest.raises(CannotStartHere) as caught:
                check_machine(Settings.load(environ={}, event_store={"type": "memory"}, **sections))
        assert f"({port + 1} is free)" not in str(caught.value)
        if "is free)" in str(caught.value):
            return
    pytest.fail("no port of this machine is free")


def test_a_disk_without_room_for_a_database_is_told_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=8 * 2**20))
    settings = Settings.load(environ={}, event_store={"data_folder": str(tmp_path)}, **NO_PORTS)
    with pytest.raises(CannotStartHere, match=r"only 8 MiB are free there, .* takes 128 to begin"):
        check_machine(settings)
    home = Home(tmp_path / "postgres")
    home.cluster.mkdir(parents=True)
    (home.cluster / "PG_VERSION").touch()
    home.check_room()  # there is one, and it is to run


def test_an_address_that_is_not_of_this_machine_is_refused(taken: int) -> None:
    settings = Settings.load(
        environ={}, event_store={"type": "memory"}, metrics={"host": "192.0.2.1", "port": taken}
    )
    with pytest.raises(CannotStartHere, match=r"192\.0\.2\.1.*cannot be opened"):
        check_machine(settings)


def test_a_system_in_memory_without_metrics_needs_nothing(taken: int) -> None:
    store = {"type": "memory", "data_folder": "/proc/x"}
    check_machine(Settings.load(environ={}, event_store=store, **NO_PORTS))
    check_machine(
        Settings.load(
            environ={},
            event_store=store,
            event_bus={"metrics_enabled": False},
            metrics={"port": taken},
            gateway={"port": 0},
        )
    )


def test_a_database_that_does_not_answer_is_told_with_the_setting_and_no_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = server.getsockname()[1]
    url = f"postgresql://me:secret@127.0.0.1:{nobody}/log"
    settings = Settings.load(environ={"DATABASE_URL": url}, **NO_PORTS)
    with pytest.raises(CannotStartHere) as caught:
        check_machine(settings)
    said = str(caught.value)
    assert f"127.0.0.1:{nobody}/log is not available" in said
    assert "event_store.connection_string, from environment variable DATABASE_URL" in said
    assert "secret" not in said


@pytest.mark.parametrize("hiding", ["store/__init__.py", "jobs.py"])
def test_what_hides_a_package_of_ours_in_the_working_directory_is_named(
    hiding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / hiding).parent.mkdir(exist_ok=True)
    (tmp_path / hiding).touch()
    (tmp_path / "runtime").mkdir()  # hides nothing: it is no package
    monkeypatch.chdir(tmp_path)
    name = hiding.removesuffix("/__init__.py")
    with pytest.raises(CannotStartHere, match=f"^{tmp_path / name} hides the package"):
        check_machine(Settings.load(environ={}, event_store={"type": "memory"}))


def test_a_checkout_hides_nothing_from_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    check_machine(Settings.load(environ={}, event_store={"type": "memory"}, **NO_PORTS))


def test_a_module_of_actors_that_is_not_there_is_told_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in ("fleet/__init__.py", "fleet/charger.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("raise SystemExit  # it is not to be run")
    monkeypatch.chdir(tmp_path)
    kept = '[event_store]\ntype = "memory"\n[metrics]\nport = 0\n[gateway]\nport = 0\n'
    kept += "[actor_system]\nactor_modules = "
    check_machine(in_file(tmp_path, kept + '["fleet.charger", "fleet", "actors.devices"]'))
    for module, missing, near in (
        ("fleet.chargers", "fleet.chargers", "did you mean 'fleet.charger'?"),
        ("fleets.charger", "fleets", "did you mean 'fleet'?"),
        ("fleet.charger.depot", "fleet.charger.depot", "correct the name, or install it"),
    ):
        with pytest.raises(CannotStartHere) as caught:
            check_machine(in_file(tmp_path, f'{kept}["{module}"]'))
        said = str(caught.value)
        assert f"there is no module {missing!r}, which hosts are to import" in said
        assert f"actor_system.actor_modules, from {tmp_path / 'mine.toml'}" in said
        assert said.endswith(near)

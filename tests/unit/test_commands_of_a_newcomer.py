"""What commands of `thornback` say where something is not as a newcomer expects it, without Ray."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from click import UsageError
from click.testing import CliRunner
from rich.console import Console

import jobs.terminal
from jobs.cli import settings as settings_command
from jobs.cli import up
from jobs.cli.init import command as init
from runtime.cluster.embedded_database import as_launched, with_database
from runtime.settings.settings import Settings


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The working directory, without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("class", "keyword of Python"),
        ("import", "keyword of Python"),
        ("json", "a module of Python's own"),
        ("ray", "is a package of ray"),
        ("pytest", "is a package of pytest"),
        ("numpy", "is a package of numpy"),
        ("asyncpg", "is a package of asyncpg"),
        ("pydantic", "is a package of pydantic"),
        ("thornback", "thornback"),
        ("store", "hide from every program"),
        ("tests", "its tests"),
        ("data", "its database"),
        ("drive", "a program of the project, drive.py"),
        ("energy", "a program of the project, energy.py"),
        ("Fleet", "lower-case letters"),
    ],
)
def test_a_project_is_refused_a_name_that_cannot_work_and_told_why(
    name: str, reason: str, folder: Path
) -> None:
    with pytest.raises(UsageError, match=reason):
        CliRunner().invoke(init, [name], standalone_mode=False, catch_exceptions=False)
    assert list(folder.iterdir()) == []


def test_a_project_is_refused_the_name_of_a_module_without_a_distribution(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "of_somebody.py").touch()
    monkeypatch.syspath_prepend(str(elsewhere))
    with pytest.raises(UsageError, match=r"is installed here, .*of_somebody\.py"):
        CliRunner().invoke(init, ["of_somebody"], standalone_mode=False, catch_exceptions=False)
    assert list(folder.iterdir()) == []


def test_a_name_of_ones_own_makes_a_project_also_where_a_module_of_that_name_lies_beside_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder))  # as `python -m` does
    (folder / "plain").mkdir()
    (folder / "lockers.py").touch()
    for name in ("harbour", "match", "lockers"):
        done = CliRunner().invoke(init, [name], standalone_mode=False, catch_exceptions=False)
        assert done.return_value == 0
        assert (folder / name / name / "charger.py").exists()
    with pytest.raises(UsageError, match="there already"):
        CliRunner().invoke(init, ["plain"], standalone_mode=False, catch_exceptions=False)


def _running(here: Settings, monkeypatch: pytest.MonkeyPatch, *options: str) -> str:
    """What `thornback settings --running` says where a system with these settings runs."""
    monkeypatch.setattr(settings_command, "_of_the_system", lambda config: here)
    said = io.StringIO()
    console = Console(file=said, highlight=False, width=400)
    monkeypatch.setattr(settings_command, "console", console)
    monkeypatch.setattr(settings_command, "show", console.print)
    CliRunner().invoke(
        settings_command.command, ["--running", *options], standalone_mode=False,
        catch_exceptions=False,
    )  # fmt: skip
    return said.getvalue()


def test_the_address_of_an_embedded_database_is_no_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    here = Settings.load()
    running = with_database(here, "postgresql://u:secret@127.0.0.1:5555/thornback")
    said = _running(running, monkeypatch, "--changed")
    assert "127.0.0.1:5555" in said
    assert "the embedded PostgreSQL in" in said
    assert "secret" not in said
    assert "here:" not in said
    assert "takes effect" not in said
    assert as_launched(Settings.model_validate_json(running.model_dump_json())) == here


def test_what_differs_is_shown_also_where_the_system_has_the_default(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    running = with_database(Settings.load(), "postgresql://127.0.0.1:5555/thornback")
    (folder / "thornback.toml").write_text("[actor_system]\nhosts = 7\n")
    said = _running(running, monkeypatch, "--changed")
    assert "(here: 7)" in said
    assert said.count("here:") == 1
    assert "what differs takes effect when the system is launched anew" in said


def test_another_database_than_the_embedded_one_is_a_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    here = Settings.load()
    running = here.replaced("event_store", "connection_string", "postgresql://db/x", "argument")
    assert "takes effect" in _running(running, monkeypatch)


def test_up_says_what_it_begins_before_it_begins_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    console = Console(file=said, width=200)  # nobody's terminal
    monkeypatch.setattr(jobs.terminal, "console", console)

    class Begun(Exception):
        pass

    def keeper(interruption: object) -> None:
        raise Begun(said.getvalue())

    monkeypatch.setattr(up, "_start_keeper", keeper)
    interruption, launching = SimpleNamespace(), SimpleNamespace()
    with pytest.raises(Begun, match=r"\Astarting Ray\n\Z"):
        up._start(Settings(), interruption, launching, was_up=False)  # type: ignore[arg-type]

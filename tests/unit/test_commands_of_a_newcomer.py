"""What commands of `thornback` say where something is not as a newcomer expects it, without Ray."""

import asyncio
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from click import Command, UsageError
from click.testing import CliRunner
from rich.console import Console

import jobs.terminal
from examples.thermostat import ReportTemperature, Thermostat
from jobs import drain, launch
from jobs.cli import down, history, logs, main, sql, state, tail, up
from jobs.cli import settings as settings_command
from jobs.cli.init import command as init
from jobs.databases import NoDatabase
from runtime.cluster.embedded_database import as_launched, with_database
from runtime.cluster.programs import connected_programs
from runtime.errors import NotPossible, SystemNotFound
from runtime.settings.settings import Settings
from runtime.topology.status import DrainReport, Progress
from runtime.transport import ray_stay
from runtime.transport.ray_stay import begin_stay
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


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


def test_a_project_that_cannot_be_made_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(NotPossible, match=f"^{folder / 'mine'} cannot be made: Permission denied"):
        CliRunner().invoke(init, ["mine"], standalone_mode=False, catch_exceptions=False)


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

    def keeper(interruption: object, lock: int) -> None:
        raise Begun(said.getvalue())

    monkeypatch.setattr(up, "_start_keeper", keeper)
    interruption, launching = SimpleNamespace(), SimpleNamespace()
    with pytest.raises(Begun, match=r"\Astarting Ray\n\Z"):
        up._start(Settings(), interruption, launching, lock=7)  # type: ignore[arg-type]


class Keeper:
    """The process that keeps a project's Ray, which does not end by itself."""

    pid = 7

    def keeper(self) -> "Keeper":
        return self


@pytest.fixture
def is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system is up in the folder, and a program is connected to it."""
    monkeypatch.setattr(down, "noted", Keeper)
    monkeypatch.setattr(down, "use_project_ray", lambda: True)
    monkeypatch.setattr(down, "join_ray", lambda: None)
    monkeypatch.setattr(down, "namespaces_there", lambda: ["first", "second"])
    monkeypatch.setattr(down, "end_keeper", lambda: None)
    there = {7: ["4711 (python drive.py)", "4712 (python other.py)"]}
    monkeypatch.setattr(down, "connected_programs", lambda *, but: list(there[but[0]]))
    monkeypatch.setattr(down, "note_ending", lambda found, *, ending: there[7].pop(0))
    monkeypatch.setattr(down, "_LEAVE_S", 0.0)
    monkeypatch.setenv("THORNBACK_ACTOR_SYSTEM__NAMESPACE", "first")


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _interrupted_in_the_second(
    settings: Settings, timeout_s: float, progress: Callable[[Progress], None]
) -> DrainReport:
    if settings.actor_system.namespace == "second":
        progress(Progress(doing="flushing", done=0, processes=0))
        raise KeyboardInterrupt
    return DrainReport(processes=(), end_problems=())


def _all_drained(*_: object) -> DrainReport:
    return DrainReport(processes=(), end_problems=())


def _down_says(monkeypatch: pytest.MonkeyPatch) -> str:
    said = io.StringIO()
    monkeypatch.setattr(down, "problems", Console(file=said, highlight=False, width=400))
    done = CliRunner().invoke(down.command, [], standalone_mode=False, catch_exceptions=False)
    said.write(f"code {done.return_value}")
    return said.getvalue()


@pytest.mark.usefixtures("is_up")
@pytest.mark.parametrize(
    ("step", "does", "what"),
    [
        ("join_ray", _interrupt, "no system was drained, Ray runs on;"),
        (
            "drain_namespace", _interrupted_in_the_second,
            "the system in namespace 'first' is drained, the drain of namespace 'second' goes on "
            "by itself, Ray runs on;",
        ),
        ("drain_namespace", _interrupt, "the drain of namespace 'first' may have begun, Ray runs"),
        (
            "end_keeper", _interrupt,
            "the system in namespace 'first' is drained, the system in namespace 'second' is "
            "drained, Ray is ending;",
        ),
    ],
)  # fmt: skip
def test_down_that_is_interrupted_says_what_was_done_and_what_was_not(
    step: str, does: object, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(down, "drain_namespace", _all_drained)
    monkeypatch.setattr(down, step, does)
    said = _down_says(monkeypatch)
    assert f"interrupted: {what}" in said
    assert "`thornback down` ends the rest" in said
    assert said.endswith("code 130")


@pytest.mark.usefixtures("is_up")
def test_down_names_the_programs_that_leave_and_those_that_ray_will_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(down, "drain_namespace", _all_drained)
    said = _down_says(monkeypatch)
    assert "these programs wait for the next `up`: 4711 (python drive.py)\n" in said
    assert "about 60 s after it has ended itself: 4712 (python other.py)\n" in said
    assert said.endswith("code 0")


@pytest.mark.parametrize("told", [True, False])
def test_a_drain_that_is_interrupted_says_what_is_left_running(
    told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drains(settings: Settings, timeout_s: float, progress: Callable[[Progress], None]) -> None:
        if told:
            progress(Progress(doing="flushing", done=0, processes=0))
        raise KeyboardInterrupt

    said = io.StringIO()
    monkeypatch.setattr(drain, "problems", Console(file=said, highlight=False, width=400))
    monkeypatch.setattr(drain, "join_ray", lambda: None)
    monkeypatch.setattr(drain, "drain_partitions", drains)
    assert drain.drain_there(Settings(), 1.0) == 130
    how = "goes on by itself" if told else "may have begun"
    assert f"the drain of namespace 'thornback' {how}, and Ray runs on:" in said.getvalue()
    assert "`thornback drain` ends it" in said.getvalue()


def test_a_launch_that_is_interrupted_says_what_is_left_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = io.StringIO()
    monkeypatch.setattr(launch, "problems", Console(file=said, highlight=False, width=400))
    monkeypatch.setattr(launch, "join_ray", lambda: None)
    monkeypatch.setattr(launch, "launch", _interrupt)
    assert launch.launch_there(Settings(), launch.Launching()) == 130
    assert "the launch goes on by itself: `thornback status` shows it, and" in said.getvalue()
    assert "`thornback drain` ends it" in said.getvalue()


def test_connected_are_the_other_programs_that_live(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [
        {"DriverPid": pid, "IsDead": dead, "Entrypoint": "python drive.py"}
        for pid, dead in ((os.getpid(), False), (7, False), (8, True), (9, False))
    ]
    monkeypatch.setattr("ray._private.state.jobs", lambda: jobs)
    assert connected_programs(but=[7]) == ["9 (python drive.py)"]


def test_a_command_that_is_interrupted_while_it_is_loaded_has_done_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = io.StringIO()
    monkeypatch.setattr(main, "problems", Console(file=said, width=200))
    monkeypatch.setattr(main, "import_module", _interrupt)
    assert main._code_of(["down"]) == 130
    assert said.getvalue() == "interrupted before it began: nothing was done\n"


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcessSystem]:
    """The system that commands find; it has a thermostat."""
    with InProcessSystem(small_settings({}, type="memory")) as made:
        made.actor(Thermostat, "kitchen").ask(ReportTemperature(celsius=20.0)).result()
        for command in (state, history, tail):
            monkeypatch.setattr(command, "connected_by", lambda config: nullcontext(made))
        yield made


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("thermostt/kitchen", "'thermostt': did you mean 'thermostat'\\? If not, say in which"),
        ("locker/l-3", "no host knows the actor type 'locker': say in which module"),
    ],
)
def test_the_state_of_a_type_that_no_host_knows_is_told_with_what_to_say(
    source: str, advice: str
) -> None:
    with pytest.raises(state.ClassAway, match=f"{advice}.*--module MODULE"):
        CliRunner().invoke(state.command, [source], standalone_mode=False, catch_exceptions=False)


def test_logs_of_a_system_whose_ray_ends_meanwhile_say_so(
    system: InProcessSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_stay._Now, "stay", None)
    stay = begin_stay("it has ended, and comes back")

    def get(*_: object, **__: object) -> None:
        stay.end()
        raise SystemExit(0)  # which Ray raises then

    never = SimpleNamespace(log=SimpleNamespace(remote=lambda _: "asked"))
    monkeypatch.setattr(ray, "get_actor", lambda name, namespace: never)
    monkeypatch.setattr(ray, "get", get)
    with pytest.raises(SystemNotFound, match="it has ended, and comes back"):
        logs._Logs(system, "host-0").more()


@pytest.mark.parametrize("address", ["postgresql://h:abc/x", "postgresql://[::1/x"])
def test_an_address_that_is_none_is_told_by_sql(address: str) -> None:
    with pytest.raises(NoDatabase, match="does not answer: ValueError"):
        asyncio.run(sql._ask(address, Settings.load(), "SELECT 1", 1, False))


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize(
    ("command", "arguments", "advice"),
    [
        (history.command, ["thermostat/*"], "`thornback tail --source 'thermostat/*' --no-follow`"),
        (
            tail.command,
            ["--after", "9", "--no-follow"],
            "no event fits; the log ends at position 1",
        ),
    ],
    ids=["a history of several", "after the end"],
)
def test_where_the_log_has_nothing_it_is_said_why(
    command: Command, arguments: list[str], advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = io.StringIO()
    for module in (history, tail):
        monkeypatch.setattr(module, "problems", Console(file=said, highlight=False, width=400))
    done = CliRunner().invoke(command, arguments, standalone_mode=False, catch_exceptions=False)
    assert done.return_value == 1
    assert advice in said.getvalue()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["dead-letters", "alarms"], "it is one of drop, list, replay and show, and 'alarms' is"),
        (["tokens", "mine", "--scope", "read"], "it is one of create, list and revoke, and 'mine'"),
    ],
)
def test_who_leaves_out_what_to_do_is_told_what_there_is(asked: list[str], said: str) -> None:
    refused = CliRunner().invoke(main.thornback, asked)
    assert (refused.exit_code, said in refused.output) == (2, True), refused.output

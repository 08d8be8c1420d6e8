"""The command `thornback`, on one system: what each command shows, to people and to programs."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click import Context, UsageError
from click.testing import CliRunner

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent
from examples.thermostat import ReportTemperature, Thermostat
from jobs.cli.main import thornback
from jobs.cli.sql import QueryFailed
from runtime.errors import HandlerFailed, SystemNotFound
from runtime.system import ActorSystem
from tests.integration.systems import LIMIT_S, Launcher, back, kill, url_of

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
SOURCE = "thermostat/kitchen"


class Say(Command):
    text: str


class Said(DeviceEvent):
    text: str


@dataclass
class TalkerState:
    said: int = 0


class Talker(Actor[TalkerState]):
    """Prints, and fails where it has nothing to say."""

    @handles
    def say(self, message: Say) -> Iterator[Said]:
        yield said_of(message.text)

    @applies
    def said(self, event: Said) -> None:
        self.state.said += 1


def said_of(text: str) -> Said:
    if not text:
        raise ValueError("nothing to say")
    print("saying", text)
    return Said(text=text)


@dataclass(frozen=True, slots=True)
class Commands:
    """Runs commands as a terminal does whose working directory has no settings."""

    environment: dict[str, str]

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What a command prints; it ends with that exit code."""
        done = CliRunner(env=self.environment).invoke(
            thornback, arguments, standalone_mode=False, catch_exceptions=False
        )
        assert (done.return_value or 0) == code, done.output
        return done.output

    def values(self, *arguments: str, code: int = 0) -> list[Any]:
        """What it prints for programs."""
        said = self(*arguments, "--json", code=code)
        return [json.loads(line) for line in said.splitlines()]


@pytest.fixture(scope="module")
def own(cluster: None, new_database: Callable[[], str]) -> Iterator[ActorSystem]:
    """A system with a few events of one thermostat."""
    launcher = Launcher(new_database)
    system = launcher(actor_system={"hosts": 1})
    kitchen = system.actor(Thermostat, "kitchen")
    for celsius in (20.0, 20.5, 21.5):
        kitchen.ask(ReportTemperature(celsius=celsius)).result()
    yield system
    launcher.drain_all()


@pytest.fixture
def commands(own: ActorSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.chdir(tmp_path)
    return Commands(
        {
            "THORNBACK_ACTOR_SYSTEM__NAMESPACE": own.namespace,
            "DATABASE_URL": url_of(own),
            "COLUMNS": "200",
            "THORNBACK_METRICS__PORT": "0",
            "THORNBACK_GATEWAY__ENABLED": "false",
        }
    )


def test_status_has_every_process(commands: Commands) -> None:
    said = commands("status")
    assert all(name in said for name in ("directory", "writer", "bus", "host-0"))
    assert {one["name"] for one in commands.values("status")} == {
        "directory", "writer", "bus", "host-0"
    }  # fmt: skip


def test_history_and_state_are_of_one_device(commands: Commands) -> None:
    assert [one["data"] for one in commands.values("history", SOURCE, "--last", "2")] == [
        {"celsius": 20.5},
        {"celsius": 21.5},
    ]
    assert "v3 temperature-reported" in commands("history", SOURCE)
    assert commands.values("state", SOURCE) == [{"celsius": 21.5}]
    assert commands.values("state", SOURCE, "--module", "examples.thermostat") == [
        {"celsius": 21.5}
    ]


def test_a_device_without_events_has_no_history(commands: Commands) -> None:
    assert "no event of thermostat/attic" in commands("history", "thermostat/attic", code=1)


def test_a_device_that_was_never_used_is_told_from_one_that_was(commands: Commands) -> None:
    said = commands("state", "thermostat/attic", code=1)
    assert "no event of thermostat/attic: this is how one begins" in said
    assert "celsius" in said
    for command in (["state", "kitchen"], ["state", "/kitchen"], ["state", "thermostat/"]):
        with pytest.raises(UsageError, match="SOURCE is TYPE/NAME, like charger/c-17"):
            commands(*command)
    assert "a device is named TYPE/NAME, like charger/c-17" in commands(
        "history", "kitchen", code=1
    )


def test_tail_shows_the_log_and_what_is_selected_of_it(commands: Commands) -> None:
    everything = commands.values("tail", "--no-follow")
    assert [one["version"] for one in everything if one["source"] == SOURCE] == [1, 2, 3]
    assert "no event fits\n" in commands("tail", "nothing-*", "--no-follow", code=1)
    assert commands.values("tail", "--no-follow", "--kind", "device") == everything
    assert "no event fits\n" in commands("tail", "--kind", "business", "--no-follow", code=1)
    since = everything[-1]["recorded_at"]
    assert everything[-1] in commands.values("tail", "--since", since, "--no-follow")
    assert "no event fits" in commands("tail", "--since", "9998-01-01", "--no-follow", code=1)
    with pytest.raises(UsageError, match="--since: Invalid isoformat string: 'yesterday'"):
        commands("tail", "--since", "yesterday")
    said = commands("tail", "temperature-reportd", "--no-follow", code=1)
    assert "did you mean 'temperature-reported'?" in said
    said = commands("tail", "--source", "kitchen", "--no-follow", code=1)
    assert "a device is named TYPE/NAME" in said
    (last,) = commands.values("tail", "--source", "thermostat/*", "--last", "1", "--no-follow")
    assert last["data"] == {"celsius": 21.5}


def test_sql_asks_the_log_and_changes_nothing(commands: Commands) -> None:
    query = "SELECT event_data, version FROM events WHERE source = 'thermostat/kitchen' ORDER BY 2"
    assert commands.values("sql", query)[0] == {"event_data": {"celsius": 20.0}, "version": 1}
    assert "(3 rows)" in commands("sql", query)
    with pytest.raises(Exception, match="read-only transaction"):
        commands("sql", "DELETE FROM events")
    assert "(3 rows)" in commands("sql", query)
    with pytest.raises(QueryFailed, match="log_events and actor_snapshots"):
        commands("sql", "SELECT * FROM log_event")
    with pytest.raises(
        QueryFailed, match=r"\Acolumn .* but expression is .* \(You will need .*\)\Z"
    ):
        commands("sql", "INSERT INTO events (id) VALUES (1)")
    with pytest.raises(QueryFailed, match="one query at a time"):
        commands("sql", "SELECT 1; SELECT 2")
    with pytest.raises(QueryFailed, match="expects 1 argument"):
        commands("sql", "SELECT $1::int")


def test_sql_without_a_query_is_psql_on_the_log(commands: Commands) -> None:
    psql = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "sql"],
        env={**os.environ, **commands.environment, "PYTHONPATH": str(ROOT)},
        input=f"SELECT version FROM log_events WHERE source = '{SOURCE}';\nDELETE FROM events;\n",
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    assert "(3 rows)" in psql.stdout, psql.stderr
    assert "read-only transaction" in psql.stderr
    assert url_of_password(commands) not in psql.stdout + psql.stderr


def test_the_file_that_the_environment_names_comes_before_that_of_the_folder(
    commands: Commands,
) -> None:
    Path("thornback.toml").write_text("[actor_system]\nhosts = 3\n")
    Path("named.toml").write_text("[actor_system]\nhosts = 4\n")
    Path("given.toml").write_text("[actor_system]\nhosts = 5\n")

    def hosts(*more: str) -> tuple[int, str]:
        here = {one["key"]: one for one in commands.values("settings", *more)}
        return here["actor_system.hosts"]["value"], here["actor_system.hosts"]["from"]

    assert hosts() == (3, "thornback.toml")
    commands.environment["THORNBACK_CONFIG"] = "named.toml"
    assert hosts() == (4, "named.toml")
    assert hosts("--config", "given.toml") == (5, "given.toml")


def test_settings_say_where_they_come_from_here_and_in_the_system(commands: Commands) -> None:
    Path("thornback.toml").write_text("[actor_system]\nhosts = 3\n")
    here = {one["key"]: one for one in commands.values("settings")}
    assert here["actor_system.hosts"] == {
        "key": "actor_system.hosts", "value": 3, "from": "thornback.toml"
    }  # fmt: skip
    running = {one["key"]: one for one in commands.values("settings", "--running")}
    assert running["actor_system.hosts"]["value"] == 1
    assert running["actor_system.hosts"]["from"] == "argument"
    assert "1 (here: 3)" in commands("settings", "--running")
    password = url_of_password(commands)
    assert password not in commands("settings") + commands("settings", "--running")


def test_logs_have_what_a_handler_prints_and_where_it_failed(
    own: ActorSystem, commands: Commands
) -> None:
    talker = own.actor(Talker, "one")
    talker.ask(Say(text="hello")).result()
    with pytest.raises(HandlerFailed) as caught:
        talker.ask(Say(text="")).result()
    say, said = caught.value.frames
    assert re.fullmatch(rf"{re.escape(__file__)}:\d+, in say", say)
    assert re.fullmatch(rf"{re.escape(__file__)}:\d+, in said_of", said)
    assert str(caught.value).endswith(said)

    own.actor(Talker, "two").ask(Say(text="somebody else")).result()
    entries = commands.values("logs", "--actor", "talker/one")
    assert [one["text"] for one in entries if one["level"] == "PRINT"] == ["saying hello"]
    (failure,) = (one for one in entries if one["level"] == "ERROR")
    assert "Traceback" in failure["text"]
    assert "ValueError: nothing to say" in failure["text"]
    assert "saying somebody else" in commands("logs", "--process", "host-0")
    (machine,) = {one["machine"] for one in commands.values("status")}
    for one in (*entries, *(each for each in commands.values("logs") if each["time"])):
        assert one["node"] == f"node-001.{one['process']}"
        assert len(one["machine"]) == 12
        assert machine.startswith(one["machine"])


def test_logs_about_nobody_say_so(own: ActorSystem, commands: Commands) -> None:
    said = commands("logs", "--actor", "talker/nobody", code=1)
    assert "no entry is about talker/nobody, and the log has no event of talker/nobody" in said
    said = commands("logs", "--actor", SOURCE, code=1)
    assert f"no entry is about {SOURCE}\n" in said
    assert "a device is named TYPE/NAME" in commands("logs", "--actor", "kitchen", code=1)


def test_logs_go_on_with_what_is_said(own: ActorSystem, commands: Commands) -> None:
    talker = own.actor(Talker, "followed")
    talker.ask(Say(text="before")).result()
    following = subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", "logs", "-f", "--actor", "talker/followed", "--json"],
        env={**os.environ, **commands.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    watchdog = threading.Timer(LIMIT_S, following.kill)
    watchdog.start()
    with following:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["text"] == "saying before"
        talker.ask(Say(text="after")).result()
        assert json.loads(following.stdout.readline())["text"] == "saying after"
        following.send_signal(signal.SIGINT)
        assert following.wait(LIMIT_S) == 130
    watchdog.cancel()


def test_logs_have_what_was_said_before_a_restart(own: ActorSystem, commands: Commands) -> None:
    talker = own.actor(Talker, "restarted")
    talker.ask(Say(text="first")).result()
    back(own, "host-0", kill(own, "host-0"))
    talker.ask(Say(text="second")).result(timeout_s=LIMIT_S)
    entries = commands.values("logs", "--actor", "talker/restarted")
    prints = [(one["text"], one["ended"]) for one in entries if one["level"] == "PRINT"]
    assert prints == [("saying first", True), ("saying second", False)]
    said = commands("logs", "--actor", "talker/restarted")
    assert re.search(r"host-0@\w{12} \(ended\) talker/restarted PRINT saying first", said)
    assert "thornback_process" not in commands("logs")
    assert "DeprecationWarning" not in commands("logs")


def test_launch_and_drain_are_for_a_ray_that_stays(
    commands: Commands, new_database: Callable[[], str]
) -> None:
    commands.environment.update(
        THORNBACK_ACTOR_SYSTEM__NAMESPACE="launched-by-command",
        THORNBACK_ACTOR_SYSTEM__HOSTS="1",
        DATABASE_URL=new_database(),
    )
    launched = commands.values("launch")
    assert {one["name"] for one in launched} == {"directory", "writer", "bus", "host-0"}
    again = commands.values("launch")
    assert [one["pid"] for one in again] == [one["pid"] for one in launched]
    (report,) = commands.values("drain")
    assert {one["name"]: one["problem"] for one in report["processes"]} == {
        "writer": None, "host-0": None
    }  # fmt: skip
    assert report["end_problems"] == []
    with pytest.raises(SystemNotFound, match="launched-by-command"):
        commands("drain")


def test_every_command_is_completed_and_has_help(commands: Commands) -> None:
    context = Context(thornback)
    names = [one.value for one in thornback.shell_complete(context, "")]
    assert {"up", "down", "launch", "drain"} <= set(names)
    assert [one.value for one in thornback.shell_complete(context, "la")] == ["launch"]
    with pytest.raises(UsageError, match="did you mean 'status'"):
        commands("stats")
    for name in names:
        assert commands(name, "--help").startswith(f"Usage: thornback {name}")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(commands: Commands, shell: str) -> None:
    assert "_THORNBACK_COMPLETE" in commands("completion", shell)


def test_doctor_says_what_is_wrong(commands: Commands) -> None:
    found = {one["what"]: one for one in commands.values("doctor")}
    assert found["database"]["finding"] == "well"
    assert found["settings"]["finding"] == "well"
    commands.environment["THORNBACK_METRICS__PORT"] = "many"
    wrong = {one["what"]: one for one in commands.values("doctor", code=1)}
    assert "THORNBACK_METRICS__PORT" in wrong["settings"]["said"]


def url_of_password(commands: Commands) -> str:
    return commands.environment["DATABASE_URL"].partition("://")[2].split(":")[1].split("@")[0]

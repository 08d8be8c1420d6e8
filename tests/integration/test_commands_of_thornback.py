"""The command `thornback`, on one system: what each command shows, to people and to programs."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent
from examples.thermostat import ReportTemperature, Thermostat
from jobs.cli.main import thornback
from runtime.errors import HandlerFailed
from runtime.system import ActorSystem
from tests.integration.systems import Launcher, url_of

pytestmark = pytest.mark.integration

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


def test_tail_shows_the_log_and_what_is_selected_of_it(commands: Commands) -> None:
    everything = commands.values("tail", "--no-follow")
    assert [one["version"] for one in everything if one["source"] == SOURCE] == [1, 2, 3]
    assert commands.values("tail", "nothing-*", "--no-follow") == []
    (last,) = commands.values("tail", "--source", "thermostat/*", "--last", "1", "--no-follow")
    assert last["data"] == {"celsius": 21.5}


def test_sql_asks_the_log_and_changes_nothing(commands: Commands) -> None:
    query = "SELECT event_data, version FROM events WHERE source = 'thermostat/kitchen' ORDER BY 2"
    assert commands.values("sql", query)[0] == {"event_data": {"celsius": 20.0}, "version": 1}
    assert "(3 rows)" in commands("sql", query)
    with pytest.raises(Exception, match="read-only transaction"):
        commands("sql", "DELETE FROM events")
    assert "(3 rows)" in commands("sql", query)


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

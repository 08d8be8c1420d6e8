"""`thornback start`, and what commands say of names and numbers that are none."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from click.testing import CliRunner

from actors.event import Event
from actors.schema import SCHEMA
from examples.thermostat import ReportTemperature, TemperatureReported, Thermostat
from jobs import check
from jobs.cli import start, up
from jobs.cli.main import thornback
from jobs.event_lines import described
from jobs.verify_erased import _advice
from runtime.errors import NotPossible
from runtime.settings.settings import Settings
from store.erasures import Remains, Searched
from store.receipts import Receipt
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcessSystem]:
    """The system that the command finds."""
    with InProcessSystem(small_settings({}, type="memory")) as made:
        monkeypatch.setattr(start, "connected_by", lambda config: nullcontext(made))
        yield made


def test_a_device_that_was_stopped_is_started(system: InProcessSystem) -> None:
    kitchen = system.actor(Thermostat, "kitchen")
    kitchen.ask(ReportTemperature(celsius=20)).result()
    system.stop(kitchen, reason="maintenance").result()
    said = CliRunner().invoke(
        thornback, ["start", "thermostat/kitchen", "--reason", "done", "--json"]
    )
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["event_type"] == "actor-started"
    kitchen.ask(ReportTemperature(celsius=21)).result()


def test_of_a_device_that_was_not_stopped_it_is_said(
    system: InProcessSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    system.actor(Thermostat, "kitchen").ask(ReportTemperature(celsius=20)).result()
    assert start.command.callback is not None
    code = start.command.callback("thermostat/kitchen", "", None, for_programs=False)
    assert code == 0
    assert capsys.readouterr().out == "thermostat/kitchen was not stopped: nothing was done\n"


@pytest.mark.parametrize("command", [("start",), ("erase", "--reason", "asked")])
def test_what_is_no_device_is_refused_before_anything_is_asked(command: tuple[str, ...]) -> None:
    said = CliRunner().invoke(thornback, [*command, "r1"])
    assert "SOURCE is TYPE/NAME, like charger/c-17; 'r1' is not" in said.output
    assert "to erase it" not in said.output


def test_a_number_of_hosts_that_is_none_is_told_so() -> None:
    said = CliRunner().invoke(thornback, ["scale", "--hosts", "three"])
    assert "'three' is not a valid whole number" in said.output


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("data", "--against takes the URL of a database, postgresql://USER:PASSWORD@HOST/NAME"),
        ("postgresql://ann:***@db/log", r"its password was hidden \(\*\*\*\)"),
    ],
)
def test_what_is_no_url_of_a_database_is_not_connected_to(url: str, reason: str) -> None:
    with pytest.raises(NotPossible, match=reason):
        check.check(Settings(), against=url)


@pytest.mark.parametrize(("schema", "shown"), [(1, False), (2, True)])
def test_a_line_of_a_history_says_of_which_schema_an_event_is(schema: int, shown: bool) -> None:
    event = Event.of(
        TemperatureReported(celsius=20), source="thermostat/kitchen", id=uuid4(),
        timestamp=datetime.now(UTC),
    )  # fmt: skip
    if schema > 1:
        event = msgspec.structs.replace(event, metadata={SCHEMA: str(schema)})
    assert ("schema 2" in described(event)) is shown


@pytest.mark.parametrize(
    ("kept", "since", "advice"),
    [(False, 3, "was not erased in this database"), (True, 3, "begun anew"), (True, 0, "again")],
)
def test_whoever_verifies_a_receipt_is_not_sent_to_erase_in_another_database(
    kept: bool, since: int, advice: str
) -> None:
    remains = Remains(events=0, snapshots=0, timers=0, states=0, rows=0, dead_letters=0, outputs=0)
    searched = Searched(remains=remains, ids=Receipt(), since=since, kept=kept)
    assert advice in _advice(searched)


def test_a_start_that_is_refused_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refused(settings: Settings) -> None:
        raise NotPossible("not here")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(up, "check_machine", refused)
    with pytest.raises(NotPossible, match="not here"):
        CliRunner().invoke(up.command, standalone_mode=False, catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []

"""`thornback promote` and `thornback demote`: what they show to people and to programs."""

import json
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from click.testing import CliRunner, Result

from examples.thermostat import ReportTemperature, Thermostat
from jobs.cli import demote, promote
from jobs.cli.main import thornback
from runtime.topology.placement import shard_of
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

SOURCE = "thermostat/kitchen"
SHARD = shard_of(SOURCE)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcessSystem]:
    """The system that the commands find."""
    with InProcessSystem(small_settings({"actor_system": {"hosts": 2}}, type="memory")) as made:
        for module in (promote, demote):
            monkeypatch.setattr(module, "connected_by", lambda config: nullcontext(made))
        yield made


def _said(*options: str) -> Result:
    said = CliRunner().invoke(thornback, options)
    assert said.exit_code == 0, said.output
    return said


def test_a_device_goes_to_a_process_of_its_own_and_back(
    system: InProcessSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    system.actor(Thermostat, "kitchen").ask(ReportTemperature(celsius=20)).result()
    promoted = {"source": SOURCE, "shard": SHARD, "host": f"promoted-{SHARD}"}
    assert json.loads(_said("promote", SOURCE, "--json").stdout) == promoted
    assert system.actor(Thermostat, "kitchen").state().result().celsius == 20
    assert demote.command.callback is not None
    assert demote.command.callback(source=SOURCE, config=None, for_programs=False) == 0
    assert capsys.readouterr().out == f"{SOURCE} is at host-0, with shard {SHARD:,}\n"


@pytest.mark.parametrize("command", ["promote", "demote"])
def test_what_is_no_device_is_refused(command: str) -> None:
    said = CliRunner().invoke(thornback, [command, "kitchen"])
    assert said.exit_code != 0

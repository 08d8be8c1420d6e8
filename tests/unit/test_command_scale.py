"""`thornback scale`: what it shows to people and to programs, and what it refuses."""

import json
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from click.testing import CliRunner, Result

from jobs import scale as job
from jobs.cli import scale as command
from jobs.cli.main import thornback
from runtime.errors import NotPossible
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcessSystem]:
    """The system that the command finds, of one host."""
    with InProcessSystem(small_settings({"actor_system": {"hosts": 1}}, type="memory")) as made:
        monkeypatch.setattr(command, "connected_by", lambda config: nullcontext(made))
        yield made


def _said(*options: str) -> Result:
    return CliRunner().invoke(thornback, ["scale", *options])


@pytest.mark.usefixtures("system")
def test_each_step_is_shown_with_how_far_that_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.command.callback is not None
    assert command.command.callback(hosts=2, config=None, for_programs=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "host-1 runs"
    assert lines[1].startswith("host-1 has 64 shards of host-0 (64 of ")
    *_, last, shares = lines
    done, _, to_do = last.partition("(")[2].removesuffix(" shards)").partition(" of ")
    assert done == to_do
    assert shares.startswith("host-0: 2,")
    assert command.command.callback(hosts=1, config=None, for_programs=False) == 0
    *_, ended, shares = capsys.readouterr().out.splitlines()
    assert ended.startswith("host-1 has ended")
    assert shares == "host-0: 4,096 shards"


@pytest.mark.usefixtures("system")
def test_programs_read_a_line_of_json_for_each_step() -> None:
    said = _said("--hosts", "2", "--json")
    assert said.exit_code == 0, said.output
    first, *moved, last = map(json.loads, said.stdout.splitlines())
    assert first == {"what": "host-1 runs", "moved": 0, "to_move": 0}
    assert moved[-1]["moved"] == moved[-1]["to_move"] == last["shards"]["host-1"]
    assert sum(last["shards"].values()) == 4096


@pytest.mark.parametrize("wrong", ["0", "65", "-1", "two", ""])
def test_a_number_of_hosts_that_cannot_be_is_refused(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _said("--hosts", wrong)
    assert said.exit_code == 2
    assert "--hosts" in said.output
    monkeypatch.setattr("sys.argv", ["scale", f"--hosts={wrong}"])
    with pytest.raises(SystemExit) as ended:
        job.main()
    assert ended.value.code == 2
    refusal = capsys.readouterr().err
    assert f"argument --hosts: a whole number from 1 to 64, not {wrong!r}" in refusal


def test_the_help_says_what_it_does_and_what_becomes_of_it() -> None:
    said = _said("--help").output
    assert "while traffic runs" in said
    assert "--hosts" in said
    assert "scale" in CliRunner().invoke(thornback, ["--help"]).output


def test_fewer_hosts_than_partitions_are_refused() -> None:
    class Partitioned:
        def scale(self, hosts: int, **_: object) -> None:
            raise ValueError(f"each of the 2 partitions has a host, so {hosts} are too few")

    with pytest.raises(NotPossible, match="so 1 are too few"):
        job.scale(Partitioned(), 1)  # type: ignore[arg-type]

"""What `thornback doctor` says of settings, and of the gateway: its certificate, its tokens."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from jobs.cli.doctor import _tokens, command
from runtime.settings.settings import Settings
from tests.unit.certificates import write_certificate


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def said(text: str, tmp_path: Path) -> dict[str, Any]:
    """By what was looked at: what doctor finds, with these settings of the gateway."""
    file = tmp_path / "thornback.toml"
    file.write_text(f'[metrics]\nport = 0\n[event_store]\ntype = "memory"\n[gateway]\n{text}')
    done = CliRunner().invoke(command, ["--json", "--config", str(file)], catch_exceptions=False)
    return {one["what"]: one for one in map(json.loads, done.stdout.splitlines())}


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    text = 'port = 0\ntls_certificate = "none.pem"\ntls_key = "none.key"\n'
    found = said(text, tmp_path)["TLS"]
    assert found["finding"] == "wrong"
    assert "none.pem (gateway.tls_certificate) cannot be read" in found["said"]


def test_that_tokens_travel_as_they_are_is_told(tmp_path: Path) -> None:
    found = said('port = 0\nhost = "0.0.0.0"\n', tmp_path)["TLS"]
    assert found["finding"] == "note"
    certificate, key = write_certificate(tmp_path, "one")
    text = f'port = 0\nhost = "0.0.0.0"\ntls_certificate = "{certificate}"\ntls_key = "{key}"\n'
    assert said(text, tmp_path)["TLS"]["finding"] == "well"


def test_that_nobody_could_be_let_in_is_told() -> None:
    def found(*, live: bool, host: str) -> list[str]:
        settings = Settings.load(environ={}, gateway={"host": host})
        return [str(each.finding) for each in _tokens(settings, live=live)]

    assert found(live=False, host="0.0.0.0") == ["wrong"]
    assert found(live=True, host="0.0.0.0") == []
    assert found(live=False, host="127.0.0.1") == []


def test_a_module_of_actors_that_is_not_there_is_told(tmp_path: Path) -> None:
    text = 'port = 0\n[actor_system]\nactor_modules = ["flet.chargers"]\n'
    found = said(text, tmp_path)["settings"]
    assert found["finding"] == "wrong"
    assert "there is no module 'flet'" in found["said"]
    assert said("port = 0\n", tmp_path)["settings"]["finding"] == "well"

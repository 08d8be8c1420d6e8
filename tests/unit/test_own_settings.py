"""What a driver sets and does not count is told once; variables that nearly are settings, too."""

import logging
from pathlib import Path

import pytest

from runtime.driver import own_settings
from runtime.driver.own_settings import say_what_does_not_count
from runtime.settings import settings as settings_module
from runtime.settings.settings import Settings


@pytest.fixture(autouse=True)
def nothing_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # there is no file of settings
    own_settings._say_once.cache_clear()
    settings_module._say_once.cache_clear()


def of(**variables: str) -> Settings:
    """The settings of an environment."""
    return Settings.load(environ=variables)


@pytest.mark.parametrize(
    ("own", "what"),
    [
        ({"DATABASE_URL": "postgresql://me:secret@here/x"}, "environment variable DATABASE_URL"),
        ({"THORNBACK_EVENT_STORE__DATA_FOLDER": "/a"}, "event_store.data_folder, from environ"),
        ({"THORNBACK_EVENT_STORE__TYPE": "memory"}, "event_store.type, from environment"),
    ],
)
def test_a_driver_that_sets_another_database_is_told_once(
    own: dict[str, str], what: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        say_what_does_not_count(of(**own), of())
    [record] = caplog.records
    assert what in record.getMessage()
    assert "does not count" in record.getMessage()
    assert "secret" not in record.getMessage()


def test_a_driver_that_sets_what_the_system_has_is_told_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = "postgresql://here/x"
    for own, running in (
        (of(), of(DATABASE_URL=url)),
        (of(DATABASE_URL=url), of(DATABASE_URL=url)),
        (of(THORNBACK_EVENT_STORE__DATA_FOLDER="/a"), of(THORNBACK_EVENT_STORE__DATA_FOLDER="/a")),
        (of(THORNBACK_ACTOR_SYSTEM__ACTOR_TIMEOUT_MS="7"), of()),
    ):
        say_what_does_not_count(own, running)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("THORNBAK_METRICS__PORT", "THORNBACK_METRICS__PORT"),
        ("thornback_metrics__port", "THORNBACK_METRICS__PORT"),
        ("Thornback_Config", "THORNBACK_CONFIG"),
        ("THORNBACKS_METRIC__PORT", "THORNBACK_METRICS__PORT"),
    ],
)
def test_a_variable_whose_prefix_is_nearly_ours_is_told_once_with_the_near_name(
    name: str, near: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert of(**{name: "1"}) == of(**{name: "1"}) == Settings()
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (f"environment variable {name} is not read: did you mean {near}?")


def test_other_variables_are_nobody_s_business(caplog: pytest.LogCaptureFixture) -> None:
    of(THORN="1", THORNBIRD_LOG="1", METRICS__PORT="1", thornback="1", THORNBACK="1", BACK_UP="1")
    assert caplog.records == []

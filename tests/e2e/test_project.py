"""A project as `thornback init` makes it, from the first command of its README to the last.

The tests of this module are one story, told in order.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from jobs.cli.init import files
from tests.e2e.place import ROOT, Place, place
from thornback.testing.databases import query

pytestmark = pytest.mark.e2e

EXAMPLE = ROOT / "examples" / "chargers"
CHARGERS = 200


@dataclass(frozen=True, slots=True)
class Project:
    """The folder that `thornback init chargers` has made."""

    here: Place

    def thornback(self, *arguments: str, code: int = 0) -> str:
        """What a command of `thornback` prints."""
        return self.python("-m", "jobs.cli", *arguments, code=code)

    def python(self, *arguments: str, code: int = 0) -> str:
        """What a program prints that is run in the project's folder."""
        done = self.here.run(sys.executable, *arguments)
        assert done.returncode == code, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    # Installed is what this checkout is, whichever environment these tests run in.
    variables = {"PYTHONPATH": str(ROOT), "THORNBACK_EVENT_STORE__SNAPSHOT_FREQUENCY": "20"}
    with place(**variables) as here:
        made = here.run(sys.executable, "-m", "jobs.cli", "init", "chargers", "--help")
        assert made.returncode == 0, made.stdout
        outside = replace(here, root=here.folder)
        made = outside.run(sys.executable, "-m", "jobs.cli", "init", "chargers")
        assert made.returncode == 0, made.stdout
        yield Project(replace(here, root=here.folder / "chargers"))


def test_init_makes_the_example_to_the_letter(project: Project) -> None:
    made = {
        str(file.relative_to(project.here.root)): file.read_text()
        for file in project.here.root.rglob("*")
        if file.is_file()
    }
    example = {
        str(file.relative_to(EXAMPLE)): file.read_text()
        for pattern in (".gitignore", "*.*", "*/*.py")
        for file in EXAMPLE.glob(pattern)
        if file.is_file()
    }
    assert made == example


def test_init_under_another_name_leaves_nothing_of_the_first() -> None:
    made = {str(file): text for file, text in files("boilers")}
    assert "boilers/charger.py" in made
    assert not any(re.search(r"chargers[./]charger", text) for text in made.values())
    assert "from boilers.charger import" in made["drive.py"]


def test_its_tests_pass_without_a_system(project: Project) -> None:
    assert "6 passed" in project.python("-m", "pytest", "-q", "-p", "no:cacheprovider")


def test_up_leaves_a_system_running_that_others_find(project: Project) -> None:
    assert "up, in this folder" in project.thornback("up")
    statuses = [json.loads(line) for line in project.thornback("status", "--json").splitlines()]
    pids = {one["name"]: one["pid"] for one in statuses}
    assert {"directory", "writer", "bus", "host-0"} <= pids.keys()
    again = project.thornback("up")
    assert all(re.search(rf"^{name} +{pid} ", again, re.MULTILINE) for name, pid in pids.items())


def test_a_driver_sends_commands_and_again_changes_nothing(project: Project) -> None:
    said = project.python("drive.py", str(CHARGERS))
    events = CHARGERS * (1 + 6 * (1 + 6 + 2))
    assert f"{CHARGERS * 50:,} commands" in said
    assert f"{events:,} events, 0 were there before, {CHARGERS} rejected" in said
    assert "a reading of 9999 kWh is not possible" in said
    assert "rejected: the charger is available" in said

    again = project.python("drive.py", str(CHARGERS))
    assert f"{CHARGERS * 49:,} were there before, {CHARGERS} rejected" in again
    (counted,) = _rows(project, "SELECT count(*) AS events FROM log_events")
    assert counted == {"events": events}


def test_the_energy_of_each_site_is_the_same_live_and_by_sql(project: Project) -> None:
    live = dict(re.findall(r"(\w+) ([\d,]+\.\d)", project.python("energy.py", "--once")))
    rows = _rows(project, "--file", "energy.sql")
    assert {row["site"]: f"{float(row['kwh']):,.1f}" for row in rows} == live
    assert sum(row["chargers"] for row in rows) == CHARGERS
    assert len(live) == 5


def test_every_query_of_the_docs_has_an_answer(project: Project) -> None:
    url = project.thornback("sql", "--url").strip()
    page = (ROOT / "docs" / "howto" / "query-the-log.md").read_text()
    queries = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(queries) == 10
    assert [text for text in queries if not query(url, text)] == []


def test_every_column_of_the_views_is_explained_in_the_database(project: Project) -> None:
    columns = _rows(
        project,
        "SELECT c.relname, a.attname, col_description(c.oid, a.attnum) AS meaning"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relname IN ('log_events', 'actor_snapshots') AND a.attnum > 0",
    )
    assert {each["relname"] for each in columns} == {"log_events", "actor_snapshots"}
    assert [each for each in columns if not each["meaning"]] == []


def test_one_charger_is_looked_at(project: Project) -> None:
    state = json.loads(project.thornback("state", "charger/c-0017", "--json"))
    assert (state["site"], state["status"]) == ("market", "available")
    assert "session-billed" in project.thornback("history", "charger/c-0017")


def test_down_ends_what_up_started(project: Project) -> None:
    assert re.search(r"^down$", project.thornback("down"), re.MULTILINE)
    assert project.here.left_running() == []
    assert "nothing is up" in project.thornback("down")
    assert "does not run" in project.thornback("sql", "SELECT 1", code=2)


def _rows(project: Project, *arguments: str) -> list[dict[str, Any]]:
    said = project.thornback("sql", *arguments, "--json")
    return [json.loads(line) for line in said.splitlines()]

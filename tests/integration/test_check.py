"""`thornback check`: code that is not deployed yet, against a log that older code has written."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from actors.actor import Actor, applies, handles
from actors.event import DeviceEvent
from actors.schema import SCHEMA, upcasts
from jobs.cli.main import thornback
from runtime.errors import NotPossible
from store.errors import StoreUnavailable
from store.postgres.looking_back import PastLog
from tests.integration.meters import (
    Charge,
    Charged,
    Counted,
    Data,
    Electricity,
    EnergyDelivered,
    Meter,
    MeterState,
    Tariffs,
)
from tests.integration.systems import LIMIT_S, eventually
from thornback.testing.databases import query
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

pytestmark = pytest.mark.integration


@pytest.fixture
def log(thornback_database: str) -> str:
    """Thirty meters of the first release, of three charges each; two of the second."""
    with of_release(thornback_database, Meter, range(30), 3):
        eventually(lambda: len(query(thornback_database, "SELECT FROM snapshots")) == 30)
    newer = "SELECT FROM snapshots WHERE version = 4"
    with of_release(thornback_database, Electricity, range(28, 30), 1):
        eventually(lambda: len(query(thornback_database, newer)) == 2)
    return thornback_database


@contextmanager
def of_release(url: str, actor: type[Actor[Any]], meters: range, charges: int) -> Iterator[None]:
    settings = small_settings({"event_store": {"snapshot_frequency": 2}}, connection_string=url)
    with InProcessSystem(settings) as system:
        for number in meters:
            for _ in range(charges):
                system.actor(actor, f"m-{number}").ask(Charge(kwh=1.0)).result(timeout_s=LIMIT_S)
        yield


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a module of a class, as a release that is to be deployed has it."""

    def make(actor: type[Actor[Any]], **names: Any) -> str:
        made = ModuleType("release_to_come")
        vars(made).update(names, Deployed=actor)
        monkeypatch.setitem(sys.modules, made.__name__, made)
        return made.__name__

    return make


def said(url: str, *arguments: str, code: int = 0) -> str:
    done = CliRunner(env={"COLUMNS": "300"}).invoke(
        thornback, ["check", "--against", url, *arguments], standalone_mode=False,
        catch_exceptions=False,
    )  # fmt: skip
    assert (done.return_value or 0) == code, done.output
    return " ".join(done.output.split())  # however wide the terminal is taken to be


def verdict(url: str, *arguments: str, code: int = 0) -> Any:
    return json.loads(said(url, "--json", *arguments, code=code))


TABLES = ("events", "snapshots", "epochs", "actor_types", "event_types", "event_schemas", "claim",
          "schema_migrations")  # fmt: skip


def everything(url: str) -> list[Any]:
    return [
        sorted(map(str, query(url, f"SELECT t.*, t.xmin FROM {table} AS t"))) for table in TABLES
    ]


def test_a_release_that_reads_all_of_the_log_may_be_deployed_and_nothing_is_changed(
    log: str, module: Any
) -> None:
    before = everything(log)
    release = module(Tariffs)
    output = said(log, "--module", release)
    assert (
        "meter by tests.integration.meters.Tariffs: 30 actors, 92 events, "
        "30 of 30 snapshots made anew: all of it applies"
    ) in output
    assert everything(log) == before
    found = verdict(log, "meter", "--module", release, "--sample", "4")
    assert (found["well"], found["actors"], found["folded"], found["snapshots"]) == (True, 30, 4, 4)
    assert verdict(log, "--module", module(Electricity))["snapshots_ignored"] == 28


def test_what_was_erased_is_no_history_that_a_release_has_to_read(
    thornback_database: str, module: Any
) -> None:
    settings = small_settings({}, connection_string=thornback_database)
    with InProcessSystem(settings) as system:
        gone, begun = system.actor(Meter, "gone"), system.actor(Meter, "begun")
        for ref in (gone, begun):
            ref.ask(Charge(kwh=1.0)).result(timeout_s=LIMIT_S)
            system.erase(ref, "sold").result(timeout_s=LIMIT_S)
        system.start(begun).result(timeout_s=LIMIT_S)
        begun.ask(Charge(kwh=2.0)).result(timeout_s=LIMIT_S)
    found = verdict(thornback_database, "--module", module(Tariffs))
    assert (found["well"], found["actors"], found["misfits"]) == (True, 2, [])
    with InProcessSystem(settings) as system:  # a class is held against such a history, too
        state = system.actor(Tariffs, "begun").state().result(timeout_s=LIMIT_S)
    assert state.kwh == 2.0


class Renamed(DeviceEvent):
    """Somebody has forgotten what it was called."""

    kwh: float


class Forgetful(Actor[MeterState]):
    actor_type = "meter"
    replaces = Electricity.replaces

    @handles
    def charge(self, message: Charge) -> Iterator[Renamed]:
        yield Renamed(kwh=message.kwh)

    @applies
    def renamed(self, event: Renamed) -> None:
        self.state.kwh += event.kwh


class WithoutADefault(DeviceEvent):
    event_type = "charged"
    schema_version = 2
    kwh: float
    site: str

    @upcasts(1)
    @staticmethod
    def in_kilowatt_hours(data: Data) -> Data:
        return {"kwh": data["energie"] / 1_000}


class Careless(Actor[Counted]):
    actor_type = "meter"
    replaces = (Electricity.class_name(),)

    @handles
    def charge(self, message: Charge) -> Iterator[WithoutADefault]:
        yield WithoutADefault(kwh=message.kwh, site="")

    @applies
    def charged(self, event: WithoutADefault) -> None:
        self.state.kwh += event.kwh


class Failing(Actor[Counted]):
    actor_type = "meter"
    replaces = (Electricity.class_name(),)

    @handles
    def charge(self, message: Charge) -> Iterator[EnergyDelivered]:
        yield EnergyDelivered(kwh=message.kwh)

    @applies
    def delivered(self, event: EnergyDelivered) -> None:
        if self.state.charges == 2:
            raise RuntimeError("three are too many")
        self.state.charges += 1


def test_an_event_that_nothing_applies_is_said_with_an_example(log: str, module: Any) -> None:
    found = verdict(log, "--module", module(Forgetful), code=1)
    assert found["problems"][0].startswith("its log has 'charged', which nothing applies")
    assert "Electricity decides this actor type, not" in found["problems"][1]
    first, second = found["misfits"]
    assert (first["event_type"], first["schema"], first["events"], first["actors"]) == (
        "charged", 1, 90, 30,
    )  # fmt: skip
    assert (second["schema"], second["events"], second["actors"]) == (2, 2, 2)
    assert "nothing applies: give it a method marked @applies" in first["reason"]
    [row] = query(log, "SELECT * FROM events WHERE id::text = $1", first["id"])
    assert (row["source"], row["version"], row["position"]) == (
        first["source"], first["version"], first["position"],
    )  # fmt: skip


def test_what_an_upcaster_and_a_field_do_wrong_is_said_of_each_schema(
    log: str, module: Any
) -> None:
    output = said(log, "--module", module(Careless), code=1)
    assert (
        "'charged' of schema 1, 90 events of 30 actors: 'charged' of schema 1: "
        "WithoutADefault.in_kilowatt_hours, which upcasts 1, fails: KeyError: 'energie'"
    ) in output
    assert (
        "'charged' of schema 2, 2 events of 2 actors: the field 'site' of WithoutADefault is not "
        "in events from before it was added"
    ) in output
    assert "for example" in output


def test_an_applier_that_fails_is_said_once_an_actor(log: str, module: Any) -> None:
    [misfit] = verdict(log, "--module", module(Failing), code=1)["misfits"]
    assert misfit["reason"] == "delivered fails: RuntimeError: three are too many"
    assert (misfit["version"], misfit["actors"], misfit["events"]) == (3, 30, 30)


def test_the_release_before_is_told_that_it_knows_less_than_the_log(log: str, module: Any) -> None:
    output = said(log, "--module", module(Meter, Charged=Charged), code=1)
    assert "its log has 'charged' of schema 2 (this class reads up to 1): a newer release" in output
    assert "2 events of 2 actors: 'charged' of schema 2: Charged here reads schemas up to" in output


def test_a_type_without_a_class_here_is_not_well_and_its_module_is_proposed(log: str) -> None:
    output = said(log, code=1)
    assert "meter: not folded" in output
    assert "has decided it, so perhaps --module tests.integration.meters" in output


def test_what_cannot_be_checked_is_an_error(log: str) -> None:
    with pytest.raises(NotPossible, match="the log has no actor of the type 'oven'; it has: meter"):
        said(log, "oven")
    with pytest.raises(NotPossible, match=r"'nowhere\.at_all' cannot be imported"):
        said(log, "--module", "nowhere.at_all")
    with pytest.raises(StoreUnavailable):
        said("postgresql://nobody@127.0.0.1:1/nothing")


def test_a_database_of_the_release_before_is_checked_as_it_is(log: str, module: Any) -> None:
    """It has no table of schemas, and says of no row which schema that is."""
    query(log, "DELETE FROM events WHERE metadata IS NOT NULL AND metadata ? $1", SCHEMA)
    query(log, "DROP TABLE event_schemas")
    query(log, "DELETE FROM schema_migrations WHERE number >= 21")
    assert verdict(log, "--module", module(Tariffs))["events"] == 90


async def test_the_server_refuses_whatever_would_change_the_log(log: str) -> None:
    past = await PastLog.open(log)
    with pytest.raises(StoreUnavailable, match="read-only"):
        await past.connections.fetch("DELETE FROM events")
    past.close()

"""Erasing on real Ray and PostgreSQL: whatever is killed in between, nothing of it is left in any
table, and everybody else goes on."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from actors.actor import Actor, applies, handles
from actors.command import Command
from actors.event import DeviceEvent, Event, Payload
from actors.timers import Schedule
from jobs.cli.main import thornback
from runtime.errors import ActorErased, NotPossible
from runtime.system import ActorSystem
from store.erasures import ErasureReceipt
from store.postgres.event_store import PostgresEventStore
from streams.pipeline import EventPipeline
from streams.projection import Projection
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    back,
    eventually,
    kill,
    pids_of,
    url_of,
)

pytestmark = pytest.mark.integration

SECRET = "12 Main Street"


class Move(Command):
    to: str


class Moved(DeviceEvent):
    to: str


@dataclass
class DwellingState:
    at: str = ""


class Dwelling(Actor[DwellingState]):
    actor_type = "dwelling"
    indexes = ("at",)

    @handles
    def move(self, command: Move) -> Iterator[Payload | Schedule]:
        yield Moved(to=command.to)
        if command.to.endswith(" 4"):
            yield Schedule(after=3_600.0, message=Move(to=command.to), key="later")

    @applies
    def moved(self, event: Moved) -> None:
        self.state.at = event.to


@dataclass(frozen=True)
class Address:
    at: str


class Addresses(Projection[Address]):
    event_types = ("moved",)

    def key(self, event: Event) -> str | None:
        return event.source.partition("/")[2]

    def project(self, event: Event, row: Address | None) -> Address | None:
        return Address(str(event.data["to"]))


def moves() -> EventPipeline:
    return (
        EventPipeline("moves", ["moved"])
        .key_by(lambda event: event.source)
        .fold([0, ""], lambda kept, event: [kept[0] + 1, event.data["to"]])
        .emit("move-counted")
    )


def tables_with(system: ActorSystem, text: str) -> dict[str, int]:
    """How many rows of each table of the database have a text in them, whatever its columns."""

    async def look() -> dict[str, int]:
        store = await system.open_store()
        assert isinstance(store, PostgresEventStore)
        try:
            tables = await store.fetch(
                "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
                "WHERE schemaname IN ('public', 'projection_tables')"
            )
            found = {}
            for table in tables:
                # As text, and what is binary as the text that it may be.
                [row] = await store.fetch(
                    f"SELECT count(*) AS rows FROM {table['name']} AS t "
                    f"WHERE strpos(t::text, $1) > 0 OR strpos(t::text, $2) > 0",
                    text, text.encode().hex(),
                )  # fmt: skip
                if row["rows"]:
                    found[table["name"]] = row["rows"]
            return found
        finally:
            await store.close()

    return asyncio.run(look())


def fill(system: ActorSystem) -> None:
    system.run(Addresses(), workers=1).result(timeout_s=LIMIT_S)
    system.run(moves(), workers=1).result(timeout_s=LIMIT_S)
    for number in range(5):
        for name, street in (("a", SECRET), ("b", "a street")):
            ref = system.actor(Dwelling, name)
            ref.ask(Move(to=f"{street} {number}")).result(timeout_s=LIMIT_S)
    system.find(Dwelling, at=f"{SECRET} 4").result(timeout_s=LIMIT_S)
    eventually(lambda: len(tables_with(system, SECRET)) == 6)


def searched(system: ActorSystem, receipt: ErasureReceipt) -> bool:
    async def look() -> bool:
        store = await system.open_store()
        try:
            return (await store.search_erased(receipt)).agrees(receipt)
        finally:
            await store.close()

    return asyncio.run(look())


def test_nothing_is_left_in_any_table_though_all_are_killed_in_between(
    launch: Launcher,
) -> None:
    system = launch(actor_system={"hosts": 1}, event_store={"snapshot_frequency": 2})
    one, other = system.actor(Dwelling, "a"), system.actor(Dwelling, "b")
    fill(system)
    erasing = system.erase(one, "its owner asked", keys=["a"])
    for name in ("host-0", "bus", "writer"):
        kill(system, name)
    receipt = erasing.result(timeout_s=LIMIT_S)
    assert (receipt.events, receipt.rows, receipt.states, receipt.timers) == (6, 2, 1, 1)
    assert tables_with(system, SECRET) == {}
    assert searched(system, receipt)
    eventually(lambda: "host-0" in pids_of(system))  # erasing needs it in the beginning alone
    back(system, "host-0", kill(system, "host-0"))
    with pytest.raises(ActorErased, match="its owner asked"):
        one.ask(Move(to="elsewhere")).result(timeout_s=LIMIT_S)
    moved = other.ask(Move(to="there")).result(timeout_s=LIMIT_S)
    found = system.find(Dwelling, at="there").result(timeout_s=LIMIT_S)
    assert [ref.source for ref in found] == ["dwelling/b"]
    assert (moved[0].source, moved[0].version) == ("dwelling/b", 7)
    eventually(lambda: tables_with(system, "there").get("public.events") == 2)  # and its output
    assert tables_with(system, SECRET) == {}
    assert system.erase(one, "again", keys=["a"]).result(timeout_s=LIMIT_S) == receipt
    assert_log_is_whole(system)
    [started] = system.start(one, reason="sold").result(timeout_s=LIMIT_S)
    assert started.version == receipt.version + 1
    assert one.state().result(timeout_s=LIMIT_S) == DwellingState()


def test_the_command_erases_and_its_receipt_is_verified(
    launch: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = launch(actor_system={"hosts": 1}, event_store={"snapshot_frequency": 2})
    fill(system)
    monkeypatch.chdir(tmp_path)
    environment = {
        "THORNBACK_ACTOR_SYSTEM__NAMESPACE": system.namespace,
        "DATABASE_URL": url_of(system),
        "COLUMNS": "200",
        "THORNBACK_METRICS__PORT": "0",
        "THORNBACK_GATEWAY__ENABLED": "false",
    }

    def said(*arguments: str, typed: str = "", code: int = 0) -> str:
        done = CliRunner(env=environment).invoke(
            thornback, arguments, standalone_mode=False, catch_exceptions=False, input=typed
        )
        assert (done.return_value or 0) == code, done.output
        return done.stdout

    order = ("erase", "dwelling/a", "--reason", "its owner asked", "--key", "a")
    said(*order, typed="dwelling/b\n", code=1)
    assert tables_with(system, SECRET)
    assert "its receipt is receipt.json" in said(
        *order, "--receipt", "receipt.json", typed="dwelling/a\n"
    )
    assert tables_with(system, SECRET) == {}
    receipt = json.loads(Path("receipt.json").read_text())
    assert json.loads(said(*order, "--yes", "--json")) == receipt
    verified = said("verify", "--receipt", "receipt.json")
    assert "nothing is left of it in any table; 7 events" in verified
    assert json.loads(said("verify", "--receipt", "receipt.json", "--json"))["agrees"]
    Path("receipt.json").write_text(json.dumps(receipt | {"version": 3}))
    said("verify", "--receipt", "receipt.json", code=1)
    Path("receipt.json").write_text("{}")
    with pytest.raises(NotPossible, match="no receipt of an erasure"):
        said("verify", "--receipt", "receipt.json")

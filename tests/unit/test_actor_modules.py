"""The modules of actors that the settings name, and what a host says of those that are wrong."""

import sys
from types import ModuleType

import pytest

from actors.actor import Actor, handles
from runtime.errors import (
    StartFailed,
)
from runtime.host.host import Host
from runtime.settings.settings import Settings
from tests.unit.chargers import Charge, Plug
from tests.unit.test_host import OneWriter
from tests.unit.writing import Writing
from tests.virtual_time import virtual_time


@virtual_time
async def test_a_module_of_actors_that_is_not_there_is_named() -> None:
    settings = Settings.model_validate({"actor_system": {"actor_modules": ["flet.chargers"]}})
    world = OneWriter(await Writing.begin())
    host = Host("host-0", settings.model_dump_json(), None, world=world)
    with pytest.raises(StartFailed, match=r"actor_modules names 'flet\.chargers', which cannot be"):
        await host.ready()


@virtual_time
async def test_a_refused_class_of_a_module_of_actors_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken(Actor[Charge]):
        @handles
        async def plug(self, message: Plug) -> None: ...

    fleet = ModuleType("fleet")
    fleet.Broken = Broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fleet", fleet)
    settings = Settings.model_validate({"actor_system": {"actor_modules": ["fleet"]}})
    host = Host("host-0", settings.model_dump_json(), None, world=OneWriter(await Writing.begin()))
    with pytest.raises(
        StartFailed,
        match=r"actor_modules names 'fleet', whose class Broken is refused "
        r"\(broken: plug is async: .* make it a plain `def`\): correct it, and launch again",
    ):
        await host.ready()


@virtual_time
async def test_a_module_of_actors_without_one_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = ModuleType("fleet")
    fleet.Actor = Actor  # type: ignore[attr-defined]  # imported there, and no actor of its own
    monkeypatch.setitem(sys.modules, "fleet", fleet)
    settings = Settings.model_validate({"actor_system": {"actor_modules": ["fleet"]}})
    Host("host-0", settings.model_dump_json(), None, world=OneWriter(await Writing.begin()))
    assert "actor_system.actor_modules names 'fleet', which has no actor class" in caplog.text
    assert "actors.devices" not in caplog.text

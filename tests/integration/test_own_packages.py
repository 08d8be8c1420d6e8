"""Actors of a user's own package, on hosts that cannot import it."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any
from uuid import uuid4

import pytest

from actors.errors import InvalidActor
from runtime.system import ActorSystem
from tests.integration.devices import Add, Counter
from tests.integration.systems import LIMIT_S, Launcher

pytestmark = pytest.mark.integration

DEVICES = """
    from collections.abc import Iterator
    from dataclasses import dataclass

    from {package}.limits import HOTTEST, hotter
    from thornback import Actor, Command, DeviceEvent, Rejected, applies, handles

    class Report(Command):
        celsius: float

    class Reported(DeviceEvent):
        celsius: float

    @dataclass
    class ThermostatState:
        celsius: float | None = None

    class {name}(Actor[ThermostatState]):
        replaces = {replaces}

        @handles
        def report(self, message: Report) -> Iterator[Reported]:
            if hotter(message.celsius):
                raise Rejected(f"above {{HOTTEST}}")
            yield Reported(celsius=message.celsius)

        @applies
        def reported(self, event: Reported) -> None:
            self.state.celsius = event.celsius
"""
LIMITS = """
    from driver_only import margin

    HOTTEST = 60

    def hotter(celsius: float) -> bool:
        return celsius > HOTTEST {more}
"""


@pytest.fixture(params=["pooled", "dedicated"])
def system(request: pytest.FixtureRequest, launch: Launcher) -> ActorSystem:
    """A system whose hosts were started before there was a package of the user's."""
    return launch(actor_system={"placement": {"oven": request.param}})


class Project:
    """Packages that only this process can import."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def devices(self, *, more: str = "", replaces: tuple[str, ...] = ()) -> Any:
        """A package of its own with an Oven, which may use what only the driver has."""
        package = f"house_{uuid4().hex}"
        (self._folder / package).mkdir()
        for name, text in (("limits", LIMITS), ("devices", DEVICES)):
            code = dedent(text).format(package=package, name="Oven", more=more, replaces=replaces)
            (self._folder / package / f"{name}.py").write_text(code)
        return importlib.import_module(f"{package}.devices")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "driver_only.py").write_text("def margin() -> float:\n    return 5.0\n")
    monkeypatch.syspath_prepend(installed)
    monkeypatch.syspath_prepend(tmp_path)
    yield Project(tmp_path)
    sys.modules.pop("driver_only", None)


def test_a_class_of_a_users_package_runs_in_hosts_that_cannot_import_it(
    system: ActorSystem, project: Project
) -> None:
    house = project.devices()
    oven = system.actor(house.Oven, "kitchen")

    (event,) = oven.ask(house.Report(celsius=60.0)).result(timeout_s=LIMIT_S)
    assert (event.source, event.version) == ("oven/kitchen", 1)
    with pytest.raises(house.Rejected, match="above 60"):
        oven.ask(house.Report(celsius=61.0)).result(timeout_s=LIMIT_S)
    assert oven.state().result(timeout_s=LIMIT_S) == house.ThermostatState(celsius=60.0)


def test_a_module_that_hosts_do_not_have_is_named_and_costs_nobody_else_anything(
    system: ActorSystem, project: Project
) -> None:
    house = project.devices(more="+ margin()")
    oven, counter = system.actor(house.Oven, "x"), system.actor(Counter, uuid4().hex)

    for _ in range(2):
        with pytest.raises(InvalidActor, match=r"^oven: it needs the module 'driver_only'"):
            oven.ask(house.Report(celsius=1.0)).result(timeout_s=LIMIT_S)
    assert counter.ask(Add()).result(timeout_s=LIMIT_S)[0].version == 1

    mended = project.devices(replaces=(house.Oven.class_name(),))  # in a package of another name
    (event,) = system.actor(mended.Oven, "x").ask(mended.Report(celsius=1.0)).result(LIMIT_S)
    assert event.version == 1

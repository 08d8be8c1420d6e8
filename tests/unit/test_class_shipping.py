"""Actor classes of a user's own package reach a process that cannot import them."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from ray import cloudpickle

from actors.devices import DeviceTwin
from actors.errors import InvalidActor
from runtime.driver.class_shipping import own_modules, pickled_class
from runtime.host.class_loading import loaded_class

ROOT = Path(__file__).parents[2]

#: A project as a user may have one: what a thermostat is stands in four modules, reached
#: in every way that Python has.
FILES = {
    "house/__init__.py": "",
    "house/parts/__init__.py": "from house.parts.limits import HOTTEST as HOTTEST\n",
    "house/parts/limits.py": """
        import logging
        from enum import Enum

        HOTTEST = 60.0
        log = logging.getLogger(__name__)

        class Verdict(Enum):
            FINE = "fine"
            HOT = "hot"

        def verdict(celsius: float) -> Verdict:
            log.debug("%s", celsius)
            return Verdict.HOT if celsius > HOTTEST else Verdict.FINE
    """,
    "house/events.py": """
        from thornback import Command, DeviceEvent

        class Report(Command):
            celsius: float

        class Reported(DeviceEvent):
            celsius: float
            verdict: str
    """,
    "house/devices.py": """
        from collections.abc import Iterator
        from dataclasses import dataclass, field

        import margins
        from house import parts
        from house.events import Report, Reported
        from house.parts.limits import verdict
        from thornback import Actor, Rejected, applies, handles

        @dataclass
        class ThermostatState:
            celsius: list[float] = field(default_factory=list)

        class Thermostat(Actor[ThermostatState]):
            @handles
            def report(self, message: Report) -> Iterator[Reported]:
                if message.celsius > parts.HOTTEST + margins.MARGIN:
                    raise Rejected("too hot")
                yield Reported(celsius=message.celsius, verdict=verdict(message.celsius).value)

            @applies
            def reported(self, event: Reported) -> None:
                self.state.celsius.append(event.celsius)
    """,
    "margins.py": "MARGIN = 10.0\n",
}

#: What a host does with the class, in a process that has the project nowhere.
HOST = """
    import sys
    from runtime.host.class_loading import loaded_class
    from thornback import Scenario

    thermostat = loaded_class(sys.stdin.buffer.read())
    handlers = thermostat.described().handlers
    report = handlers["report"].message
    done = Scenario(thermostat).when(report(celsius=21.5)).when(report(celsius=65.0))
    print(done.state.celsius, done._yielded)
    done.when(report(celsius=71.0)).then_rejected("too hot")
    print(sorted(name for name in sys.modules if name.startswith(("house", "margins"))))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the project, at the head of the path; its modules are forgotten again."""
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    for name in sys.modules.keys() - known:
        if name.partition(".")[0] in ("house", "margins", "elsewhere", "main_program"):
            del sys.modules[name]


def thermostat(module: str = "house.devices") -> type[Any]:
    return importlib.import_module(module).Thermostat  # type: ignore[no-any-return]


def at_a_host(pickled: bytes, program: str = HOST) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-c", dedent(program)],
        input=pickled,
        cwd=ROOT,
        capture_output=True,
        check=False,
    )


def test_a_class_brings_all_that_it_uses_of_its_users_modules(project: Path) -> None:
    done = at_a_host(pickled_class(thermostat()))

    assert done.stdout.decode().splitlines() == [
        "[21.5, 65.0] [Reported(celsius=65.0, verdict='hot')]",
        "[]",  # nothing of the project was imported
    ], done.stderr.decode()


def test_a_class_of_a_program_brings_what_it_uses_too(project: Path) -> None:
    program = project / "drive.py"
    program.write_text(
        dedent(
            """
            import sys
            import house.devices
            from runtime.driver.class_shipping import pickled_class

            class Thermostat(house.devices.Thermostat):
                pass

            sys.stdout.buffer.write(pickled_class(Thermostat))
            """
        )
    )
    made = subprocess.run(
        [sys.executable, str(program)],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr.decode()

    done = at_a_host(made.stdout)
    assert b"verdict='hot'" in done.stdout, done.stderr.decode()


def test_what_is_installed_does_not_travel_wherever_thornback_lies(project: Path) -> None:
    for folder in (".venv/lib/python3.11/site-packages", "usr/lib/python3/dist-packages"):
        (project / folder).mkdir(parents=True)
    importlib.import_module("house.devices")
    names = {module.__name__ for module in own_modules()}

    assert {"house", "margins"} <= names
    # Thornback itself lies beside the user's own here, as an editable installation does.
    ours = {"actors", "gateways", "jobs", "runtime", "store", "streams", "thornback"}
    assert names.isdisjoint(ours | {"pydantic", "ray", "logging", "enum", "__main__"})
    assert b"actors.devices.device_twin" in pickled_class(DeviceTwin)


@pytest.mark.parametrize("folder", [".venv/lib/python3.11/site-packages", "dist-packages"])
def test_a_module_that_only_the_driver_has_installed_is_named(
    project: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / folder).mkdir(parents=True)
    (project / folder / "elsewhere.py").write_text("def margin() -> float:\n    return 1.0\n")
    monkeypatch.syspath_prepend(project / folder)
    devices = (project / "house" / "devices.py").read_text()
    (project / "house" / "devices.py").write_text(
        devices.replace("import margins", "import elsewhere").replace(
            "margins.MARGIN", "elsewhere.margin()"
        )
    )

    pickled = pickled_class(thermostat())

    done = at_a_host(pickled)
    assert "needs the module 'elsewhere', which its hosts cannot import" in done.stderr.decode()


def test_a_class_that_cannot_be_loaded_says_so() -> None:
    with pytest.raises(InvalidActor, match="its hosts cannot load it: UnpicklingError"):
        loaded_class(b"no pickle")


def test_what_a_user_has_registered_stays_so_and_nothing_else_does(project: Path) -> None:
    devices = importlib.import_module("house.devices")
    margins = importlib.import_module("margins")
    before = cloudpickle.list_registry_pickle_by_value()
    cloudpickle.register_pickle_by_value(margins)
    try:
        pickled_class(devices.Thermostat)
        assert cloudpickle.list_registry_pickle_by_value() == before | {"margins"}
    finally:
        cloudpickle.unregister_pickle_by_value(margins)

    devices.Thermostat.lock = importlib.import_module("threading").Lock()
    with pytest.raises(TypeError, match="lock"):
        pickled_class(devices.Thermostat)
    assert cloudpickle.list_registry_pickle_by_value() == before

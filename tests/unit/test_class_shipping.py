"""Actor classes of a user's own package reach a process that cannot import them."""

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from ray import cloudpickle

from actors.devices import DeviceTwin, WeatherStation
from actors.errors import InvalidActor
from runtime.host.class_loading import loaded_class
from runtime.wire.actor_code import ActorCode, ImportsLate
from runtime.wire.class_shipping import fingerprint_here, own_modules, pickled_class
from store.scenario import Scenario

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
            from runtime.wire.class_shipping import pickled_class

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


FINGERPRINT = """
    import sys
    sys.path.insert(0, sys.argv[1])
    from house.devices import Thermostat
    from runtime.wire.actor_code import ActorCode
    from runtime.wire.class_shipping import pickled_class
    print(ActorCode.unpack(pickled_class(Thermostat)).fingerprint)
"""


def fingerprint_elsewhere(folder: Path, seed: int) -> str:
    """Of the class as another process reads it, in another folder and with other hashes."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(FINGERPRINT), str(folder)],
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_a_fingerprint_is_of_the_code_and_of_nothing_else(project: Path, tmp_path: Path) -> None:
    devices = project / "house" / "devices.py"
    devices.write_text(devices.read_text() + '\nKINDS = {"kitchen", "bath", "hall", "attic"}\n')
    devices.write_text(
        devices.read_text().replace(
            "raise Rejected", 'assert self.name not in {"a", "b", "c", "d"}, KINDS; raise Rejected'
        )
    )
    copy = tmp_path / "copy"
    shutil.copytree(project / "house", copy / "house")
    shutil.copy(project / "margins.py", copy)
    first = fingerprint_elsewhere(project, 1)
    assert [fingerprint_elsewhere(copy, seed) for seed in (2, 3)] == [first, first]

    (copy / "margins.py").write_text("MARGIN = 11.0\n")  # a constant of an imported module
    assert fingerprint_elsewhere(copy, 2) != first


def test_a_class_is_the_same_bytes_whenever_its_code_is_and_none_of_the_old_ones_otherwise(
    project: Path,
) -> None:
    actor = thermostat()
    before = pickled_class(actor)
    old = loaded_class(before)
    assert pickled_class(actor) == before
    assert loaded_class(before) is old

    vars(importlib.import_module("margins"))["MARGIN"] = 20.0  # edited, and loaded anew
    after = pickled_class(actor)
    new = loaded_class(after)
    assert new is not old
    report: Any = old.described().handlers["report"].message
    Scenario(old).when(report(celsius=71.0)).then_rejected("too hot")
    report = new.described().handlers["report"].message
    Scenario(new).when(report(celsius=71.0))


def test_a_function_with_a_cache_travels_too(project: Path) -> None:
    limits = project / "house" / "parts" / "limits.py"
    limits.write_text(
        limits.read_text().replace(
            "def verdict(", "import functools\n\n@functools.lru_cache(maxsize=7)\ndef verdict("
        )
    )
    done = at_a_host(pickled_class(thermostat()))
    assert b"verdict='hot'" in done.stdout, done.stderr.decode()


def test_a_module_of_the_users_that_is_imported_late_is_named(project: Path) -> None:
    devices = project / "house" / "devices.py"
    devices.write_text(
        devices.read_text()
        .replace("import margins\n", "")
        .replace("        if message", "        import margins\n        if message")
    )
    importlib.import_module("margins")
    with pytest.raises(
        ImportsLate, match=r"Thermostat\.report imports 'margins' when it runs.*top of its module"
    ):
        pickled_class(thermostat())


def test_what_a_host_has_imported_has_a_fingerprint_too(project: Path) -> None:
    assert len(fingerprint_here(DeviceTwin)) == 64
    assert fingerprint_here(DeviceTwin) != fingerprint_here(WeatherStation)
    sent = ActorCode.unpack(pickled_class(thermostat())).fingerprint
    assert fingerprint_here(thermostat()) == sent

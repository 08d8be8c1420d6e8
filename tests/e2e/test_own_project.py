"""A project of one's own that has Thornback as a dependency, as the README describes it:
installed from a wheel, actors in an own package, their tests, types, drivers and jobs.

The tests of this module are one story, told in order.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jobs.cli.init import files as files_of_init
from tests.e2e.own_ray import OwnRay
from tests.e2e.place import ROOT, Place, place
from tests.e2e.readme import command, files

pytestmark = pytest.mark.e2e

PACKAGES = ("actors", "gateways", "jobs", "runtime", "store", "streams", "thornback")

#: What a user sees of the types, and what mypy says of it.
REVEALED = {
    'system.actor(Boiler, "x")': "runtime.driver.ref.ActorRef[house.boiler.BoilerState]",
    'system.actor(Boiler, "x").ask(Heat(celsius=1.0))':
        "runtime.driver.reply.Reply[list[actors.event.Event]]",
    'system.actor(Boiler, "x").ask(Heat(celsius=1.0)).result()':
        "list[actors.event.Event]",
    'system.actor(Boiler, "x").state().result()': "house.boiler.BoilerState",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Project:
    """The folder of a project, with an environment in which Thornback is installed."""

    here: Place
    wheel: Path

    @property
    def folder(self) -> Path:
        """Where the project's files are."""
        return self.here.root

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command in the project's folder; its exit code and what it printed."""
        done = self.here.run(*command)
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    with place() as here:
        folder = here.folder / "project"
        for name, text in {"house/__init__.py": "", **files()}.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        wheel = _built(here.folder / "build")
        scripts = _installed(wheel, here.folder / "venv")
        variables = {"PATH": f"{scripts}:{here.environment['PATH']}"}
        own = replace(here, environment={**here.environment, **variables}, root=folder)
        yield Project(own, wheel)


@pytest.fixture(scope="module")
def ray_of_my_own(project: Project) -> Iterator[OwnRay]:
    started = OwnRay(project.here)
    yield started
    started.stop()


def test_the_wheel_has_every_package_with_its_data_and_nothing_else(project: Project) -> None:
    with zipfile.ZipFile(project.wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    kinds = ("*.py", "*.sql", "page/*", "assets/*", "py.typed")
    expected = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for kind in kinds
        for file in (ROOT / package).rglob(kind)
    }
    expected |= {f"jobs/cli/template/{file}" for file, _ in files_of_init("chargers")}
    assert packed == expected
    assert {f"{package}/py.typed" for package in PACKAGES} <= packed
    assert any(name.endswith(".sql") for name in packed)


def test_it_works_without_a_settings_file_and_paths_begin_where_the_program_runs(
    project: Project,
) -> None:
    program = (
        "import thornback; settings = thornback.Settings.load(event_store={'data_folder': 'data'});"
        "print(thornback.__file__, settings.event_store.data_folder, settings.actor_system.hosts)"
    )
    code, said = project.run("python", "-c", program)

    assert code == 0, said
    module, data, hosts = said.split()
    assert Path(module).is_relative_to(project.here.folder / "venv")
    assert Path(data) == project.folder / "data"
    assert hosts == "2"


def test_its_actors_are_tested_with_scenario_and_in_a_system(project: Project) -> None:
    code, said = project.run(*command("python -m pytest"))

    assert code == 0, said
    assert "2 passed" in said


def test_mypy_strict_sees_the_types(project: Project) -> None:
    revealing = project.folder / "revealing.py"
    lines = [
        "from house.boiler import Boiler, Heat",
        "from thornback import ActorSystem",
        "def reveal(system: ActorSystem) -> None:",
        *(f"    reveal_type({expression})" for expression in REVEALED),
    ]
    revealing.write_text("\n".join(lines) + "\n")

    code, said = project.run("python", "-m", "mypy", "--strict", ".")

    revealing.unlink()
    assert code == 0, said
    revealed = re.findall(r'Revealed type is "(.*)"', said.replace("builtins.", ""))
    assert revealed == list(REVEALED.values())


def test_a_folder_that_hides_a_package_is_named(project: Project) -> None:
    hiding = project.folder / "jobs"
    hiding.mkdir()
    (hiding / "__init__.py").touch()

    code, said = project.run(*command("python drive.py"))

    shutil.rmtree(hiding)
    assert code == 1
    assert f"ImportError: {hiding} hides the package 'jobs' of Thornback" in said


def test_the_topology_is_launched_from_nowhere_near_the_project(ray_of_my_own: OwnRay) -> None:
    code, said = ray_of_my_own.run("ray job submit -- python -m jobs.launch")

    assert code == 0, said
    assert "running in namespace thornback" in said


def test_a_driver_as_a_job_brings_the_actors_of_its_package(ray_of_my_own: OwnRay) -> None:
    code, said = ray_of_my_own.run("ray job submit --working-dir . -- python drive.py")

    assert code == 0, said
    assert "boiler/cellar heated {'celsius': 60.0}\nBoilerState(celsius=60.0)\n" in said


def test_a_driver_without_a_job_does_too(ray_of_my_own: OwnRay) -> None:
    code, said = ray_of_my_own.run("python drive.py")

    assert code == 0, said
    assert said == "boiler/cellar heated {'celsius': 60.0}\nBoilerState(celsius=60.0)\n"


def test_the_topology_is_drained(ray_of_my_own: OwnRay) -> None:
    code, said = ray_of_my_own.run("ray job submit -- python -m jobs.drain")

    assert code == 0, said
    assert re.search(r"^stopped$", said, re.MULTILINE)


def _built(folder: Path) -> Path:
    """The wheel of this checkout, built in a copy of what it is built from."""
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    _pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(folder), str(folder))
    (wheel,) = folder.glob("*.whl")
    return wheel


def _installed(wheel: Path, folder: Path) -> Path:
    """Install the wheel into a new environment, which finds what it depends on in that of
    these tests: installing all of it anew takes minutes. The folder of its programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    _pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    (packages,) = folder.glob("lib/python*/site-packages")
    # The files named *.pth in there are not read, so an editable Thornback is not found.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    ray = folder / "bin" / "ray"
    ray.write_text(f"#!{python}\nfrom ray.scripts.scripts import main\nmain()\n")
    ray.chmod(0o755)
    return python.parent


def _pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout

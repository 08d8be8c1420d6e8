"""The facade: one import has everything, brings nothing in before it is needed, and is
not hidden by a user's own folders."""

import ast
import importlib
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

import thornback
from actors.errors import ThornbackError

ROOT = Path(__file__).parents[2]

PACKAGES = ("actors", "gateways", "jobs", "runtime", "store", "streams")

#: Errors that reach nobody outside, and what a user is told instead.
INTERNAL = {
    # Between a host and its writer. The host runs the command again; RetriesExhausted,
    # HostUnavailable or StoreUnavailable says that it gave up.
    "AppendRefused", "Discarded", "DuplicateEvent", "StaleEpoch", "Superseded",
    "VersionConflict", "WriterAway",
    # Of the writer, which then begins anew.
    "TooMuchInDoubt",
    # Where the embedded database or the exporter does not start, the launch says LaunchFailed.
    "EmbeddedError", "ForeignFolder", "MajorMismatch", "NoBinaries", "NotStarted",
    "DatabasePortTaken", "MetricsPortTaken", "ServerFailed", "ToolFailed",
    "UnusableFolder",
    # Between the database and a launch, which says DatabaseInUse or SystemReplaced.
    "DatabaseClaimed",
    # The same, which says LaunchFailed.
    "AnotherPartition",
    # Between the database and a durable subscription, which says SubscriptionTaken.
    "StaleCheckpoint",
    # Between the database and an erasure, which says NotPossible.
    "NotErased",
    # Of the jobs; a driver is told SystemNotFound.
    "NoRay",
    # Of the gateway, whose clients are told in HTTP.
    "RequestRefused",
    # Where the gateway cannot use its certificate, the launch says LaunchFailed.
    "CannotUseCertificate",
    # Of the commands, which say them, and what some of these have in common.
    "CannotStart", "CannotStartHere", "ClassAway", "NoDatabase", "NoFolder",
    "NoNodeNetwork", "NoRelay", "NotRestorable", "ProjectBusy", "QueryFailed", "InvalidToken",
    "NoSchema", "TokenNameTaken",
}  # fmt: skip


@pytest.mark.parametrize("name", thornback.__all__)
def test_every_name_is_the_object_of_its_home(name: str) -> None:
    home = importlib.import_module(thornback._MODULE_OF[name])
    assert getattr(thornback, name) is getattr(home, name)


def test_type_checkers_see_the_same_names_from_the_same_homes() -> None:
    tree = ast.parse(Path(thornback.__file__).read_text())
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {}
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        for alias in statement.names:
            assert alias.asname == alias.name, "`import X as X` is what exports a name"
            seen[alias.name] = statement.module
    assert seen == thornback._MODULE_OF


def test_what_a_pure_actor_module_needs_brings_in_neither_ray_nor_asyncpg() -> None:
    said = _python(
        """
        import sys
        from thornback import (
            Actor, BusinessEvent, CausalRelation, Command, DeviceEvent, Event, Rejected, Scenario,
            SystemEvent, ThornbackError, VectorClock, applies, handles, process_stream,
        )
        heavy = {"ray", "asyncpg", "asyncio", "prometheus_client", "pydantic_settings"}
        print(sorted(heavy & sys.modules.keys()))
        """
    )
    assert said.stdout.strip() == "[]", said.stderr


def test_every_error_that_can_reach_a_user_is_exported() -> None:
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(path, f"{package}."):
            importlib.import_module(module.name)
    errors = {error for error in _subclasses(ThornbackError) if error.__module__ != __name__}
    ours = {
        error.__name__
        for error in errors
        if error.__module__.partition(".")[0] in PACKAGES and not error.__name__.startswith("_")
    }
    assert ours - INTERNAL - set(thornback.__all__) == set(), (
        "export them in thornback/__init__.py (in both tables), or say in INTERNAL why they reach "
        "no user"
    )
    assert ours >= INTERNAL, "INTERNAL names errors that there are no more"
    assert INTERNAL.isdisjoint(thornback.__all__)


def test_an_unknown_name_is_refused_with_those_that_are_near() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'ActorSytem'; did you mean"):
        _ = thornback.ActorSytem
    assert not hasattr(thornback, "anything")
    said = _python("from thornback import Thermostat")
    assert "ImportError: cannot import name 'Thermostat' from 'thornback'" in said.stderr


def test_dir_shows_what_there_is() -> None:
    assert set(thornback.__all__) <= set(dir(thornback))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_of_the_users_that_hides_one_of_ours_is_named(
    tmp_path: Path, package: str
) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()

    said = _python("import thornback", hidden_by=tmp_path)

    assert (
        f"ImportError: {tmp_path / package} hides the package {package!r} of Thornback, "
        f"which lies in {ROOT / package}: " in said.stderr
    )


def test_a_module_of_the_users_that_hides_one_of_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "store.py").touch()

    said = _python("from thornback import Actor", hidden_by=tmp_path)

    assert f"ImportError: {tmp_path / 'store.py'} hides the package 'store'" in said.stderr


def test_a_program_that_has_the_name_of_one_of_ours_is_named(tmp_path: Path) -> None:
    program = tmp_path / "runtime.py"
    program.write_text("from thornback import Actor\n")

    said = _run(str(program), path=[tmp_path, ROOT])

    assert f"ImportError: {program} hides the package 'runtime'" in said.stderr


def test_a_module_that_was_imported_before_is_found_out(tmp_path: Path) -> None:
    said = _python(
        """
        import sys, types
        sys.modules["store"] = types.ModuleType("store")
        sys.modules["store"].__file__ = "/elsewhere/store.py"
        import thornback
        """
    )
    assert "ImportError: /elsewhere/store.py hides the package 'store'" in said.stderr


def test_a_plain_folder_behind_ours_on_the_path_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()  # no __init__.py: Python takes a real package before it
    (tmp_path / "jobs" / "mine.py").touch()

    said = _python("import thornback, jobs; print(jobs.__file__)", hidden_by=tmp_path)

    assert said.stdout.strip() == str(ROOT / "jobs" / "__init__.py"), said.stderr


def test_a_plain_folder_before_an_editable_installation_is_named(tmp_path: Path) -> None:
    """An editable installation is asked last, by a finder of its own, so even a folder
    without `__init__.py` comes before it."""
    (tmp_path / "jobs").mkdir()
    finder = f"""
        import importlib.util, sys
        sys.meta_path = [each for each in sys.meta_path if "editable" not in str(each).lower()]
        class Editable:
            def find_spec(self, name, path=None, target=None):
                if name in {[*PACKAGES, "thornback"]!r}:
                    file = "{ROOT}/" + name + "/__init__.py"
                    return importlib.util.spec_from_file_location(name, file)
        sys.meta_path.append(Editable())
        sys.path.remove({str(ROOT)!r})
        """
    said = _python(f"{finder}import thornback", hidden_by=tmp_path)
    assert f"ImportError: {tmp_path / 'jobs'} hides the package 'jobs'" in said.stderr

    (tmp_path / "jobs").rmdir()
    said = _python(f"{finder}import thornback; print('fine')", hidden_by=tmp_path)
    assert said.stdout.strip() == "fine", said.stderr


def test_a_copy_in_an_archive_and_one_behind_a_link_hide_nothing(tmp_path: Path) -> None:

    (tmp_path / "whole").mkdir()
    for package in (*PACKAGES, "thornback"):
        shutil.copytree(ROOT / package, tmp_path / "whole" / package)
    archive = shutil.make_archive(str(tmp_path / "copy"), "zip", tmp_path / "whole")
    (tmp_path / "link").symlink_to(tmp_path / "whole")

    for entry in (Path(archive), tmp_path / "link"):
        program = "import thornback, actors; print(actors.__file__)"
        said = _run("-c", program, path=[entry])
        assert said.stdout.strip() == str(entry / "actors" / "__init__.py"), said.stderr


def _python(program: str, *, hidden_by: Path | None = None) -> "subprocess.CompletedProcess[str]":

    return _run("-c", dedent(program), path=[*([hidden_by] if hidden_by else []), ROOT])


def _run(*arguments: str, path: list[Path]) -> "subprocess.CompletedProcess[str]":
    """Python as a user starts it: what it looks into first, then the rest."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={"PYTHONPATH": ":".join(map(str, path)), "PYTHONSAFEPATH": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def _subclasses(error: type[Exception]) -> Iterator[type[Exception]]:
    for each in error.__subclasses__():
        yield each
        yield from _subclasses(each)

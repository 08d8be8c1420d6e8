"""One Ray for the whole run; systems of their own, in namespaces of their own, on it."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.system import ActorSystem
from store.embedded.server import EmbeddedPostgres
from tests.integration.systems import Launcher
from thornback.testing.databases import create_database


@pytest.fixture(scope="session")
def cluster(thornback_ray: None) -> None:
    """A local Ray that this process is connected to."""


@pytest.fixture(scope="session")
def new_database(postgres_url: str) -> Callable[[], str]:
    """Makes an empty database on the run's server; its URL."""
    return lambda: create_database(postgres_url)


@pytest.fixture
def launch(cluster: None, new_database: Callable[[], str]) -> Iterator[Launcher]:
    """Launches systems on databases of their own, and drains them after the test."""
    launcher = Launcher(new_database)
    yield launcher
    launcher.drain_all()


@pytest.fixture(scope="module")
def system(cluster: None, new_database: Callable[[], str]) -> Iterator[ActorSystem]:
    """One system for the tests of a module that leave it whole."""
    launcher = Launcher(new_database)
    yield launcher(actor_system={"hosts": 2})
    launcher.drain_all()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of the module's own, to stop and to kill."""
    folder = Path(tempfile.mkdtemp(prefix="tb-pg-", dir="/tmp"))
    folder.chmod(0o711)  # root's server runs as another user, who has to get through
    own = EmbeddedPostgres(folder / "pg")
    own.start()
    yield own
    own.destroy()
    shutil.rmtree(folder)


@pytest.fixture
def stopped() -> Iterator[Callable[[int], None]]:
    """Stops processes by SIGSTOP; they go on after the test."""
    pids: list[int] = []

    def stop(pid: int) -> None:
        pids.append(pid)
        os.kill(pid, signal.SIGSTOP)

    yield stop
    for pid in pids:
        os.kill(pid, signal.SIGCONT)

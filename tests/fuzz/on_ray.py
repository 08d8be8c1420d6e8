"""A system to be fuzzed whose processes are processes: on a Ray and a PostgreSQL of its own."""

import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import ray

from jobs.tokens import Wanted, create
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.status import ProcessStatus
from store.embedded.server import EmbeddedPostgres
from tests.fuzz.bad_requests import ALL, TENANT
from tests.fuzz.target import GATEWAY, Target
from thornback.testing.settings import small_settings

ROOT = Path(__file__).parents[2]
#: Seconds that the launch and the drain may take.
LIMIT_S = 120.0


class TargetOnRay(Target):
    """Its processes are those of the launch until the end."""

    def __init__(self, system: ActorSystem, tokens: dict[bytes, bytes]) -> None:
        super().__init__(system, tokens)
        self._launched = self._pids()

    def judge(self) -> None:
        """As of any target; a process that was started anew has ended."""
        super().judge()
        assert self._pids() == self._launched, "a process has ended"

    def _pids(self) -> dict[str, int]:
        return {
            each.name: each.pid
            for each in self.system.status().result()
            if isinstance(each, ProcessStatus)
        }


@contextmanager
def target_on_ray() -> Iterator[TargetOnRay]:
    """A Ray, a system on it, and a gateway that asks for tokens; all end afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))  # short: Ray has sockets there
    folder.chmod(0o711)  # root's PostgreSQL runs as another user, who has to get through
    os.environ |= {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "fuzz" / "impatient"), str(ROOT)]),
        "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0",
    }  # fmt: skip
    modules = {"actor_modules": ["tests.unit.web_devices"], "hosts": 2}
    settings = small_settings(
        {"gateway": GATEWAY, "actor_system": modules}, data_folder=str(folder / "data")
    )
    try:
        ray.init(
            num_cpus=1, include_dashboard=False, object_store_memory=100_000_000,
            log_to_driver=False, _temp_dir=str(folder / "ray"),
        )  # fmt: skip
        with ActorSystem.launch(settings, timeout_s=LIMIT_S) as system:
            yield TargetOnRay(system, _tokens(system.settings))
            system.drain(timeout_s=LIMIT_S).result()
    finally:
        ray.shutdown()
        EmbeddedPostgres(folder / "data" / "postgres").destroy()
        shutil.rmtree(folder, ignore_errors=True)


def _tokens(settings: Settings) -> dict[bytes, bytes]:
    return {
        ALL: _made(settings, Wanted(name="all", scopes=["admin"])),
        TENANT: _made(
            settings,
            Wanted(name="tenant", scopes=["read", "command:boiler"], prefix="boiler/site-7-"),
        ),
    }


def _made(settings: Settings, wanted: Wanted) -> bytes:
    with redirect_stdout(io.StringIO()) as printed, redirect_stderr(io.StringIO()):
        create(settings, wanted, for_programs=True)
    token: str = json.loads(printed.getvalue())["token"]
    return token.encode()

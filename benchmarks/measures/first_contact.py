"""How long it takes a newcomer: from an empty folder to the first durable event of an own actor."""

import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from benchmarks.bed import Bed
from benchmarks.figures import Figure, Measure
from benchmarks.sizes import require

KEY = "first_contact_s"

ROOT = Path(__file__).parents[2]
_PACKAGES = ("-c", str(ROOT / "constraints.txt"), str(ROOT))


def run(_bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """The commands that a README would have: an environment, install, init, up, a driver."""
    _warm_cache()
    # Directly below /tmp: the server's user has to get through, and sockets allow no long path.
    with tempfile.TemporaryDirectory(prefix="tb-first-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        began_s = time.perf_counter()
        _do(folder, sys.executable, "-m", "venv", ".venv")
        python = folder / ".venv" / "bin" / "python"
        _do(folder, python, "-m", "pip", "install", "--quiet", *_PACKAGES)
        _do(folder, python.with_name("thornback"), "init", "chargers")
        project = folder / "chargers"
        try:
            _do(project, python.with_name("thornback"), "up")
            said = _do(project, python, "drive.py", "1")
            elapsed_s = time.perf_counter() - began_s
        finally:
            _do(project, python.with_name("thornback"), "down")
        require("55 events" in said, f"the driver of a new project says {said!r}")
    return {KEY: elapsed_s}


@cache
def _warm_cache() -> None:
    """What is downloaded once is not what is measured."""
    with tempfile.TemporaryDirectory() as folder:
        _do(Path(folder), sys.executable, "-m", "pip", "download", "--quiet", *_PACKAGES)


def _do(folder: Path, *command: str | Path) -> str:
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = own | {
        "THORNBACK_METRICS__PORT": "0",
        "THORNBACK_GATEWAY__PORT": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    require(done.returncode == 0, f"{command[0]} {command[1:]} says {done.stdout[-2000:]}")
    return done.stdout


MEASURE = Measure(
    run,
    (
        Figure(
            key=KEY,
            input="from an empty folder, with a warm package cache, to the first durable events of "
            "a device of one's own: environment, install, init, up, driver",
            at_most=True,
        ),
    ),
)

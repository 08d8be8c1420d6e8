"""What the machines of the test install from: wheels of all that constraints.txt names.

Their network leads nowhere. The wheels are gathered once, by pip as it is set up on this machine,
and kept in build/ until what is needed changes.
"""

import hashlib
import subprocess
import tempfile
import tomllib
from pathlib import Path

from tests.e2e.place import ROOT

#: The interpreter of the machines: what a login over SSH finds there.
PYTHON = Path("/usr/bin/python3")
#: Gathering is bounded by the package index, which may be slow.
GATHER_S = 1800.0


def lacking() -> str | None:
    """Why no environment could be made on the machines."""
    suitable = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
    if not PYTHON.exists():
        return f"there is no {PYTHON}"
    if subprocess.run([PYTHON, "-c", suitable], capture_output=True, check=False).returncode:
        return f"{PYTHON} is older than 3.11, or has no venv (apt install python3-venv)"
    return None


def gathered() -> Path:
    """The folder of the wheels, which are gathered first where they are not there."""
    needed = _needed()
    version = subprocess.run([PYTHON, "--version"], capture_output=True, text=True, check=True)
    constraints = (ROOT / "constraints.txt").read_text()
    said = "\n".join([version.stdout, constraints, *needed])
    folder = ROOT / "build" / f"wheels-{hashlib.sha256(said.encode()).hexdigest()[:12]}"
    if not folder.exists():
        _gather(folder, needed)
    return folder


def _needed() -> list[str]:
    """All that an installation from source asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [*project["project"]["dependencies"], *project["build-system"]["requires"]]


def _gather(folder: Path, needed: list[str]) -> None:
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=folder.parent) as made:
        environment, partial = Path(made) / "venv", Path(made) / "wheels"
        subprocess.run([PYTHON, "-m", "venv", environment], check=True)
        # One of them is an old source archive, which is to be built as newer ones are.
        subprocess.run(
            ["env", "PIP_USE_PEP517=1", environment / "bin" / "pip", "wheel", "--quiet",
             "--wheel-dir", partial, "-c", ROOT / "constraints.txt", *needed],
            check=True, timeout=GATHER_S,
        )  # fmt: skip
        partial.chmod(0o755)
        partial.rename(folder)

"""A Ray of one's own, beside whatever other Ray the machine has."""

from dataclasses import replace

import pytest

from tests.e2e.place import Place, free_port
from tests.e2e.readme import command


class OwnRay:
    """A Ray that was started by `ray start --head`, and what speaks to it from a place.

    It is started in the temporary folder, so that no process of it finds code of that place
    by itself.
    """

    def __init__(self, here: Place) -> None:
        self.here = here
        port = free_port()
        # `--block`, so that it ends with its own process: `ray stop` would end every Ray of
        # this user. The ports are not the usual ones, which somebody else may have.
        self.process = replace(here, root=here.folder).start(
            *command("ray start --head"), "--block", "--port=0", f"--temp-dir={here.folder}",
            "--include-dashboard=true", f"--dashboard-port={port}",
            f"--dashboard-agent-listen-port={free_port()}",
            f"--ray-client-server-port={free_port()}", "--num-cpus=1",
            "--object-store-memory=100000000",
        )  # fmt: skip
        self._await_start()
        self._where = {
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{port}",
            # Another Ray may run on this machine; drivers of the README find the only one.
            "RAY_ADDRESS": (here.folder / "ray_current_cluster").read_text().strip(),
        }

    def run(self, line: str) -> tuple[int, str]:
        """Run a line of the README; its exit code and what it printed."""
        done = self.here.run(*command(line), **self._where)
        return done.returncode, done.stdout

    def output(self, *command: str) -> str:
        """What a command prints that the README does not have."""
        done = self.here.run(*command, **self._where)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def stop(self) -> None:
        """End it, as Ctrl-C in its terminal would."""
        with self.process:  # closes its pipe
            self.process.terminate()
            self.process.wait(60)

    def _await_start(self) -> None:
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:  # ends with the process, if it does not start
            said += line
            if "Ray runtime started" in line:
                return
        pytest.fail(said)

"""The programs beside the system: drivers, and the reader of a durable subscription."""

import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]


class Program:
    """One of them, which may be killed, and has its next incarnation then."""

    def __init__(
        self, module: str, before: list[str], behind: list[str], environment: Mapping[str, str],
        errors: Path,
    ) -> None:  # fmt: skip
        self._command = [sys.executable, "-m", f"tests.chaos.{module}", *before]
        self._behind, self._environment, self._errors = behind, environment, errors
        self._process: subprocess.Popen[bytes] | None = None
        self.incarnation = 0

    def start(self) -> None:
        """Its first incarnation, or the next one."""
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [*self._command, str(self.incarnation), *self._behind],
                env=self._environment,
                cwd=ROOT,  # where the suite's modules are
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=errors,
            )
        self.incarnation += 1

    @property
    def ended(self) -> int | None:
        """By which code; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        assert self._process is not None
        self._process.kill()
        self._close()

    def tell_to_end(self) -> None:
        """It finishes what it has begun first."""
        stdin = self._stdin()
        with suppress(BrokenPipeError):  # it has ended: `wait_end` says how
            stdin.write(b"end\n")
            stdin.flush()

    def wait_end(self, limit_s: float) -> int | None:
        """By which code it ended; None for one that did not in time, and is killed."""
        assert self._process is not None
        try:
            code = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        self._close()
        return code

    def said(self) -> str:
        """The end of what it has complained of."""
        return self._errors.read_text()[-2_000:]

    def _close(self) -> None:
        assert self._process is not None
        self._process.wait()
        with suppress(BrokenPipeError):  # what was still to be written has no reader any more
            self._stdin().close()

    def _stdin(self) -> IO[bytes]:
        assert self._process is not None
        assert self._process.stdin is not None
        return self._process.stdin

"""What one incarnation of a simulated process leaves for the next one."""

from pathlib import Path

from runtime.process.notes import Notes
from thornback.simulation.processes import Incarnation


class SimulatedNotes(Notes):
    """Those of one incarnation, in the memory of its process. Who is dead writes nothing more."""

    def __init__(self, life: Incarnation) -> None:
        super().__init__(Path(life.process.identity))
        self._life, self._there = life, life.process.notes

    def kept(self) -> bytes:
        return self._there.get("kept", b"")

    def keep(self, what: bytes) -> None:
        self._write("kept", what)

    def was_at_hand(self) -> bytes:
        return self._there.get("at hand", b"")

    def was_told(self) -> str:
        return self._there.get("told", b"").decode()

    def telling(self) -> int | None:
        """Whoever begins to watch anew has told nothing yet, as where a file is made empty."""
        self._write("told", b"")
        return 0

    def put_at_hand(self, what: bytes) -> None:
        self._write("at hand", what)

    def tell(self, what: str) -> None:
        """As the dead man's switch does, before it ends the process."""
        self._write("told", what.encode())

    def _write(self, name: str, what: bytes) -> None:
        if not self._life.dead:
            self._there[name] = what

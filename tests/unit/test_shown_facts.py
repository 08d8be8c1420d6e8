"""What `thornback status` makes of the facts of a process: one line that people read."""

from jobs.status import shown
from runtime.topology.status import WorkerFacts


def worker(program: str, **more: object) -> WorkerFacts:
    """The facts of a worker that has begun."""
    return WorkerFacts(program=program, slots=8, workers=2, fingerprint="0", **more)  # type: ignore[arg-type]


def test_lists_are_shown_as_their_names_and_empty_ones_not_at_all() -> None:
    together = (worker("alarms", position=7), worker("bills"))
    line = shown(worker("night", position=1_204, handles=("low-*", "high-*"), handlers=together))
    assert line.endswith("handles low-* high-*, handlers alarms bills")
    assert "position 1,204" in line
    assert "hand" not in shown(worker("rooms"))


def test_what_is_so_is_said_and_what_is_not_so_is_not() -> None:
    assert ", paused" in shown(worker("rooms", paused=True))
    assert "paused" not in shown(worker("rooms"))

"""Which processes of a machine's Ray are spares for a system."""

from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import ray

from runtime.process import spares

OURS, ANOTHER = "02000000", "05000000"


class Played:
    """A process of the machine, or its Ray."""

    def __init__(self, pid: int = 0, command: list[str] | None = None, **beside: Any) -> None:
        self.pid, self._command, self._beside = pid, command or [], beside

    def parent(self) -> "Played":
        return self

    def children(self) -> list["Played"]:
        return list(self._beside.values())

    def cmdline(self) -> list[str]:
        return self._command


class Raylet:
    """Says of each of its processes whose job it has."""

    def __init__(self, jobs: dict[int, str]) -> None:
        self._said = [
            SimpleNamespace(pid=pid, job_id=bytes.fromhex(job)) for pid, job in jobs.items()
        ]

    def GetNodeStats(self, request: object, timeout: float) -> Any:  # noqa: N802 - it is Ray's
        return SimpleNamespace(core_workers_stats=self._said)


def test_what_waits_for_the_next_task_of_another_job_is_no_spare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = Played(
        nobodys=Played(1, ["ray::IDLE"]),
        ours=Played(2, ["ray::IDLE"]),
        of_another_job=Played(3, ["ray::IDLE"]),
        at_work=Played(4, ["ray::Host"]),
        starting=Played(5, ["python", "-u", "ray/_private/workers/default_worker.py"]),
    )
    monkeypatch.setattr(psutil, "Process", lambda: there)
    monkeypatch.setattr(
        ray, "get_runtime_context", lambda: SimpleNamespace(get_job_id=lambda: OURS)
    )
    nobody = spares.NO_JOB.hex()
    raylet = Raylet({1: nobody, 2: OURS, 3: ANOTHER, 4: OURS})
    assert spares._there(raylet) == 3

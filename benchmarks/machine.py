"""The machine: what else a figure depends on, and how fast Python is on it right now."""

import os
import platform
import statistics
import time

import psutil
import psycopg
import ray

LOOPS = 1_000_000


def facts(url: str) -> dict[str, str | int | float]:
    """Processors, versions, and what the database guarantees."""
    with psycopg.connect(url, autocommit=True) as connection:
        shown = {name: _show(connection, name) for name in ("server_version", *DURABLE)}
    return {
        "cpu_count": _processors(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "ray": ray.__version__,
        "postgres": shown.pop("server_version"),
        **{f"postgres_{name}": value for name, value in shown.items()},
    }


#: What must be on for a commit to mean that it is on disk.
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


def _show(connection: psycopg.Connection[tuple[str]], name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None, "a setting has a value"
    return row[0]


def calibration_ns() -> float:
    """Nanoseconds for one turn of a fixed loop in pure Python, the middle of five. Taken
    once a round: it tells machines apart, and its spread a quiet one from a busy one."""
    return statistics.median(_loop_ns() for _ in range(5))


def _loop_ns() -> float:
    started_ns = time.perf_counter_ns()
    total = 0
    for number in range(LOOPS):
        total += number & 7
    return (time.perf_counter_ns() - started_ns) / LOOPS


def _processors() -> int:
    """Those that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return psutil.cpu_count() or 1

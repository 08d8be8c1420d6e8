"""Ingesting CloudEvents: what is in the log, the twins and the rejects file afterwards."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import ray

from actors.devices import DeviceTwin, DeviceTwinState
from gateways.files.ingestion import Counts, Ingest
from gateways.files.json_lines import Rejects
from runtime.errors import HostUnavailable
from runtime.system import ActorSystem
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    back,
    eventually,
    kill,
    log_of,
    stored,
)

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
#: Fits into a line, not into an event: 1e300 is kept with all its digits.
TOO_LARGE = [1e300] * 4000


@pytest.fixture
def device() -> str:
    """A source that no other test has."""
    return f"//plant.example/Prüfstand {uuid4().hex}/温度"


def line(source: str, identity: str, time: str | None, **members: Any) -> bytes:
    event = {"specversion": "1.0", "source": source, "id": identity, "type": "reading", **members}
    if time is not None:
        event["time"] = f"2026-07-01T{time}Z"
    return json.dumps(event, ensure_ascii=False).encode() + b"\n"


def moment(hour: int) -> datetime:
    return datetime(2026, 7, 1, hour, tzinfo=UTC)


def state(system: ActorSystem, source: str) -> DeviceTwinState:
    return system.actor(DeviceTwin, source).state().result(timeout_s=LIMIT_S)


def reported(system: ActorSystem, source: str, times: int) -> bool:
    return state(system, source).reports == times


def values(twin: DeviceTwinState) -> dict[str, Any]:
    return {name: known.value for name, known in twin.properties.items()}


def job(system: ActorSystem, *arguments: str, folder: Path) -> "subprocess.Popen[bytes]":
    """`python jobs/ingest.py`, as a user runs it, from a folder of its own."""
    address = ray.get_runtime_context().gcs_address
    return subprocess.Popen(
        [sys.executable, str(ROOT / "jobs" / "ingest.py"), *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "RAY_ADDRESS": address,
            "THORNBACK_ACTOR_SYSTEM__NAMESPACE": system.namespace,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(
    system: ActorSystem, *arguments: str, folder: Path, stdin: bytes = b""
) -> tuple[int, str, str]:
    process = job(system, *arguments, folder=folder)
    out, err = process.communicate(stdin, timeout=LIMIT_S)
    return process.returncode, out.decode(), err.decode()


class Pipe:
    """Hands out what it was given in these pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def read1(self, size: int, /) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@pytest.fixture
def ingest(system: ActorSystem, tmp_path: Path) -> Callable[..., Counts]:
    """Ingests pieces of input in this process; what became of them."""

    def ingest(*pieces: bytes) -> Counts:
        with Rejects(tmp_path / "rejects", keep=False) as rejects:
            run = Ingest(system, rejects, LIMIT_S)
            run.run(Pipe(*pieces))
        return run.counts

    return ingest


def test_a_file_of_good_and_bad_lines_is_ingested_and_again_without_effect(
    system: ActorSystem, device: str, tmp_path: Path
) -> None:
    late = line(device, "2", "10:00:00", data={"bar": 1, "pump": "älter"})
    good = [
        line(device, "1", "12:00:00", data={"bar": 3, "n": 2**80}),
        late,
        line(device, "1", "13:00:00", data={"bar": 99}),
        line(device, "3", "13:00:00", type="alarm", data="leak"),
        b"\n",
    ]
    bad = [
        b"{not json}\n",
        line(device, "4", "14:00:00", data={"n": float("nan")}),
        b'{"source": "a", "type": "b"}\n',
        line(device, "5", "25:00:00"),
        line(device, "6", "14:00:00", data="\0"),
        line(device, "7", "14:00:00", data=TOO_LARGE),
        b'{"source": "\xff"}\n',
        b"x" * (3 * 1024 * 1024) + b"\n",
        b"[]",
    ]
    file, rejects = tmp_path / "events.jsonl", tmp_path / "events.jsonl.rejects"
    file.write_bytes(b"".join([*good[:2], *bad[:7], *good[2:], *bad[7:]]))

    code, out, err = run(system, str(file), folder=tmp_path)

    assert code == 1, err
    assert "13 lines: 3 new events, 1 duplicates, 1 late, 9 rejects; 1 devices" in out
    assert rejects.read_bytes() == b"".join(bad)
    found = [text for text in err.splitlines() if text.startswith("line ")]
    assert [text.partition(":")[0] for text in found] == [
        *(f"line {number}" for number in range(3, 10)), "line 13", "line 14",
    ]  # fmt: skip
    reasons = [
        "not JSON", "not JSON", "id: missing", "time: ", "data: NUL", "properties-reported: ",
        "not UTF-8", "longer than", "not a JSON object",
    ]  # fmt: skip
    for text, reason in zip(found, reasons, strict=True):
        assert reason in text

    twin = state(system, device)
    assert values(twin) == {"bar": 3, "n": 2**80, "pump": "älter", "value": "leak"}
    assert (twin.reports, twin.late_reports, twin.last_seen) == (3, 1, moment(13))
    assert twin.reports_by_type == {"reading": 2, "alarm": 1}
    rows = log_of(
        system,
        "SELECT timestamp, event_data->>'event_id' id, (event_data->>'late')::bool late"
        " FROM events WHERE source = $1 ORDER BY version",
        f"device-twin/{device}",
    )
    assert [tuple(row) for row in rows] == [
        (moment(12), "1", False),
        (moment(10), "2", True),
        (moment(13), "3", False),
    ]

    before = stored(system)
    code, out, _ = run(system, str(file), folder=tmp_path)
    assert code == 1
    assert "13 lines: 0 new events, 4 duplicates, 0 late, 9 rejects; 1 devices" in out
    assert rejects.read_bytes() == b"".join(bad)
    assert stored(system) == before
    assert state(system, device) == twin
    assert_log_is_whole(system)


def test_lines_of_a_pipe_are_firstbefore_the_pipe_ends(
    system: ActorSystem, device: str, tmp_path: Path
) -> None:
    process = job(system, "-", folder=tmp_path)
    try:
        assert process.stdin is not None
        for number in range(3):
            process.stdin.write(line(device, str(number), "12:00:00", data={"n": number}))
            process.stdin.flush()
            eventually(partial(reported, system, device, number + 1))
        out, err = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, err) == (0, b"")
    assert b"3 lines: 3 new events" in out
    assert list(tmp_path.iterdir()) == []


def test_the_rejects_of_standard_input_are_added_up_where_the_user_says(
    system: ActorSystem, device: str, tmp_path: Path
) -> None:
    rejects = tmp_path / "bad lines"
    for text in (b"first", b"second\n"):
        stdin = line(device, "1", None) + text
        code, _, err = run(system, "-", "--rejects", str(rejects), folder=tmp_path, stdin=stdin)
        assert code == 1
        assert err.startswith("line 2: not JSON")
    assert rejects.read_bytes() == b"first\nsecond\n"
    assert state(system, device).reports == 1


def test_input_that_cannot_be_read_ends_the_run_with_one_line(
    system: ActorSystem, tmp_path: Path
) -> None:
    code, _, err = run(system, str(tmp_path / "missing"), folder=tmp_path)
    assert code == 2
    assert err.count("\n") == 1
    assert "No such file" in err
    file = tmp_path / "events"
    file.write_bytes(b"kept\n")
    code, _, err = run(system, "events", "--rejects", str(file), folder=tmp_path)
    assert (code, file.read_bytes()) == (2, b"kept\n")
    assert "the file to read" in err


def test_an_event_without_a_time_happened_when_it_was_read(
    system: ActorSystem, device: str, ingest: Callable[..., Counts]
) -> None:
    before = datetime.now(UTC)
    counts = ingest(line(device, "1", None, data={"a": 1}))
    seen = state(system, device).last_seen
    assert (counts.new, counts.late) == (1, 0)
    assert seen is not None
    assert before <= seen <= datetime.now(UTC)


def test_many_events_of_many_devices_keep_their_order_in_each(
    system: ActorSystem, device: str, ingest: Callable[..., Counts]
) -> None:
    lines = [
        line(f"{device}/{number % 7}", str(number), "12:00:00", data={"n": number})
        for number in range(5000)
    ]
    first, second = b"".join(lines), b"".join(lines[2000:])
    counts = ingest(first[:300_000], first[300_000:], second)
    assert (counts.lines, counts.new, counts.duplicates) == (8000, 5000, 3000)
    assert (counts.late, counts.rejects, len(counts.devices)) == (0, 0, 7)
    for last in range(4993, 5000):
        assert values(state(system, f"{device}/{last % 7}")) == {"n": last}
    again = ingest(first)
    assert (again.new, again.duplicates) == (0, 5000)


def test_what_an_outage_keeps_from_the_log_is_among_the_rejects(
    launch: Launcher, device: str, tmp_path: Path
) -> None:
    system = launch(actor_system={"hosts": 1})
    path, killed = tmp_path / "rejects", []
    first, lost, unread = (line(device, str(hour), f"{hour}:00:00") for hour in (12, 13, 14))

    def pieces() -> Iterator[bytes]:
        yield first
        killed.append(kill(system, "host-0"))
        yield lost
        yield unread

    written = pieces()
    with Rejects(path, keep=True) as rejects:
        ingest = Ingest(system, rejects, patience_s=0.0)
        with pytest.raises(HostUnavailable):
            ingest.run(_Reading(lambda: next(written)))
    assert (ingest.counts.new, ingest.counts.rejects) == (1, 1)
    assert path.read_bytes() == lost
    assert list(written) == [unread]

    back(system, "host-0", killed[0])
    with path.open("rb") as file, Rejects(tmp_path / "none", keep=True) as rejects:
        Ingest(system, rejects, LIMIT_S).run(file)
    assert state(system, device).reports == 2


class _Reading:
    """Reads what a function returns."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read

    def read1(self, size: int, /) -> bytes:
        return self._read()

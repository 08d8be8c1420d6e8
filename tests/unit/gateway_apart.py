"""A gateway in a process of its own, with files of its own. Run as a program it is that one."""

import asyncio
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.unit.http import serving


@contextmanager
def apart(files: int = 0) -> Iterator[tuple[str, int]]:
    """Where it listens; with so many files at the most, unless that is 0."""
    command = [sys.executable, "-m", "tests.unit.gateway_apart", str(files)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as gateway:
        assert gateway.stdout is not None
        host, _, port = gateway.stdout.readline().strip().removeprefix("http://").partition(":")
        yield host, int(port)
        gateway.kill()


async def _serve() -> None:
    async with serving() as client:
        print(client.address, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    if most := int(sys.argv[1]):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_serve())

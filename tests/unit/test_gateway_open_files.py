"""A gateway has no more connections than it has files for, and as many as it is let have."""

import asyncio
import subprocess
import sys
from contextlib import ExitStack

from gateways.web.open_files import OTHERS
from tests.unit.gateway_apart import apart

LIMITS = """
import resource, sys
from gateways.web.open_files import connections_that_fit

resource.setrlimit(resource.RLIMIT_NOFILE, (300, 2000))
print(connections_that_fit(40), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
print(connections_that_fit(1000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
print(connections_that_fit(10000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""

FILES, MORE = 400, 500
ASK = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_it_takes_what_it_is_let_have_and_no_more() -> None:
    said = subprocess.run(
        [sys.executable, "-c", LIMITS], capture_output=True, text=True, timeout=60, check=True
    )
    rows = [tuple(map(int, line.split())) for line in said.stdout.splitlines()]
    assert rows == [(40, 300), (1000, 2000), (2000 - OTHERS, 2000)]
    assert f"only {2000 - OTHERS} may be open" in said.stderr


async def test_where_files_are_few_each_client_is_answered_or_turned_away() -> None:
    statuses = []
    with ExitStack() as ends:
        address = ends.enter_context(apart(FILES))
        async with asyncio.timeout(60):
            for _ in range(MORE):
                reader, writer = await asyncio.open_connection(*address)
                ends.callback(writer.close)
                writer.write(ASK)
                statuses.append((await reader.readline()).split()[1])
    let_in = FILES - OTHERS
    assert statuses == [b"200"] * let_in + [b"503"] * (MORE - let_in)

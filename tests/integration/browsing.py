"""A real, headless Chromium, and a way to the gateway that can be cut."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

#: The first that is there is used; none is brought along.
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome-stable"))), None
)
#: What a page is given to show something.
PATIENCE_MS = 30_000


@asynccontextmanager
async def page_of(address: str, **context: Any) -> AsyncIterator[Any]:
    """A page of a browser of its own, at the console. Whatever went wrong in it, unheard, is
    raised at the end."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - only where it is installed

    # Chromium's sandbox wants another user than root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    problems: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            opened = await browser.new_context(**context)
            page = await opened.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", lambda said: problems.append(said.text) if _bad(said) else None)
            await page.goto(address)
            yield page
        finally:
            await browser.close()
    assert not problems, problems


def _bad(said: Any) -> bool:
    """Is it a break of the policy, or code that has failed? What a gateway that is away, or
    refuses, makes the browser say is neither."""
    return said.type == "error" and "Failed to load resource" not in said.text


class Way:
    """A way to a gateway, through a port of its own: it can be cut, and opened again."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        self._server: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> str:
        """Its address, which stays the same."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{self._port}"

    async def cut(self) -> None:
        """End all connections at once, and let none in."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._to)
        self._writers |= {writer, there_writer}
        await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
        self._writers -= {writer, there_writer}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # that was the cut
    finally:
        writer.close()

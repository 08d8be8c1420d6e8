"""What a feed has fetched ahead of its reader: pages that nobody took yet, so many and no more."""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from store.event_store import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(Page):
    """A stretch that a feed has passed over: so many selected events."""

    missed: int


class PagesAhead:
    """Filled in the feed's loop, by `add` after `wait_room`; `take` may be called in any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pages: deque[Page] = deque()  # its ends are atomic
        # In the loop alone:
        self._bytes = 0  # of these pages, and of those whose taking was not heard of
        self._room = asyncio.Event()  # a page was taken

    def __len__(self) -> int:
        return len(self._pages)

    async def wait_room(self, pages: int, size: int) -> None:
        """Wait until there are fewer pages than that, and of no more bytes than `size`."""
        while len(self._pages) >= pages or self._bytes > size:
            self._room.clear()
            await self._room.wait()

    def add(self, page: Page) -> None:
        """Put a page behind the others.

        An empty page that nobody took yet only says how far the feed came; the new one
        says more. So a reader who is slow and selective does not hold the feed back.
        """
        self._bytes += len(page.rows)
        with suppress(IndexError):
            last = self._pages.pop()
            if last.rows or isinstance(last, Gap):
                self._pages.append(last)
        self._pages.append(page)

    def take(self) -> Page:
        """The next page. Raises IndexError where there is none."""
        page = self._pages.popleft()
        with suppress(RuntimeError):  # the loop has ended, and nothing is fetched any more
            self._loop.call_soon_threadsafe(self._taken, len(page.rows))
        return page

    def clear(self) -> None:
        """Forget them."""
        self._pages.clear()

    def _taken(self, size: int) -> None:
        self._bytes -= size
        self._room.set()

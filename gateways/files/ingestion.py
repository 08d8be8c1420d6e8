"""One run of ingesting CloudEvents: lines in, durable events and counts out.

What a block of lines holds is sent together and settled line by line, in order; the next
block is read after that. So a slow pipe's lines are stored as they come, and the memory
of an endless one is bounded by a block and by the number of devices.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from actors.devices import DeviceTwin
from actors.event import Event
from actors.moments import microseconds
from gateways.cloud_events import BadEvent, CloudEvent, parse
from gateways.files.json_lines import MAX_LINE_BYTES, Line, Readable, Rejects, blocks
from runtime.clocks import now_us
from runtime.driver.bulk import Send
from runtime.driver.reply import Reply
from runtime.errors import AskTimeout, HostUnavailable, MailboxFull
from runtime.system import ActorSystem
from store.errors import StoreUnavailable

PROGRESS_S = 5.0

#: Not the line's fault: nothing behind it would fare better.
_OUTAGES = (AskTimeout, HostUnavailable, MailboxFull, StoreUnavailable)


@dataclass(slots=True)
class Counts:
    """What became of the lines; blank ones are none."""

    lines: int = 0
    new: int = 0
    duplicates: int = 0
    late: int = 0  #: of the new ones
    rejects: int = 0
    devices: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return (
            f"{self.lines:,} lines: {self.new:,} new events, {self.duplicates:,} duplicates, "
            f"{self.late:,} late, {self.rejects:,} rejects; {len(self.devices):,} devices"
        )


class Ingest:
    """Ingests one stream; `counts` has what became of it so far. `report` is called with
    it every few seconds."""

    def __init__(
        self,
        system: ActorSystem,
        rejects: Rejects,
        patience_s: float,
        report: "Callable[[Ingest], None]" = lambda _: None,
    ) -> None:
        self.counts = Counts()
        self._system = system
        self._rejects = rejects
        self._patience_s = patience_s
        self._report = report
        self._twin = lru_cache(10_000)(lambda source: system.actor(DeviceTwin, source))
        self._waiting: deque[tuple[Line, CloudEvent | Exception]] = deque()
        self._began_s = self._shown_s = time.monotonic()

    def run(self, stream: Readable) -> None:
        """Ingest all of a stream. Raises what keeps it from going on, after the lines that
        it had taken out of the stream are stored or among the rejects."""
        for lines in blocks(stream):
            outage = self._ingest(lines)
            self._rejects.flush()
            if outage is not None:
                raise outage
            if time.monotonic() - self._shown_s > PROGRESS_S:
                self._shown_s = time.monotonic()
                self._report(self)

    @property
    def rate(self) -> float:
        """Lines per second so far."""
        return self.counts.lines / max(time.monotonic() - self._began_s, 1e-3)

    def _ingest(self, lines: list[Line]) -> Exception | None:
        """Read, send and settle the lines of one block, each in its turn."""
        outage = None
        for reply in self._system.ask_many(self._sends(lines), patience_s=self._patience_s):
            self._settle_bad()
            line, event = self._waiting.popleft()
            assert isinstance(event, CloudEvent)
            try:
                self._settle(event, reply)
            except Exception as error:
                self._reject(line, error)
                outage = error if isinstance(error, _OUTAGES) else outage
        self._settle_bad()
        return outage

    def _sends(self, lines: list[Line]) -> Iterator[Send]:
        for line in lines:
            if not line.too_long and not line.raw.strip():
                continue
            self.counts.lines += not line.continued
            event = _read(line)
            self._waiting.append((line, event))
            if isinstance(event, CloudEvent):
                at_us = now_us() if event.time is None else microseconds(event.time)
                yield Send(self._twin(event.source), event.report, event.command_id, at_us)

    def _settle_bad(self) -> None:
        while self._waiting and isinstance(error := self._waiting[0][1], Exception):
            self._reject(self._waiting.popleft()[0], error)

    def _settle(self, event: CloudEvent, reply: Reply[list[Event]]) -> None:
        if reply.repeated:
            self.counts.duplicates += 1
        else:
            (stored,) = reply.result()
            self.counts.new += 1
            self.counts.late += stored.data["late"]
        self.counts.devices.add(event.source)

    def _reject(self, line: Line, error: Exception) -> None:
        self._rejects.add(line.raw)
        if not line.continued:
            self.counts.rejects += 1
            print(f"line {line.number}: {error}", file=sys.stderr)


def _read(line: Line) -> CloudEvent | BadEvent:
    if line.too_long:
        return BadEvent(f"longer than {MAX_LINE_BYTES:,} bytes")
    try:
        return parse(line.raw)
    except BadEvent as error:
        return error
